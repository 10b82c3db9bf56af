// SPDX-License-Identifier: Apache-2.0
// Whatever becomes of a token: its key and its chain are released, once.
#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// An argument whose conversion fails.
struct fragile {
    fragile(int n) : number(n) {
        if (n < 0) throw std::invalid_argument("negative");
    }
    int number;
};

/// What anchors the tokens.
enum class anchor { colocated, serial, lead };

operation_traits traits_of(anchor how) {
    switch (how) {
        case anchor::colocated: return {.sticky = sticky::by_anchor("key")};
        case anchor::serial: return {.sticky = sticky::by_anchor("key", sticky::serial)};
        case anchor::lead: break;
    }
    return {.external_calls = {"nothing"}};
}

/// What is anchored at this moment, of whatever kind.
std::uint64_t anchored_in(const runtime& rt) {
    const locality_stats seen = rt.stats().locality;
    return seen.pinned_tokens + seen.serial_keys + seen.open_chains;
}

/// Runs the body for each kind of anchor.
template <class Body>
void for_each_anchor(Body&& body) {
    for (const anchor how : {anchor::colocated, anchor::serial, anchor::lead}) {
        for (const int cores : {1, 2, 4}) {
            INFO("anchor ", static_cast<int>(how), ", ", cores, " domains");
            body(how, cores);
        }
    }
}

}  // namespace

TEST_CASE("tokens_that_complete_or_fail_let_go_of_what_anchors_them") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        const auto op = rt.operation("op", traits_of(how), [](int n) {
            if (n % 2 == 0) throw std::runtime_error("even");
        });
        const auto outer = rt.operation("outer", {.external_calls = {"op"}}, [&](int n) { op(n); });
        for (int n = 0; n < 100; ++n) {
            const token<void> t = op(n);
            REQUIRE(ends(t));
            // Before anyone can see the token done; a strand is left just after.
            if (how == anchor::serial) {
                CHECK(eventually([&] { return anchored_in(rt) == 0; }));
            } else {
                CHECK(anchored_in(rt) == 0);
            }
            outer(n);
            REQUIRE(rt.wait_idle_for(hang_limit));
        }
        settle_locality(rt);
        CHECK(rt.stats().total().failed == 100);
    });
}

TEST_CASE("tokens_killed_before_they_begin_let_go_of_what_anchors_them") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        hold gate;
        std::atomic<int> ran{0};
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto op = rt.operation("op", traits_of(how), [&] { ++ran; });
        for (int i = 0; i < cores; ++i) held();
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        std::vector<token<void>> made;
        for (int i = 0; i < 10; ++i) made.push_back(op());
        CHECK(anchored_in(rt) >= 1);
        for (const auto& each : made) CHECK(each.kill());
        CHECK(anchored_in(rt) == 0);
        gate.release();
        settle_locality(rt);
        CHECK(ran == 0);
        CHECK(rt.stats().total().killed == 10);
    });
}

TEST_CASE("tokens_killed_while_they_run_let_go_when_their_callable_returns") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        hold gate;
        const auto op = rt.operation("op", traits_of(how), [&] { gate.pass(); });
        const token<void> t = op();
        REQUIRE(gate.await(1));
        CHECK(t.kill());
        CHECK(t.state() == token_state::killed);
        // The callable still uses what the key stands for.
        CHECK(anchored_in(rt) == 1);
        gate.release();
        CHECK(eventually([&] { return anchored_in(rt) == 0; }));
        settle_locality(rt);
    });
}

TEST_CASE("a_refused_call_leaves_nothing_anchored") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .in_flight_limit = 1, .sticky_slots = 64});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto op = rt.operation("op", traits_of(how), [] {});
        held();
        REQUIRE(gate.await(1));
        for (int i = 0; i < 10; ++i) CHECK_FALSE(op.try_call());
        CHECK(anchored_in(rt) == 0);
        gate.release();
        settle_locality(rt);
        CHECK(rt.stats().total().refused == 10);
    });
}

TEST_CASE("a_call_whose_argument_throws_leaves_nothing_anchored") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        const auto op = rt.operation("op", traits_of(how), [](fragile f) { return f.number; });
        const auto outer = rt.operation("outer", {.external_calls = {"op"}}, [&] {
            try {
                op(-1);
            } catch (const std::invalid_argument&) {
                return true;
            }
            return false;
        });
        for (int i = 0; i < 10; ++i) {
            CHECK_THROWS_AS(op(-1), std::invalid_argument);
            CHECK(anchored_in(rt) == 0);
            CHECK(result_of(outer()));
        }
        CHECK(result_of(op(5)) == 5);
        settle_locality(rt);
        CHECK(rt.stats().total().accepted == 11);
    });
}

TEST_CASE("a_key_that_cannot_be_made_leaves_nothing_anchored") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        runtime rt({.cores = 2, .sticky_slots = 64});
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments(how)},
                                     [](const std::string& s) { return s.size(); });
        const auto fail = [&] { return op(static_cast<const char*>(nullptr)); };
        CHECK_THROWS(fail());
        CHECK(anchored_in(rt) == 0);
        CHECK(result_of(op("four")) == 4);
        settle_locality(rt);
    }
}

TEST_CASE("a_stop_with_a_deadline_lets_go_of_everything_that_is_anchored") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        for (int round = 0; round < 3; ++round) {
            std::optional<hold> gate(std::in_place);
            const std::string number = std::to_string(round);
            const auto op = rt.operation("op " + number, traits_of(how), [&] { gate->pass(); });
            const auto outer = rt.operation("outer " + number, {.external_calls = {"op"}}, [&] {
                op();
                gate->pass();
            });
            op();
            REQUIRE(gate->await(1));
            for (int i = 0; i < 20; ++i) op();
            for (int i = 0; i < 5; ++i) outer();
            const stop_report report = rt.stop(1ms);
            CHECK_FALSE(report.drained);
            CHECK_FALSE(report.stragglers.empty());
            CHECK(rt.stats().total().in_flight() == 0);
            gate->release();
            rt.stop();
            check_ledger(rt);
            check_nothing_is_anchored(rt);
            rt.start();
        }
    });
}

TEST_CASE("a_stop_sees_the_last_worker_leave_the_chain_of_a_straggler") {
    runtime rt({.cores = 1});
    for (std::size_t round = 0; round < scaled_starts(300); ++round) {
        std::optional<hold> gate(std::in_place);
        const std::string number = std::to_string(round);
        const auto inner = rt.operation("inner " + number, [] {});
        const auto outer =
            rt.operation("outer " + number, {.external_calls = {"inner " + number}}, [&] {
                static_cast<void>(inner());
                gate->pass();
            });
        outer();
        REQUIRE(gate->await(1));
        CHECK_FALSE(rt.stop(0ms).stragglers.empty());
        gate->release();
        // The worker ends at some moment now, with what it still has in store of the chain.
        std::this_thread::sleep_for(std::chrono::microseconds(round % 100));
        CHECK(rt.stop().stragglers.empty());
        CHECK(rt.stats().locality.open_chains == 0);
        rt.start();
    }
}

TEST_CASE("calls_of_a_stopped_runtime_leave_nothing_anchored") {
    for_each_anchor([](anchor how, int cores) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        const auto op = rt.operation("op", traits_of(how), [] {});
        op();
        rt.stop();
        CHECK_THROWS_AS(op(), runtime_stopped);
        if (how != anchor::lead) CHECK_THROWS_AS(static_cast<void>(op.hold()), runtime_stopped);
        check_nothing_is_anchored(rt);
        rt.start();
        CHECK(ends(op()));
        settle_locality(rt);
    });
}

}  // namespace tokengate::test
