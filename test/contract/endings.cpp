// SPDX-License-Identifier: Apache-2.0
// However a token ends, it ends once, and what it held is given back once.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// What some programs throw to leave main(): no std::exception.
struct exit_request {
    int code;
};

/// Pending tokens of the only chain that is open.
std::uint64_t pending_in(const runtime& rt) {
    const std::vector<chain_info> open = rt.open_chains();
    return open.size() == 1 ? open.front().pending : 0;
}

}  // namespace

TEST_CASE("a_token_killed_while_it_runs_gives_its_key_back_once_and_leaves_it_to_others") {
    for (const sticky::mode mode : {sticky::colocate, sticky::serial}) {
        runtime rt({.cores = 2, .workers_per_core = 1, .sticky_slots = 64});
        std::array<hold, 2> gates;
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", mode)},
                                     [&](unsigned which) { gates.at(which).pass(); });
        const token<void> first = op(0);
        REQUIRE(gates[0].await(1));
        const token<void> second = op(1);
        const token<void> third = op(1);
        const auto held = [&] {
            const locality_stats seen = rt.stats().locality;
            return mode == sticky::serial ? seen.serial_keys : seen.pinned_tokens;
        };
        const std::uint64_t all = mode == sticky::serial ? 1 : 3;
        CHECK(held() == all);
        CHECK(first.kill());
        CHECK_FALSE(first.kill());
        CHECK(held() == all);
        gates[0].release();
        first.join();
        // The next one runs, so that the first has given back what it ever will.
        REQUIRE(gates[1].await(1));
        CHECK(held() == (mode == sticky::serial ? 1 : 2));
        CHECK_FALSE(first.kill());
        CHECK(held() == (mode == sticky::serial ? 1 : 2));
        gates[1].release();
        settle_locality(rt);
        CHECK(second.state() == token_state::completed);
        CHECK(third.state() == token_state::completed);
    }
}

TEST_CASE("each_token_of_a_chain_leaves_it_once_whatever_its_end") {
    runtime rt({.cores = 2, .workers_per_core = 1, .reserve_workers = 4});
    hold lead_gate;
    hold child_gate;
    std::vector<token<void>> children(4);
    const auto child = rt.operation("child", [&](int how) {
        if (how == 0) blocking([&] { child_gate.pass(); });
        if (how == 1) throw std::runtime_error("on purpose");
    });
    const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
        for (std::size_t i = 0; i < children.size(); ++i) children[i] = child(static_cast<int>(i));
        blocking([&] { lead_gate.pass(); });
    });
    const token<void> t = lead();
    REQUIRE(lead_gate.await(1));
    REQUIRE(child_gate.await(1));
    for (std::size_t i = 1; i < children.size(); ++i) REQUIRE(ends(children[i]));
    REQUIRE(eventually([&] { return pending_in(rt) == 2; }));
    CHECK(children[0].kill());
    CHECK(children[0].done());
    CHECK(t.kill());
    // Both callables still run in the domain.
    CHECK(pending_in(rt) == 2);
    child_gate.release();
    children[0].join();
    REQUIRE(eventually([&] { return pending_in(rt) == 1; }));
    for (const auto& each : children) CHECK_FALSE(each.kill());
    CHECK_FALSE(t.kill());
    CHECK(pending_in(rt) == 1);
    lead_gate.release();
    t.join();
    settle_locality(rt);
    CHECK(rt.stats().total().failed == 1);
    CHECK(rt.stats().total().killed == 2);
    CHECK(rt.stats().total().completed == 2);
}

TEST_CASE("a_request_to_exit_that_a_callable_throws_ends_its_token_and_nothing_else") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        const auto leave = [](int code) { throw exit_request{code}; };
        const auto free = rt.operation("free", leave);
        const auto keyed = rt.operation("keyed", {.sticky = sticky::by_arguments()}, leave);
        const auto serial =
            rt.operation("serial", {.sticky = sticky::by_arguments(sticky::serial)}, leave);
        const auto timed = rt.operation("timed", {.run_timeout = 1h}, leave);
        const auto lead =
            rt.operation("lead", {.external_calls = {"free"}}, [&](int n) { free(n).get(); });
        for (int n = 0; n < 20; ++n) {
            for (const auto& op : {free, keyed, serial, timed, lead}) {
                const token<void> t = op(n);
                REQUIRE(ends(t));
                CHECK(t.state() == token_state::failed);
                try {
                    t.get();
                    FAIL_CHECK("it has thrown");
                } catch (const exit_request& thrown) {
                    CHECK(thrown.code == n);
                }
                op.post(n);
            }
        }
        const bulk<void> all = free.bulk(numbers(0, 50));
        REQUIRE(ends(all));
        for (std::size_t i = 0; i < all.size(); ++i) CHECK(all.state(i) == token_state::failed);
        settle_locality(rt);
        // 5 ways, twice, and the calls of the leads.
        CHECK(rt.stats().total().failed == 20 * (5 + 5 + 2) + 50);
        CHECK(result_of(rt.operation("alive", [] { return 1; })()) == 1);
    }
}

TEST_CASE("a_kill_that_came_too_late_says_so_and_leaves_no_reason") {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto fine = rt.operation("fine", [] { return 1; });
    const auto fails = rt.operation("fails", [] { throw std::runtime_error("its own"); });
    const auto slow = rt.operation("slow", {.run_timeout = 1ms}, [] {
        while (!this_token::stop_requested()) std::this_thread::yield();
    });
    const token<void> killed = held();
    const token<int> completed = fine();
    const token<void> failed = fails();
    const token<void> timed_out = slow();
    REQUIRE(gate.await(1));
    CHECK(killed.kill());
    REQUIRE((ends(completed) && ends(failed) && ends(timed_out)));
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(killed.kill("too late"));
        CHECK_FALSE(completed.kill("too late"));
        CHECK_FALSE(failed.kill("too late"));
        CHECK_FALSE(timed_out.kill("too late"));
    }
    CHECK(completed.get() == 1);
    CHECK_THROWS_WITH_AS(demand(failed), "its own", std::runtime_error);
    try {
        demand(timed_out);
        FAIL_CHECK("it was timed out");
    } catch (const token_timed_out& error) {
        CHECK(std::string(error.what()).find("too late") == std::string::npos);
    }
    try {
        demand(killed);
        FAIL_CHECK("it was killed");
    } catch (const token_killed& error) {
        CHECK(error.reason().empty());
        CHECK(std::string(error.what()).find("too late") == std::string::npos);
    }
    gate.release();
    settle(rt);
    CHECK(rt.stats().total().killed == 1);
}

TEST_CASE("a_result_that_nobody_holds_is_gone_when_its_token_has_ended") {
    runtime rt({.cores = 2});
    const auto content = std::make_shared<int>(7);
    const auto op = rt.operation("op", [](std::shared_ptr<int> given) { return given; });
    const auto fails =
        rt.operation("fails", [](const std::shared_ptr<int>& given) { throw given; });
    for (int i = 0; i < 1000; ++i) {
        op(content);
        op.post(content);
        fails.post(content);
        fails(content);
    }
    settle(rt);
    // The last ones may be let go just after they were counted.
    CHECK(eventually([&] { return content.use_count() == 1; }));
    op.bulk(std::vector<std::shared_ptr<int>>(100, content));
    settle(rt);
    CHECK(eventually([&] { return content.use_count() == 1; }));
}

}  // namespace tokengate::test
