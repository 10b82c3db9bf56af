// SPDX-License-Identifier: Apache-2.0
// Waits that block every thread of a domain, reserves included, for tokens that only it can run.
#include <atomic>
#include <cstddef>
#include <mutex>
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

/// Of tokens that run where their anchor is, which may be any domain.
operation_traits kept_at(const std::string& anchor) {
    return {.weight = weight::heavy, .sticky = sticky::by_anchor(anchor)};
}

/// An anchor, and the domain that its tokens are kept in.
struct place {
    std::string anchor;
    key_hold stays;
};

/// A place in another domain than that of a key.
place other_than(runtime& rt, const key_hold& key) {
    for (int i = 0;; ++i) {
        const std::string name = "other " + std::to_string(i);
        const auto op = rt.operation(name, kept_at(name), [] {});
        place found{name, op.hold()};
        if (found.stays.domain() != key.domain()) return found;
    }
}

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

TEST_CASE("as_many_threads_stand_in_as_tokens_wait_for_what_lies_behind_them_all") {
    runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = 0});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto leaf = rt.operation("leaf", [] { return 1; });
    const auto next = rt.operation("next", [](int n) { return n; });
    const token<void> first = held();
    REQUIRE(gate.await(1));
    std::optional<token<int>> last;
    const auto lead = rt.operation("lead", [&] { return next(*last).get(isolated); });
    std::vector<token<int>> made;
    for (int i = 0; i < 256; ++i) made.push_back(lead());
    last = leaf();
    gate.release();
    for (const auto& each : made) CHECK(result_of(each) == 1);
    settle_locality(rt);
}

TEST_CASE("a_lock_that_a_token_holds_while_it_waits_may_block_all_other_threads") {
    // Of its own domain, or of that in which the awaited token lies.
    for (const bool same : {true, false}) {
        for (const int reserves : {0, 1, 4}) {
            INFO("the same domain ", same, ", ", reserves, " reserves");
            runtime rt({.cores = 2, .workers_per_core = 1, .reserve_workers = reserves});
            std::mutex shared;
            hold gate;
            const auto there = rt.operation("there", kept_at("there"), [](int n) { return n; });
            const auto next = rt.operation("next", kept_at("there"), [](int n) { return n; });
            const key_hold stays = there.hold(0);
            const auto locks = rt.operation("locks", kept_at("there"), [&] {
                blocking([&] { const std::scoped_lock guard(shared); });
            });
            const auto body = [&] {
                const std::scoped_lock guard(shared);
                gate.pass();
                return next(there(7)).get(isolated);
            };
            const place elsewhere = other_than(rt, stays);
            const std::string anchor = same ? "there" : elsewhere.anchor;
            const auto lead = rt.operation("lead", kept_at(anchor), body);
            const token<int> waits = lead();
            REQUIRE(gate.await(1));
            std::vector<token<void>> made;
            for (int i = 0; i < 2 * (reserves + 2); ++i) made.push_back(locks());
            gate.release();
            CHECK(result_of(waits) == 7);
            for (const auto& each : made) REQUIRE(ends(each));
            settle(rt);
        }
    }
}

TEST_CASE("a_join_does_not_keep_its_domain_from_what_the_joined_callable_waits_for") {
    for (const int reserves : {0, 1}) {
        runtime rt({.cores = 2, .workers_per_core = 1, .reserve_workers = reserves});
        const auto there = rt.operation("there", kept_at("there"), [] { return 7; });
        const key_hold stays = there.hold();
        hold gate;
        std::atomic<int> found{0};
        const place elsewhere = other_than(rt, stays);
        const auto killed = rt.operation("killed", kept_at(elsewhere.anchor), [&] {
            gate.pass();
            found = there().get(isolated);
        });
        const token<void> joined = killed();
        REQUIRE(gate.await(1));
        const auto joins = rt.operation("joins", kept_at("there"), [&] {
            joined.kill();
            gate.release();
            joined.join();
            return found.load();
        });
        CHECK(result_of(joins()) == 7);
        settle(rt);
    }
}

}  // namespace tokengate::test
