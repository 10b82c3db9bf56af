// SPDX-License-Identifier: Apache-2.0
// Inputs that have no result; dependents that are killed, paused, timed out or stopped.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// A source that waits, and what takes its result.
struct waiting_pair {
    explicit waiting_pair(const config& shape = {.cores = 2}) : rt(shape) {}

    hold gate;
    std::atomic<int> ran{0};
    runtime rt;
    operation<int(int)> source = rt.operation("source", [this](int value) {
        gate.pass();
        return value;
    });
    operation<int(int)> next = rt.operation("next", [this](int value) {
        ++ran;
        return value + 1;
    });
};

std::string failure_of(const token<int>& which) {
    REQUIRE(ends(which));
    try {
        demand(which);
    } catch (const dependency_failed& why) {
        return why.what();
    }
    FAIL("it has a result, or another error");
    return {};
}

std::string name_of(const token<int>& which) {
    return "token " + std::to_string(which.id()) + " of operation '" +
           std::string(which.operation_name()) + "'";
}

}  // namespace

TEST_CASE("a_token_whose_input_failed_does_not_run_and_says_why") {
    waiting_pair two;
    const auto broken =
        two.rt.operation("broken", [](int) -> int { throw std::runtime_error("out of luck"); });
    const token<int> root = broken(1);
    const token<int> second = two.next(root);
    const token<int> third = two.next(second);
    CHECK(failure_of(second) == name_of(second) + " was not run because its input, " +
                                    name_of(root) + ", failed: out of luck");
    CHECK(failure_of(third) == name_of(third) + " was not run because its input, " +
                                   name_of(second) + ", was not run either; because " +
                                   name_of(root) + " failed: out of luck");
    CHECK(third.state() == token_state::failed);
    settle_locality(two.rt);
    CHECK(two.ran == 0);
}

TEST_CASE("a_token_whose_input_was_killed_or_timed_out_says_so") {
    waiting_pair two;
    const token<int> first = two.source(1);
    REQUIRE(two.gate.await(1));
    const token<int> killed = two.next(first);
    CHECK(first.kill("not needed"));
    CHECK(failure_of(killed) == name_of(killed) + " was not run because its input, " +
                                    name_of(first) + ", was killed: not needed");
    const auto late = two.rt.operation("late", {.run_timeout = 1ms}, [&] {
        two.gate.pass();
        return 1;
    });
    const token<int> root = late();
    const token<int> timed_out = two.next(root);
    const std::string why = failure_of(timed_out);
    CHECK(why.find(", was timed out: ") != std::string::npos);
    try {
        demand(timed_out);
    } catch (const dependency_failed& known) {
        CHECK(known.root() == nullptr);
        CHECK(known.causes().back().ended == token_state::timed_out);
    }
    two.gate.release();
    settle_locality(two.rt);
}

TEST_CASE("the_first_input_without_a_result_fails_a_token_while_others_still_run") {
    waiting_pair two({.cores = 4});
    const auto sum = two.rt.operation("sum", [](const std::vector<int>&) { return 0; });
    const auto broken =
        two.rt.operation("broken", [](int) -> int { throw std::runtime_error("broken"); });
    std::vector<token<int>> inputs{two.source(1), two.source(2), broken(3), two.source(4)};
    const token<int> all = sum(inputs);
    CHECK(failure_of(all).find("broken") != std::string::npos);
    CHECK_FALSE(inputs.front().done());
    two.gate.release();
    settle_locality(two.rt);
}

TEST_CASE("inputs_that_have_ended_already_count_too") {
    waiting_pair two;
    two.gate.release();
    const token<int> done = two.source(1);
    REQUIRE(ends(done));
    CHECK(result_of(two.next(done)) == 2);
    const token<int> dead = two.source(1);
    static_cast<void>(dead.kill());
    REQUIRE(ends(dead));
    if (dead.state() == token_state::killed) {
        CHECK(failure_of(two.next(dead)).find("was killed") != std::string::npos);
    }
    settle_locality(two.rt);
}

