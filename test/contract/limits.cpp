// SPDX-License-Identifier: Apache-2.0
// What happens at the limits: threads block, try_call refuses, workers run other tokens first.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "fibonacci.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// Calls without blocking until the first refusal; how many were accepted.
template <class Op>
std::int64_t fill(const Op& op) {
    std::int64_t accepted = 0;
    while (op.try_call().has_value()) ++accepted;
    return accepted;
}

/// A thread that makes one call, which is expected to block.
class blocked_call {
  public:
    explicit blocked_call(const operation<void()>& op)
        : thread_([this, op] {
              op();
              returned_ = true;
          }) {}
    ~blocked_call() { thread_.join(); }
    blocked_call(const blocked_call&) = delete;
    blocked_call& operator=(const blocked_call&) = delete;

    /// Looks for a while.
    [[nodiscard]] bool returns_within(std::chrono::milliseconds limit) {
        return eventually([this] { return returned_.load(); }, limit);
    }

  private:
    std::atomic<bool> returned_{false};
    std::thread thread_;
};

/// A key that is held, so that it stays in its domain.
struct kept_key {
    int key = -1;
    key_hold held;
};

/// The first key, of those that `op` takes, that is held in such a domain.
template <class Predicate>
kept_key key_where(const operation<void(int)>& op, Predicate&& wanted) {
    for (int key = 0; key < 1000; ++key) {
        key_hold held = op.hold(key);
        if (wanted(held.domain())) return {.key = key, .held = std::move(held)};
    }
    FAIL("no such key");
    return {};
}

}  // namespace

TEST_CASE("exactly_as_many_tokens_are_accepted_as_the_in_flight_limit_says") {
    for (const std::int64_t limit : {1, 2, 8, 255, 256, 1000, 5000}) {
        INFO("limit ", limit);
        runtime rt({.cores = 1, .in_flight_limit = limit});
        std::optional<hold> gate;
        const auto op = rt.operation("held", [&] { gate->pass(); });
        for (int round = 0; round < 3; ++round) {
            gate.emplace();
            CHECK(fill(op) == limit);
            CHECK(rt.stats().total().in_flight() == static_cast<std::uint64_t>(limit));
            gate->release();
            settle(rt);
        }
    }
}

TEST_CASE("exactly_as_many_tokens_wait_in_a_lane_as_its_capacity_says") {
    for (const std::int64_t capacity : {1, 2, 33, 300, 1000}) {
        INFO("capacity ", capacity);
        runtime rt({.cores = 1, .mailbox_capacity = capacity});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto medium = rt.operation("medium", [] {});
        const auto light = rt.operation("light", {.weight = weight::light}, [] {});
        held();
        REQUIRE(gate.await(1));
        CHECK(fill(medium) == capacity);
        // A full lane is its class's own business.
        CHECK(fill(light) == capacity);
        gate.release();
        settle(rt);
        CHECK(rt.stats().total().refused == 2);
    }
}

TEST_CASE("a_full_lane_sends_tokens_to_the_next_domain_of_the_range") {
    runtime rt({.cores = 4, .mailbox_capacity = 2, .steal = stealing::strict});
    hold gate;
    const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
    for (int i = 0; i < 4; ++i) held();
    REQUIRE(gate.await(4));
    std::vector<unsigned> placed(4);
    const auto light = rt.operation("light", {.weight = weight::light}, [] {});
    while (const auto t = light.try_call()) ++placed[t->domain()];
    CHECK(placed == std::vector<unsigned>{0, 0, 2, 2});
    gate.release();
    settle(rt);
}

TEST_CASE("several_submitters_together_stay_inside_the_limit") {
    for (const std::int64_t limit : {3, 100, 1000, 4096}) {
        INFO("limit ", limit);
        runtime rt({.cores = 1, .in_flight_limit = limit});
        hold gate;
        const auto op = rt.operation("held", [&] { gate.pass(); });
        std::atomic<std::int64_t> accepted{0};
        std::vector<std::thread> crowd;
        for (int i = 0; i < 3; ++i) crowd.emplace_back([&] { accepted += fill(op); });
        for (std::thread& each : crowd) each.join();
        CHECK(accepted <= limit);
        // Small pools are exact; in large ones a submitter may sit on a block of credits.
        CHECK(accepted >= (limit < 1024 ? limit : limit / 2));
        gate.release();
        settle(rt);
    }
}

