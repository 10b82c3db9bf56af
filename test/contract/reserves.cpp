// SPDX-License-Identifier: Apache-2.0
// Waits that would leave a domain without a worker: another thread stands in.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// The most threads that any domain has had.
unsigned most_workers(const runtime& rt) {
    unsigned most = 0;
    for (const domain_stats& each : rt.stats().domains) most = std::max(most, each.workers);
    return most;
}

}  // namespace

TEST_CASE("a_lead_waits_for_its_children_with_one_worker_a_domain") {
    for (const int reserves : {0, 1, 16}) {
        for_each_shape([&](config shape) {
            shape.reserve_workers = reserves;
            runtime rt(shape);
            const auto child = rt.operation("child", [](int n) { return n; });
            const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
                std::vector<token<int>> made;
                for (int i = 0; i < 50; ++i) made.push_back(child(1));
                int sum = 0;
                for (std::size_t i = 0; i < made.size(); ++i) {
                    sum += i % 2 == 0 ? made[i].get() : made[i].get(isolated);
                }
                return sum;
            });
            std::vector<token<int>> leads;
            for (int i = 0; i < 20; ++i) leads.push_back(lead());
            for (const auto& each : leads) CHECK(result_of(each) == 50);
            settle_locality(rt);
        });
    }
}

TEST_CASE("tokens_of_two_domains_wait_for_each_other_to_any_depth") {
    for (const int reserves : {0, 1, 2, 16}) {
        for (const int help_depth : {0, 1, 64}) {
            INFO(reserves, " reserve workers, help depth ", help_depth);
            runtime rt({.cores = 4,
                        .workers_per_core = 1,
                        .sticky_slots = 1024,
                        .reserve_workers = reserves,
                        .help_depth = help_depth});
            std::vector<operation<int(int)>> sides;
            const auto body = [&](std::size_t side, int depth) {
                return depth == 0 ? 0 : sides[1 - side](depth - 1).get() + 1;
            };
            for (std::size_t side = 0; side < 2; ++side) {
                const std::string name = "side " + std::to_string(side);
                sides.push_back(rt.operation(name, {.sticky = sticky::by_anchor(name)},
                                             [&, side](int depth) { return body(side, depth); }));
            }
            const key_hold one = sides[0].hold(0);
            const key_hold two = sides[1].hold(0);
            REQUIRE(one.domain() != two.domain());
            std::vector<token<int>> made;
            for (int i = 0; i < 10; ++i) {
                made.push_back(sides[0](40));
                made.push_back(sides[1](40));
            }
            for (const auto& each : made) CHECK(result_of(each) == 40);
            settle(rt);
        }
    }
}

TEST_CASE("waits_deeper_than_the_help_depth_end") {
    // All wait for one token that does not end before all of them have begun.
    for (const int reserves : {0, 1, 2, 16}) {
        INFO(reserves, " reserve workers");
        runtime rt({.cores = 2,
                    .workers_per_core = 1,
                    .reserve_workers = reserves,
                    .help_depth = 2,
                    .steal = stealing::strict});
        constexpr int count = 50;
        hold gate;
        std::atomic<int> begun{0};
        const auto held = rt.operation("held", {.weight = weight::light}, [&] { gate.pass(); });
        const token<void> awaited = held();
        REQUIRE(gate.await(1));
        const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
            ++begun;
            awaited.wait();
        });
        for (int i = 0; i < count; ++i) waits();
        CHECK(eventually([&] { return begun == count; }));
        CHECK(most_workers(rt) <= 1U + static_cast<unsigned>(reserves));
        // Enough of them never run short.
        if (reserves == 0) CHECK(rt.stats().locality.short_of_reserves > 0);
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("waits_are_no_deeper_than_the_help_depth_while_somebody_can_stand_in") {
    runtime rt({.cores = 2,
                .workers_per_core = 1,
                .reserve_workers = 16,
                .help_depth = 2,
                .steal = stealing::strict});
    constexpr int count = 40;
    hold gate;
    std::atomic<int> begun{0};
    std::atomic<int> deepest{0};
    const auto held = rt.operation("held", {.weight = weight::light}, [&] { gate.pass(); });
    const token<void> awaited = held();
    REQUIRE(gate.await(1));
    const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
        thread_local int depth = 0;
        ++depth;
        for (int seen = deepest; seen < depth && !deepest.compare_exchange_weak(seen, depth);) {}
        ++begun;
        awaited.wait();
        --depth;
    });
    for (int i = 0; i < count; ++i) waits();
    CHECK(eventually([&] { return begun == count; }));
    // The first one is inside of none.
    CHECK(deepest.load() == 3);
    gate.release();
    settle_locality(rt);
}