TEST_CASE("a_dependent_that_is_killed_never_runs_and_harms_no_input") {
    waiting_pair two;
    const token<int> first = two.source(1);
    const token<int> killed = two.next(first);
    const token<int> below = two.next(killed);
    const token<int> other = two.next(first);
    CHECK(killed.kill("changed my mind"));
    CHECK_FALSE(killed.kill());
    CHECK_THROWS_AS(demand(killed), token_killed);
    CHECK(failure_of(below).find("was killed: changed my mind") != std::string::npos);
    two.gate.release();
    CHECK(result_of(first) == 1);
    CHECK(result_of(other) == 2);
    settle_locality(two.rt);
    CHECK(two.ran == 1);
}

TEST_CASE("a_dependent_that_is_killed_lets_go_of_what_it_was_called_with_at_once") {
    waiting_pair two;
    const auto shared = std::make_shared<int>(7);
    const auto takes = two.rt.operation("takes", [](int, const std::shared_ptr<int>&) {});
    const token<int> first = two.source(1);
    REQUIRE(two.gate.await(1));
    const token<void> killed = takes(first, shared);
    const long before = shared.use_count();
    const bool dead = killed.kill();
    const long after = shared.use_count();
    const bool ended = first.done();
    two.gate.release();
    CHECK(before == 2);
    CHECK(dead);
    CHECK(after == 1);
    CHECK_FALSE(ended);
    settle_locality(two.rt);
}

TEST_CASE("kill_and_cancel_of_an_operation_end_those_that_wait_for_inputs_at_once") {
    for (const bool all : {false, true}) {
        waiting_pair two;
        const token<int> first = two.source(1);
        REQUIRE(two.gate.await(1));
        std::vector<token<int>> made;
        for (int i = 0; i < 100; ++i) made.push_back(two.next(first));
        const auto untouched = two.rt.operation("untouched", [](int value) { return value; });
        const token<int> other = untouched(first);
        CHECK((all ? two.next.kill("enough") : two.next.cancel("enough")) == 100);
        for (const auto& each : made) CHECK(each.state() == token_state::killed);
        CHECK(other.state() == token_state::waiting);
        const token<int> later = two.next(first);
        two.gate.release();
        CHECK(result_of(later) == 2);
        CHECK(result_of(other) == 1);
        settle_locality(two.rt);
        CHECK(two.ran == 1);
    }
}

TEST_CASE("a_stop_with_a_deadline_kills_those_that_wait_for_inputs_elsewhere") {
    waiting_pair two;
    runtime ours({.cores = 2});
    const auto mine = ours.operation("mine", [](int value) { return value; });
    const token<int> first = two.source(1);
    std::vector<token<int>> made;
    for (int i = 0; i < 10; ++i) made.push_back(mine(first));
    const stop_report report = ours.stop(10ms);
    CHECK(report.killed == 10);
    CHECK(report.stragglers.empty());
    for (const auto& each : made) CHECK(each.state() == token_state::killed);
    check_ledger(ours);
    two.gate.release();
    CHECK(result_of(first) == 1);
    settle_locality(two.rt);
}

TEST_CASE("a_runtime_ends_when_its_dependents_have") {
    hold gate;
    std::vector<token<int>> made;
    runtime theirs({.cores = 2});
    const auto source = theirs.operation("source", [&](int value) {
        gate.pass();
        return value;
    });
    std::thread opener;
    {
        runtime ours({.cores = 2});
        const auto mine = ours.operation("mine", [](int value) { return value; });
        const token<int> first = source(1);
        for (int i = 0; i < 100; ++i) made.push_back(mine(first));
        REQUIRE(gate.await(1));
        opener = std::thread([&] { gate.release(); });
    }
    opener.join();
    for (const auto& each : made) CHECK(each.state() == token_state::completed);
    settle_locality(theirs);
}