TEST_CASE("a_thread_at_the_limit_blocks_until_there_is_room") {
    for (const bool lane_is_small : {true, false}) {
        INFO("the lane is small: ", lane_is_small);
        runtime rt({.cores = 1,
                    .mailbox_capacity = lane_is_small ? 1 : 100,
                    .in_flight_limit = lane_is_small ? 100 : 2});
        hold gate;
        const auto op = rt.operation("held", [&] { gate.pass(); });
        op();
        REQUIRE(gate.await(1));
        op();
        blocked_call third(op);
        blocked_call fourth(op);
        CHECK_FALSE(third.returns_within(20ms));
        CHECK(rt.stats().total().accepted == 2);
        gate.release();
        CHECK(third.returns_within(60s));
        CHECK(fourth.returns_within(60s));
        settle(rt);
        CHECK(rt.stats().total().accepted == 4);
    }
}

TEST_CASE("a_blocked_thread_goes_on_as_soon_as_there_is_room") {
    // Also when a token that comes later in the lane does not end before the blocked call returns.
    for (const std::int64_t capacity : {4, 255, 256, 4096}) {
        INFO("capacity ", capacity);
        runtime rt({.cores = 1, .mailbox_capacity = capacity});
        hold first;
        hold second;
        const auto on_first = rt.operation("first", [&] { first.pass(); });
        const auto on_second = rt.operation("second", [&] { second.pass(); });
        const auto nothing = rt.operation("nothing", [] {});
        on_first();
        REQUIRE(first.await(1));
        const std::int64_t before = capacity / 8 + 1;
        for (std::int64_t i = 0; i < before; ++i) nothing();
        on_second();
        static_cast<void>(fill(nothing));
        blocked_call late(nothing);
        CHECK_FALSE(late.returns_within(20ms));
        first.release();
        REQUIRE(second.await(1));
        CHECK(late.returns_within(5s));
        second.release();
    }
}

TEST_CASE("a_blocked_thread_sleeps") {
    // It has room in the lane, but none in flight: giving the one back must not wake it.
    runtime rt({.cores = 2, .mailbox_capacity = 1, .in_flight_limit = 1});
    hold gate;
    const auto op = rt.operation("op", {.weight = weight::heavy}, [&] { gate.pass(); });
    op();
    REQUIRE(gate.await(1));
    std::atomic<std::int64_t> cpu_time{-1};
    std::thread blocked([&] {
        rusage before{};
        rusage after{};
        getrusage(RUSAGE_THREAD, &before);
        op();
        getrusage(RUSAGE_THREAD, &after);
        cpu_time = after.ru_utime.tv_sec * 1'000'000 + after.ru_utime.tv_usec +
                   after.ru_stime.tv_sec * 1'000'000 + after.ru_stime.tv_usec -
                   (before.ru_utime.tv_sec * 1'000'000 + before.ru_utime.tv_usec +
                    before.ru_stime.tv_sec * 1'000'000 + before.ru_stime.tv_usec);
    });
    std::this_thread::sleep_for(500ms);
    gate.release();
    blocked.join();
    // It looks again once in a millisecond: some 10 ms of CPU, where a thread that does not sleep
    // takes all of the time that it gets.
    CHECK(cpu_time >= 0);
    CHECK(cpu_time < 120'000);
    settle(rt);
}

TEST_CASE("a_thread_that_blocks_on_one_class_does_not_hold_up_another") {
    runtime rt({.cores = 1, .mailbox_capacity = 1, .in_flight_limit = 3});
    hold gate;
    const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [&] { gate.pass(); });
    const auto light = rt.operation("light", {.weight = weight::light}, [] {});
    heavy();
    REQUIRE(gate.await(1));
    heavy();
    {
        // Two tokens are in flight; those who wait for room of the heavy lane have none.
        blocked_call stuck(heavy);
        CHECK_FALSE(stuck.returns_within(20ms));
        CHECK(light.try_call().has_value());
        gate.release();
    }
    settle(rt);
}

