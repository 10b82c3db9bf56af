// SPDX-License-Identifier: Apache-2.0
// Isolated waits: nothing foreign runs on the stack of the one who waits.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// A mutex that knows if its own thread wants it a second time, which would hang.
class watched_mutex {
  public:
    void lock() {
        if (owner_.load() == std::this_thread::get_id()) {
            foreign = true;
            return;
        }
        lock_.lock();
        owner_ = std::this_thread::get_id();
    }
    void unlock() {
        if (foreign) return;
        owner_ = std::thread::id();
        lock_.unlock();
    }

    std::atomic<bool> foreign{false};  ///< a token ran on top of one that has the lock

  private:
    std::mutex lock_;
    std::atomic<std::thread::id> owner_{};
};

/// What tokens that lock a mutex are declared with.
std::array<operation_traits, 4> all_traits() {
    return {operation_traits{.weight = weight::heavy},
            operation_traits{.sticky = sticky::by_anchor("key")},
            operation_traits{.sticky = sticky::by_anchor("key", sticky::serial)},
            operation_traits{.external_calls = {"child"}}};
}

}  // namespace

TEST_CASE("a_mutex_may_be_held_across_an_isolated_wait") {
    for (const int reserves : {0, 1, 16}) {
        for (const operation_traits& traits : all_traits()) {
            for (const int cores : {1, 2, 4}) {
                INFO(cores, " domains, ", reserves, " reserve workers");
                runtime rt({.cores = cores,
                            .workers_per_core = 1,
                            .sticky_slots = 64,
                            .reserve_workers = reserves});
                watched_mutex shared;
                int sum = 0;
                // All workers may run it: those that could must not all wait for the mutex.
                const auto child =
                    rt.operation("child", {.weight = weight::heavy}, [](int n) { return n; });
                const auto op = rt.operation("op", traits, [&](int n) {
                    const std::scoped_lock guard(shared);
                    sum += child(n).get(isolated);
                });
                for (int i = 0; i < 200; ++i) op(1);
                settle_locality(rt);
                CHECK_FALSE(shared.foreign);
                CHECK(sum == 200);
            }
        }
    }
}

TEST_CASE("what_the_awaited_token_waits_for_runs_nothing_foreign_either") {
    for (const int cores : {1, 2, 4}) {
        for (const int deque_capacity : {2, 1024}) {
            runtime rt({.cores = cores,
                        .workers_per_core = 1,
                        .deque_capacity = deque_capacity,
                        .sticky_slots = 64});
            watched_mutex shared;
            int sum = 0;
            std::optional<operation<int(int)>> nested;
            nested = rt.operation("nested", {.weight = weight::heavy}, [&](int depth) {
                if (depth == 0) return 1;
                std::vector<token<int>> made;
                for (int i = 0; i < 3; ++i) made.push_back((*nested)(depth - 1));
                int count = 0;
                for (const auto& each : made) count += each.get();
                return count;
            });
            const auto op = rt.operation("op", [&] {
                const std::scoped_lock guard(shared);
                sum += (*nested)(3).get(isolated);
            });
            const auto outer = rt.operation("outer", {.external_calls = {"op"}}, [&] {
                std::vector<token<void>> made;
                for (int i = 0; i < 5; ++i) made.push_back(op());
                wait_all(made);
            });
            for (int i = 0; i < 10; ++i) {
                outer();
                op();
            }
            settle_locality(rt);
            CHECK_FALSE(shared.foreign);
            CHECK(sum == 60 * 27);
        }
    }
}

TEST_CASE("an_isolated_wait_inside_an_isolated_wait_ends") {
    for (const int reserves : {0, 1, 16}) {
        for (const int cores : {1, 2, 4}) {
            runtime rt({.cores = cores, .workers_per_core = 1, .reserve_workers = reserves});
            std::optional<operation<int(int)>> op;
            op = rt.operation("op", [&](int depth) {
                return depth == 0 ? 0 : (*op)(depth - 1).get(isolated) + 1;
            });
            for (int i = 0; i < 10; ++i) CHECK(result_of((*op)(100)) == 100);
            settle_locality(rt);
        }
    }
}

TEST_CASE("an_isolated_wait_leaves_what_its_token_has_created_before_to_others") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 1, .sticky_slots = 64});
        watched_mutex shared;
        std::atomic<int> ran{0};
        const auto locks = rt.operation("locks", [&] {
            const std::scoped_lock guard(shared);
            ++ran;
        });
        const auto child =
            rt.operation("child", {.weight = weight::heavy}, [](int n) { return n; });
        const auto lead = rt.operation("lead", {.external_calls = {"locks"}}, [&] {
            const std::scoped_lock guard(shared);
            for (int i = 0; i < 10; ++i) locks();
            return child(1).get(isolated);
        });
        for (int i = 0; i < 20; ++i) lead();
        settle_locality(rt);
        CHECK_FALSE(shared.foreign);
        CHECK(ran == 200);
    }
}