TEST_CASE("while_one_token_blocks_another_of_its_domain_runs") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 1, .sticky_slots = 64});
        const sticky shared = sticky::by_anchor("key");
        std::atomic<bool> ran{false};
        const auto other = rt.operation("other", {.sticky = shared}, [&] { ran = true; });
        const auto blocks = rt.operation("blocks", {.sticky = shared}, [&] {
            return blocking([&] { return eventually([&] { return ran.load(); }); });
        });
        for (int round = 0; round < 50; ++round) {
            ran = false;
            const token<bool> first = blocks();
            REQUIRE(eventually([&] { return first.state() != token_state::admitted; }));
            other();
            CHECK(result_of(first));
            settle_locality(rt);
        }
        CHECK(most_workers(rt) == 2);
    }
}

TEST_CASE("while_one_token_waits_alone_the_others_of_its_domain_run") {
    for (const int cores : {3, 4}) {
        // So many places that the two keys do not meet in one and share a domain.
        runtime rt({.cores = cores, .workers_per_core = 1, .sticky_slots = 1 << 20});
        std::optional<hold> gate;
        std::atomic<bool> waiting{false};
        std::optional<token<void>> awaited;
        const auto held =
            rt.operation("held", {.sticky = sticky::by_anchor("far")}, [&] { gate->pass(); });
        const auto other = rt.operation("other", {.sticky = sticky::by_anchor("key")}, [] {});
        const auto waits = rt.operation("waits", {.sticky = sticky::by_anchor("key")}, [&] {
            waiting = true;
            awaited->wait(isolated);
        });
        const key_hold far = held.hold();
        const key_hold near = other.hold();
        REQUIRE(far.domain() != near.domain());
        for (int round = 0; round < 20; ++round) {
            gate.emplace();
            waiting = false;
            awaited = held();
            REQUIRE(gate->await(1));
            const token<void> first = waits();
            REQUIRE(eventually([&] { return waiting.load(); }));
            for (int i = 0; i < 10; ++i) REQUIRE(ends(other()));
            CHECK_FALSE(first.done());
            gate->release();
            REQUIRE(ends(first));
            settle(rt);
        }
        CHECK(most_workers(rt) == 2);
    }
}

TEST_CASE("reserve_workers_are_used_again") {
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 2, .workers_per_core = workers, .sticky_slots = 64});
        const auto child = rt.operation("child", [](int n) { return n; });
        const auto blocks = rt.operation("blocks", [&](int n) {
            const int sum = blocking([&] { return n; });
            return sum + child(n).get(isolated);
        });
        for (int round = 0; round < 100; ++round) {
            std::vector<token<int>> made;
            for (int i = 0; i < 10; ++i) made.push_back(blocks(i));
            for (int i = 0; i < 10; ++i)
                CHECK(result_of(made[static_cast<std::size_t>(i)]) == 2 * i);
        }
        settle_locality(rt);
        const unsigned so_far = most_workers(rt);
        // Each of the threads may block itself, and no token is ever blocked twice.
        CHECK(so_far <= static_cast<unsigned>(workers) + 10U);
        for (int round = 0; round < 200; ++round) CHECK(result_of(blocks(1)) == 2);
        settle_locality(rt);
        // One at a time needs no more of them.
        CHECK(most_workers(rt) <= std::max(so_far, static_cast<unsigned>(workers) + 1U));
    }
}

TEST_CASE("no_more_threads_stand_in_than_are_allowed") {
    for (const int reserves : {0, 1, 3}) {
        runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = reserves});
        hold gate;
        const auto blocks = rt.operation("blocks", [&] { blocking([&] { gate.pass(); }); });
        const auto other = rt.operation("other", [] {});
        std::vector<token<void>> made;
        for (int i = 0; i < 10; ++i) made.push_back(blocks());
        // Each of them takes a thread.
        REQUIRE(gate.await(static_cast<std::size_t>(reserves) + 1));
        const token<void> waits = other();
        CHECK(eventually([&] { return rt.stats().locality.short_of_reserves >= 1; }));
        CHECK(gate.arrived() == static_cast<std::size_t>(reserves) + 1);
        CHECK(waits.state() == token_state::admitted);
        CHECK(most_workers(rt) == 1U + static_cast<unsigned>(reserves));
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("a_runtime_stops_and_starts_while_reserve_workers_exist") {
    for (const int cores : {1, 2}) {
        runtime rt({.cores = cores, .workers_per_core = 1, .sticky_slots = 64});
        const auto child = rt.operation("child", [] {});
        const auto blocks = rt.operation("blocks", {.external_calls = {"child"}}, [&] {
            blocking([] { std::this_thread::yield(); });
            child().wait(isolated);
        });
        for (int round = 0; round < 20; ++round) {
            for (int i = 0; i < 10; ++i) blocks();
            CHECK(rt.stop().drained);
            check_ledger(rt);
            check_nothing_is_anchored(rt);
            rt.start();
            CHECK(most_workers(rt) <= 1U + 10U);
        }
    }
}