TEST_CASE("no_full_class_holds_up_another") {
    for (const weight full : all_weights) {
        for (const weight other : all_weights) {
            if (full == other) continue;
            INFO(std::string(to_string(full)), " is full, ", std::string(to_string(other)));
            runtime rt({.cores = 4, .mailbox_capacity = 2, .steal = stealing::strict});
            hold gate;
            const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
            for (int i = 0; i < 4; ++i) held();
            REQUIRE(gate.await(4));
            const auto fills = rt.operation("fills", {.weight = full}, [] {});
            const auto anchored = rt.operation(
                "anchored", {.weight = full, .sticky = sticky::by_anchor("one")}, [] {});
            while (fills.try_call()) {}
            while (anchored.try_call()) {}
            const auto op = rt.operation("op", {.weight = other}, [] {});
            const auto keyed = rt.operation(
                "keyed", {.weight = other, .sticky = sticky::by_anchor("another")}, [] {});
            CHECK(op.try_call().has_value());
            CHECK(keyed.try_call().has_value());
            gate.release();
            settle(rt);
        }
    }
}

TEST_CASE("a_refused_call_keeps_no_room") {
    runtime rt({.cores = 1, .mailbox_capacity = 1, .in_flight_limit = 3});
    hold gate;
    hold refused;
    const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [&] { gate.pass(); });
    const auto light = rt.operation("light", {.weight = weight::light}, [] {});
    heavy();
    REQUIRE(gate.await(1));
    heavy();
    std::thread other([&] {
        static_cast<void>(heavy.try_call());
        refused.pass();  // the thread stays, and does not call again
    });
    REQUIRE(refused.await(1));
    CHECK(light.try_call().has_value());
    refused.release();
    other.join();
    gate.release();
    settle(rt);
}

TEST_CASE("recursion_at_the_limit_goes_on") {
    for (const int cores : {1, 2}) {
        for (const std::int64_t limit : {1, 2, 8}) {
            for (const bool lane_is_small : {false, true}) {
                INFO(cores, " domains, limit ", limit, ", of the lane: ", lane_is_small);
                runtime rt({.cores = cores,
                            .mailbox_capacity = lane_is_small ? limit : 1000,
                            .in_flight_limit = lane_is_small ? 1000 : limit});
                CHECK(fibonacci_by_tokens(rt, 12) == 144);
            }
        }
    }
}

TEST_CASE("a_worker_at_the_limit_runs_other_tokens_first") {
    runtime rt({.cores = 1, .in_flight_limit = 4});
    std::atomic<int> ran{0};
    const auto small = rt.operation("small", [&] { ran.fetch_add(1); });
    const auto burst = rt.operation("burst", [&] {
        for (int i = 0; i < 1000; ++i) small();
        return ran.load();
    });
    const int ran_meanwhile = result_of(burst());
    CHECK(ran_meanwhile >= 1000 - 4);
    settle(rt);
    CHECK(ran == 1000);
}