TEST_CASE("a_dependent_that_is_paused_waits_for_its_inputs_and_for_the_resume") {
    for (const bool serial : {false, true}) {
        waiting_pair two;
        std::atomic<int> ran{0};
        const sticky key = serial ? sticky(sticky::by_anchor("line", sticky::serial)) : sticky();
        const auto next = two.rt.operation("serial", {.sticky = key}, [&](int value) {
            ++ran;
            return value;
        });
        const token<int> first = two.source(1);
        const token<int> paused = next(first);
        const token<int> other = next(first);
        CHECK(paused.pause());
        CHECK(paused.paused());
        two.gate.release();
        REQUIRE(ends(first));
        if (!serial) CHECK(result_of(other) == 1);
        CHECK(paused.paused());
        CHECK_FALSE(paused.done());
        CHECK(paused.resume());
        CHECK(result_of(paused) == 1);
        CHECK(result_of(other) == 1);
        settle_locality(two.rt);
    }
}

TEST_CASE("dependents_of_a_paused_operation_wait_for_the_resume") {
    waiting_pair two;
    two.next.pause();
    std::vector<token<int>> made;
    const token<int> first = two.source(1);
    for (int i = 0; i < 10; ++i) made.push_back(two.next(first));
    two.gate.release();
    REQUIRE(ends(first));
    REQUIRE(eventually([&] { return two.next.stats().set_aside == 10; }));
    CHECK(two.ran == 0);
    two.next.resume();
    for (const auto& each : made) CHECK(result_of(each) == 2);
    settle_locality(two.rt);
}

TEST_CASE("the_time_that_a_token_waits_for_its_inputs_counts_for_its_queue_timeout") {
    waiting_pair two;
    const auto hasty =
        two.rt.operation("hasty", {.queue_timeout = 1ms}, [](int value) { return value; });
    const token<int> first = two.source(1);
    const token<int> late = hasty(first);
    REQUIRE(ends(late));
    CHECK_THROWS_AS(demand(late), token_timed_out);
    two.gate.release();
    settle_locality(two.rt);
}

TEST_CASE("a_dependent_is_retried_with_the_results_that_it_has_got") {
    waiting_pair two;
    std::atomic<int> attempts{0};
    const auto shaky = two.rt.operation("shaky", {.retry = {.attempts = 3}}, [&](int value) {
        if (++attempts < 3) throw std::runtime_error("not yet");
        return value;
    });
    const token<int> made = shaky(two.source(7));
    CHECK(made.attempts() == 0);
    two.gate.release();
    CHECK(result_of(made) == 7);
    CHECK(made.attempts() == 3);
    settle_locality(two.rt);
}

TEST_CASE("limits_of_an_operation_hold_for_dependents_too") {
    waiting_pair two;
    const auto few =
        two.rt.operation("few", {.in_flight = {.tokens = 2, .policy = when_full::refuse}},
                         [](int value) { return value; });
    const token<int> first = two.source(1);
    const token<int> a = few(first);
    const token<int> b = few(first);
    CHECK_THROWS_AS(few(first), call_refused);
    CHECK(a.kill());
    const token<int> c = few(first);
    two.gate.release();
    CHECK(result_of(b) == 1);
    CHECK(result_of(c) == 1);
    settle_locality(two.rt);
}

TEST_CASE("an_input_that_cannot_be_copied_into_an_argument_fails_the_token") {
    struct fragile {
        fragile() = default;
        fragile(const fragile& /*other*/) { throw std::runtime_error("no second one"); }
        fragile& operator=(const fragile&) = delete;
        ~fragile() = default;
    };
    for (const bool retried : {false, true}) {
        runtime rt({.cores = 2, .in_flight_limit = 8});
        std::atomic<int> ran{0};
        const auto make = rt.operation("make", [] { return fragile(); });
        const auto take = rt.operation("take", {.queue_timeout = retried ? 1h : 0h},
                                       [&](const fragile&, const std::string&) { ++ran; });
        const token<fragile> kept = make();
        // More than there is room for, so that each must give its own back.
        for (int i = 0; i < 20; ++i) {
            const token<void> made = take(kept, std::string(100, 'x'));
            REQUIRE(ends(made));
            CHECK_THROWS_WITH_AS(demand(made), "no second one", std::runtime_error);
            CHECK(made.state() == token_state::failed);
        }
        settle_locality(rt);
        CHECK(ran == 0);
    }
}

