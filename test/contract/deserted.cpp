// SPDX-License-Identifier: Apache-2.0
// Waits that block every thread of a domain, reserves included, for tokens that only it can run.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

/// Serial tokens wait in isolation, as those that ask for it.
operation_traits serial(const std::string& key) {
    return {.sticky = sticky::by_anchor(key, sticky::serial)};
}

template <class Body>
void for_each_crowd(Body&& body) {
    for (const int reserves : {0, 1, 16}) {
        for (const int cores : {1, 2}) {
            INFO(cores, " domains, ", reserves, " reserves");
            runtime rt({.cores = cores, .workers_per_core = 1, .reserve_workers = reserves});
            body(rt);
            settle_locality(rt);
        }
    }
}

/// Waits in a coroutine for a token.
task<int> result_in_task(token<int> awaited) { co_return co_await awaited; }

/// Has so many leads in flight at once; each gives its number, and one more.
template <class Lead>
void run_at_once(runtime& rt, std::string_view name, int count, Lead&& lead) {
    const auto op = rt.operation(name, std::forward<Lead>(lead));
    std::vector<token<int>> made;
    for (int i = 0; i < count; ++i) made.push_back(op(i));
    for (int i = 0; i < count; ++i) {
        CHECK(result_of(made[static_cast<std::size_t>(i)]) == i + 1);
    }
}

}  // namespace

TEST_CASE("waiting_never_deadlocks_in_isolation_for_what_waits_for_another_token") {
    for_each_crowd([](runtime& rt) {
        const auto leaf = rt.operation("leaf", [](int n) { return n; });
        const auto next = rt.operation("next", [](int n) { return n + 1; });
        const auto lead = rt.operation("lead", [&](int n) {
            // Made before the wait: it may not run on top of it.
            const token<int> first = leaf(n);
            return next(first).get(isolated);
        });
        for (int i = 0; i < 20; ++i) CHECK(result_of(lead(i)) == i + 1);
    });
}

TEST_CASE("waiting_never_deadlocks_in_isolation_for_a_turn") {
    for_each_crowd([](runtime& rt) {
        const auto line = rt.operation("line", serial("line"), [](int n) { return n; });
        const auto lead = rt.operation("lead", [&](int n) {
            for (int i = 0; i < 3; ++i) line(i);
            return line(n).get(isolated);
        });
        for (int i = 0; i < 20; ++i) CHECK(result_of(lead(i)) == i);
    });
}

TEST_CASE("waiting_never_deadlocks_in_a_turn_for_a_coroutine") {
    for_each_crowd([](runtime& rt) {
        const auto leaf = rt.operation("leaf", [](int n) { return n; });
        const auto next = rt.operation("next", [](int n) { return n + 1; });
        const auto lead = rt.operation("lead", serial("lead"), [&](int n) {
            const token<int> first = leaf(n);
            return sync_wait(result_in_task(next(first)));
        });
        for (int i = 0; i < 20; ++i) CHECK(result_of(lead(i)) == i + 1);
    });
}

TEST_CASE("waiting_never_deadlocks_when_whoever_stood_in_blocks_too") {
    // Each lead is begun by a thread that stands in for the one before.
    for_each_crowd([](runtime& rt) {
        const auto leaf = rt.operation("leaf", serial("leaf"), [](int n) { return n; });
        std::optional<operation<int(int)>> lead;
        lead = rt.operation("lead", [&](int n) {
            if (n == 0) return 0;
            const token<int> deeper = (*lead)(n - 1);
            const token<int> first = leaf(n);
            const int found = leaf(n).get(isolated);
            return deeper.get(isolated) + found / n;
        });
        CHECK(result_of((*lead)(50)) == 50);
    });
}

TEST_CASE("as_many_tokens_may_wait_in_isolation_as_are_in_flight") {
    runtime rt({.cores = 1, .workers_per_core = 2});
    const auto leaf = rt.operation("leaf", [](int n) { return n; });
    const auto next = rt.operation("next", [](int n) { return n + 1; });
    const auto line = rt.operation("line", serial("line"), [](int n) { return n + 1; });
    run_at_once(rt, "after", 2000, [&](int n) {
        const token<int> first = leaf(n);
        return next(first).get(isolated);
    });
    run_at_once(rt, "behind", 500, [&](int n) { return line(n).get(isolated); });
    settle_locality(rt);
}

TEST_CASE("a_wait_that_would_leave_nobody_fails_when_all_threads_are_blocked") {
    // What they wait for comes last, out of one lane: each needs a thread before it can go on.
    runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = 0});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto leaf = rt.operation("leaf", [] { return 1; });
    const auto next = rt.operation("next", [](int n) { return n; });
    const token<void> first = held();
    REQUIRE(gate.await(1));
    std::optional<token<int>> last;
    const auto lead = rt.operation("lead", [&] { return next(*last).get(isolated); });
    constexpr std::size_t threads = 1 + 256, count = threads + 50;
    std::vector<token<int>> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(lead());
    last = leaf();
    gate.release();
    std::size_t failed = 0;
    for (const auto& each : made) {
        REQUIRE(ends(each));
        if (each.state() == token_state::failed) {
            CHECK_THROWS_WITH_AS(static_cast<void>(each.get()), doctest::Contains("domain 0"),
                                 resource_error);
            ++failed;
        } else {
            CHECK(each.get() == 1);
        }
    }
    CHECK(result_of(*last) == 1);
    // One of them always goes on.
    CHECK(failed == count - (threads - 1));
    settle_locality(rt);
}

}  // namespace tokengate::test