TEST_CASE("a_long_chain_of_tokens_at_the_limit_does_not_use_up_the_stack" *
          doctest::skip(no_threads_in_children)) {
    const std::string end = in_child([] {
        runtime rt({.cores = 1, .in_flight_limit = 1});
        const operation<void(int)>* self = nullptr;
        const auto next = rt.operation("next", [&](int n) {
            if (n > 0) (*self)(n - 1);
        });
        self = &next;
        next(500'000);
        rt.wait_idle();
        return rt.stats().total().completed == 500'001 ? 0 : 1;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("workers_at_the_limit_do_not_open_it_for_others") {
    // A token keeps calling at the limit, on a worker that may not run others on its stack. Other
    // submitters must not profit from that.
    runtime rt({.cores = 1, .in_flight_limit = 4, .help_depth = 0});
    std::atomic<bool> enough{false};
    const auto child = rt.operation("child", [] {});
    const auto small = rt.operation("small", [] {});
    const auto parent = rt.operation("parent", [&] {
        while (!enough) child();
    });
    parent();
    std::atomic<int> sent{0};
    std::thread outside([&] {
        for (int i = 0; i < 500 && !enough; ++i) {
            small();
            sent.fetch_add(1);
        }
    });
    const bool opened = eventually([&] { return sent > 100; }, 500ms);
    CHECK_FALSE(opened);
    enough = true;
    outside.join();
    settle(rt);
}

TEST_CASE("a_serial_producer_is_held_to_the_limit_while_a_consumer_runs") {
    constexpr std::int64_t limit = 64;
    // Nobody stands in, so that it can be seen that the producer blocks.
    runtime rt({.cores = 3,
                .workers_per_core = 1,
                .mailbox_capacity = 16,
                .in_flight_limit = limit,
                .sticky_slots = 64,
                .reserve_workers = 0});
    hold gate;
    const auto sink = rt.operation("sink", {.sticky = sticky::by_arguments(sticky::serial)},
                                   [&](int) { gate.pass(); });
    std::atomic<int> made{0};
    const auto source = rt.operation(
        "source", {.sticky = sticky::by_anchor("source", sticky::serial)}, [&](int key) {
            for (; made < 2000; ++made) sink(key);
        });
    const key_hold home = source.hold(0);
    const kept_key far = key_where(sink, [&](unsigned domain) { return domain != home.domain(); });
    sink(far.key);
    REQUIRE(gate.await(1));
    const token<void> producer = source(far.key);
    CHECK(eventually([&] { return producer.done() || rt.stats().locality.short_of_reserves > 0; }));
    CHECK(made <= limit);
    gate.release();
    REQUIRE(ends(producer));
    REQUIRE(eventually([&] { return gate.arrived() == 2001; }));
    settle(rt);
}

TEST_CASE("a_serial_producer_is_held_to_the_limit_while_consumers_move") {
    // One more for each millisecond in which nothing moves; that is not many on end.
    constexpr int limit = 64;
    runtime rt({.cores = 3,
                .workers_per_core = 1,
                .mailbox_capacity = 16,
                .in_flight_limit = limit,
                .sticky_slots = 64,
                .spin_time = 0us});
    std::atomic<int> in_flight{0};
    int most = 0;
    const auto sink =
        rt.operation("sink", {.sticky = sticky::by_arguments(sticky::serial)}, [&](int) {
            for (std::atomic<int> i{0}; i < 2000; ++i) {}
            --in_flight;
        });
    const auto source = rt.operation(
        "source", {.sticky = sticky::by_anchor("source", sticky::serial)}, [&](int key) {
            for (std::size_t i = 0; i < scaled(10'000); ++i) {
                sink(key);
                most = std::max(most, ++in_flight);
            }
        });
    const key_hold home = source.hold(0);
    const kept_key far = key_where(sink, [&](unsigned domain) { return domain != home.domain(); });
    REQUIRE(ends(source(far.key)));
    settle(rt);
    CHECK(most <= 2 * limit);
}

TEST_CASE("a_lane_full_of_tokens_that_wait_for_a_turn_holds_up_nobody_whom_the_turn_waits_for") {
    runtime rt({.cores = 3, .workers_per_core = 1, .mailbox_capacity = 4, .sticky_slots = 64});
    hold turn;
    hold far_gate;
    std::optional<token<void>> awaited;
    const auto line = rt.operation("line", {.sticky = sticky::by_anchor("line", sticky::serial)},
                                   [&](int number) {
                                       if (number != 0) return;
                                       turn.pass();
                                       awaited->wait();
                                   });
    const auto near = rt.operation("near", {.sticky = sticky::by_arguments()}, [](int) {});
    std::atomic<int> near_key{0};
    const auto maker = rt.operation("maker", {.sticky = sticky::by_arguments()}, [&](int) {
        far_gate.pass();
        near(near_key);
    });
    const key_hold home = line.hold(0);
    const auto inside = key_where(near, [&](unsigned domain) { return domain == home.domain(); });
    const auto outside = key_where(maker, [&](unsigned domain) { return domain != home.domain(); });
    near_key = inside.key;
    // Somebody who has nothing to do with it goes on all the time.
    hold elsewhere;
    const auto busy =
        rt.operation("busy", {.weight = weight::heavy, .sticky = sticky::by_arguments()},
                     [&](int) { elsewhere.pass(); });
    const auto third = key_where(busy, [&](unsigned domain) {
        return domain != home.domain() && domain != outside.held.domain();
    });
    busy(third.key);
    REQUIRE(elsewhere.await(1));
    awaited = maker(outside.key);
    REQUIRE(far_gate.await(1));
    const token<void> first = line(0);
    REQUIRE(turn.await(1));
    // They fill the lane in which `near` has to go.
    while (line.try_call(1).has_value()) {}
    CHECK_FALSE(near.try_call(inside.key).has_value());
    turn.release();
    far_gate.release();
    REQUIRE(ends(*awaited));
    REQUIRE(ends(first));
    elsewhere.release();
    settle(rt);
}

}  // namespace tokengate::test