TEST_CASE("an_isolated_wait_for_a_token_that_another_domain_runs_ends") {
    for (const int reserves : {0, 16}) {
        runtime rt({.cores = 4, .workers_per_core = 1, .reserve_workers = reserves});
        const auto far =
            rt.operation("far", {.sticky = sticky::by_anchor("far")}, [] { return 1; });
        const key_hold home = far.hold();
        const auto op = rt.operation("op", [&] { return far().get(isolated); });
        std::vector<token<int>> made;
        for (int i = 0; i < 200; ++i) made.push_back(op());
        for (const auto& each : made) CHECK(result_of(each) == 1);
        settle(rt);
    }
}

TEST_CASE("a_worker_that_may_run_nothing_passes_wake_ups_on") {
    // Domain 0 is held, domain 1 waits for it alone, and nobody may stand in: what is placed there
    // is for the one that sleeps.
    for (int round = 0; round < 20; ++round) {
        runtime rt({.cores = 3, .reserve_workers = 0, .spin_time = 0us, .steal = stealing::soft});
        hold gate;
        std::atomic<bool> waiting{false};
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto quick = rt.operation("quick", {.weight = weight::heavy}, [] {});
        const token<void> awaited = held();
        REQUIRE(gate.await(1));
        const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
            waiting = true;
            awaited.wait(isolated);
        });
        waits();
        REQUIRE(eventually([&] { return waiting.load(); }));
        for (int i = 0; i < 10; ++i) REQUIRE(ends(quick()));
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("an_isolated_wait_outside_of_tokens_is_a_wait") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [](int n) { return n; });
    const token<int> t = op(3);
    t.wait(isolated);
    CHECK(t.get(isolated) == 3);
    CHECK(op(4).get(isolated) == 4);
    settle_locality(rt);
}

TEST_CASE("a_waiter_with_a_stand_in_hears_when_the_turn_of_its_token_comes") {
    // The only stand-in gives the turn on, and then waits itself for one behind: who waits for the
    // token whose turn it is has to run it.
    for (const bool alone : {true, false}) {
        INFO("the lead's wait is isolated: ", alone);
        runtime rt({.cores = 1,
                    .workers_per_core = 1,
                    .sticky_slots = 64,
                    .reserve_workers = 1,
                    .spin_time = 0us,
                    .help_depth = 0});
        std::optional<token<int>> last;
        int ran = 0;  // in the strand
        const auto waits = rt.operation("waits", [&] { return last->get(isolated); });
        const auto op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)}, [&](int n) {
                // Before the next one of its key: that one comes through the mailbox.
                if (n == 0) waits();
                return ++ran;
            });
        const auto lead = rt.operation("lead", [&] {
            op(0);
            const token<int> next = op(1);
            last = op(2);
            return alone ? next.get(isolated) : next.get();
        });
        CHECK(result_of(lead()) == 2);
        settle_locality(rt);
        CHECK(ran == 3);
    }
}

TEST_CASE("whatever_a_worker_runs_while_a_serial_token_waits_may_call_for_the_same_turn") {
    // As one of them on top of the other, neither could go on.
    for (const int reserves : {0, 1, 16}) {
        for (const int cores : {1, 2}) {
            INFO(cores, " domains, ", reserves, " reserve workers");
            runtime rt({.cores = cores,
                        .workers_per_core = 1,
                        .sticky_slots = 64,
                        .reserve_workers = reserves});
            runtime other({.cores = 1});
            hold gate;
            std::atomic<bool> begun{false};
            std::atomic<bool> called{false};
            const auto held = other.operation("held", [&] { gate.pass(); });
            const token<void> awaited = held();
            REQUIRE(gate.await(1));
            const auto update = rt.operation(
                "update", {.sticky = sticky::by_anchor("key", sticky::serial)}, [&](bool first) {
                    if (!first) return 2;
                    begun = true;
                    awaited.wait();
                    return 1;
                });
            const auto reader = rt.operation("reader", {.weight = weight::heavy}, [&] {
                const token<int> behind = update(false);
                called = true;
                return behind.get();
            });
            const token<int> first = update(true);
            REQUIRE(eventually([&] { return begun.load(); }));
            const token<int> unrelated = reader();
            // Without reserves the reader may have to wait for the worker itself.
            if (reserves > 0) REQUIRE(eventually([&] { return called.load(); }));
            gate.release();
            CHECK(result_of(first) == 1);
            CHECK(result_of(unrelated) == 2);
            settle_locality(rt);
            settle(other);
        }
    }
}

}  // namespace tokengate::test