TEST_CASE("a_stop_with_a_deadline_ends_while_reserve_workers_stand_in") {
    for (const int cores : {1, 2}) {
        runtime rt({.cores = cores, .workers_per_core = 1, .sticky_slots = 64});
        for (int round = 0; round < 5; ++round) {
            hold gate;
            const std::string number = std::to_string(round);
            const auto blocks =
                rt.operation("blocks " + number, [&] { blocking([&] { gate.pass(); }); });
            const auto waits =
                rt.operation("waits " + number, [&](const token<void>& t) { t.wait(isolated); });
            const token<void> first = blocks();
            blocks();
            REQUIRE(gate.await(2));
            const token<void> second = waits(first);
            REQUIRE(eventually([&] { return second.state() == token_state::executing; }));
            const stop_report report = rt.stop(2ms);
            CHECK_FALSE(report.drained);
            CHECK(first.state() == token_state::killed);
            CHECK(second.done());
            gate.release();
            rt.stop();
            check_ledger(rt);
            check_nothing_is_anchored(rt);
            rt.start();
        }
    }
}

TEST_CASE("blocking_returns_and_throws_what_its_body_does") {
    CHECK(blocking([] { return 3; }) == 3);
    runtime rt({.cores = 1});
    int number = 0;
    const auto op = rt.operation("op", [&](bool throws) {
        int& same = blocking([&]() -> int& { return number; });
        if (&same != &number) return 1;
        blocking([&] { blocking([&] { ++number; }); });
        blocking([&] {
            if (throws) throw std::runtime_error("inside");
        });
        return 2;
    });
    CHECK(result_of(op(false)) == 2);
    const token<int> fails = op(true);
    CHECK_THROWS_AS(demand(fails), std::runtime_error);
    CHECK(number == 2);
    settle_locality(rt);
    for (int i = 0; i < 50; ++i) CHECK(result_of(op(false)) == 2);
    settle_locality(rt);
}

TEST_CASE("a_stand_in_that_could_not_be_had_is_not_taken_for_one_who_may_step_back") {
    // The reserve worker waits itself, and nobody could stand in for it. When the first worker
    // goes on and waits again, the work is its own.
    runtime rt({.cores = 1,
                .workers_per_core = 1,
                .sticky_slots = 64,
                .reserve_workers = 1,
                .help_depth = 0});
    hold first_gate;
    hold second_gate;
    std::optional<token<void>> next;
    std::optional<token<void>> last;
    const auto op =
        rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)}, [](int) {});
    const auto blocks = rt.operation("blocks", [&] {
        blocking([&] { first_gate.pass(); });
        next->wait();
    });
    const auto waits = rt.operation("waits", [&] {
        second_gate.pass();
        last->wait(isolated);
    });
    const token<void> first = blocks();
    REQUIRE(first_gate.await(1));
    const token<void> second = waits();
    REQUIRE(second_gate.await(1));
    op(0);
    next = op(1);
    last = op(2);
    second_gate.release();
    REQUIRE(eventually([&] { return rt.stats().locality.short_of_reserves == 1; }));
    first_gate.release();
    REQUIRE(ends(first));
    REQUIRE(ends(second));
    settle_locality(rt);
}

TEST_CASE("children_of_a_blocked_worker_run_while_its_mailbox_is_never_empty") {
    constexpr int most = 10'000;
    runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = 1});
    hold gate;
    std::atomic<int> loads{0};
    std::atomic<int> child_ran_after{most};
    const auto child = rt.operation("child", [&] { child_ran_after = loads.load(); });
    // Each makes another one, in the mailbox: ten of them keep it from being empty.
    std::optional<operation<void()>> load;
    load = rt.operation("load", {.placement = placement::staggered}, [&] {
        if (child_ran_after == most && ++loads < most) (*load)();
    });
    const auto blocks = rt.operation("blocks", [&] {
        for (int i = 0; i < 10; ++i) (*load)();
        child();
        blocking([&] { gate.pass(); });
    });
    const token<void> first = blocks();
    REQUIRE(gate.await(1));
    CHECK(eventually([&] { return child_ran_after != most || loads >= most; }));
    CHECK(child_ran_after < most);
    gate.release();
    settle(rt);
}

TEST_CASE("sections_inside_each_other_take_one_reserve_worker") {
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 1, .workers_per_core = workers, .help_depth = 0});
        runtime other({.cores = 1});
        hold gate;
        const auto held = other.operation("held", [&] { gate.pass(); });
        const token<void> awaited = held();
        REQUIRE(gate.await(1));
        const auto nests = rt.operation("nests", [&] {
            int early = 0;
            blocking([&] {
                blocking([&] { blocking([&] { blocking([] {}); }); });
                // Deeper than the help depth: such a wait asks for somebody to stand in, too.
                for (int i = 0; i < 20; ++i) early += awaited.wait_for(1ms) ? 1 : 0;
                blocking([] {});
            });
            return early;
        });
        for (int round = 0; round < 3; ++round) CHECK(result_of(nests()) == 0);
        settle(rt);
        CHECK(rt.stats().domains[0].workers == static_cast<unsigned>(workers) + 1U);
        gate.release();
        settle(other);
    }
}

}  // namespace tokengate::test