TEST_CASE("a_copied_constructor_that_ends_its_own_token_leaves_nothing_behind") {
    struct meddler {
        std::function<void()> on_copy;
        explicit meddler(std::function<void()> hook) : on_copy(std::move(hook)) {}
        meddler(const meddler& other) : on_copy(other.on_copy) {
            if (on_copy) on_copy();
        }
        meddler& operator=(const meddler&) = delete;
        ~meddler() = default;
    };
    for (const int anchor : {0, 1, 2}) {
        INFO("anchor ", anchor);
        hold gate;
        token<void> victim;
        std::atomic<int> ran{0};
        runtime rt({.cores = 2});
        const auto make = rt.operation("make", [&]() -> meddler {
            gate.pass();
            return meddler([&] { static_cast<void>(victim.kill("by a copy")); });
        });
        const sticky key = anchor == 0   ? sticky()
                           : anchor == 1 ? sticky(sticky::by_anchor("a"))
                                         : sticky(sticky::by_anchor("a", sticky::serial));
        const auto take = rt.operation("take", {.sticky = key}, [&](const meddler&) { ++ran; });
        const token<meddler> kept = make();
        victim = take(kept);
        const token<void> other = take(kept);
        gate.release();
        REQUIRE(ends(victim));
        REQUIRE(ends(other));
        CHECK_THROWS_AS(demand(victim), token_killed);
        victim = {};
        settle_locality(rt);
        CHECK(ran == 1);
    }
}

TEST_CASE("random_graphs_with_failures_and_kills_leave_nothing_behind") {
    seeded random;
    for_each_shape([&](const config& shape) {
        runtime rt(shape);
        const auto leaf = rt.operation("leaf", [](int value) {
            if (value % 17 == 0) throw std::runtime_error("unlucky");
            return value;
        });
        const auto both = rt.operation("both", [](int a, int b) { return a ^ b; });
        const auto pinned =
            rt.operation("pinned", {.sticky = sticky::by_arguments()}, [](int a) { return a + 1; });
        const auto line =
            rt.operation("line", {.sticky = sticky::by_anchor("line", sticky::serial)},
                         [](const std::vector<int>& all) { return static_cast<int>(all.size()); });
        const auto lead = rt.operation("lead", {.external_calls = {"both"}}, [&](int a) {
            return both(leaf(a), leaf(a + 1)).id() != 0 ? a : 0;
        });
        const auto watched =
            rt.operation("watched", {.queue_timeout = 1h, .retry = {.attempts = 2}}, [](int a) {
                if (a % 13 == 0) throw std::runtime_error("unlucky");
                return a;
            });
        std::vector<token<int>> made{leaf(1)};
        const auto any = [&] { return made[random.below(made.size())]; };
        for (std::size_t i = 0; i < scaled(3000); ++i) {
            switch (random.below(8)) {
                case 0: made.push_back(leaf(static_cast<int>(random.below(1000)))); break;
                case 1: made.push_back(both(any(), any())); break;
                case 2: made.push_back(pinned(any())); break;
                case 3: made.push_back(line(std::vector{any(), any(), any()})); break;
                case 4: made.push_back(lead(any())); break;
                case 5: made.push_back(watched(any())); break;
                case 6: both.post(any(), any()); break;
                default:
                    if (random.one_in(4)) static_cast<void>(any().kill());
                    if (random.one_in(8))
                        made.erase(made.begin(),
                                   made.begin() + static_cast<std::ptrdiff_t>(made.size() / 2));
                    break;
            }
        }
        for (const auto& each : made) REQUIRE(ends(each));
        settle_locality(rt);
    });
}

}  // namespace tokengate::test
