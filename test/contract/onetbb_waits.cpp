// SPDX-License-Identifier: Apache-2.0
// Waits for tokens inside raw oneTBB code, and oneTBB's waits inside tokens.
#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <vector>

#include <doctest/doctest.h>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "guests.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

constexpr std::array<int, 4> core_counts{1, 2, 4, 8};

/// Calls body(config) for each number of domains, without and with threads of oneTBB's that help.
template <class Body>
void for_each_width(Body&& body) {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        for (const int slots : {0, 1, 3}) {
            INFO(cores, " domains, ", slots, " arena slots");
            body(config{.cores = cores, .arena_slots = slots});
        }
    }
}

}  // namespace

TEST_CASE("bodies_of_a_raw_parallel_for_may_wait_for_tokens") {
    for_each_width([](const config& wanted) {
        runtime rt(wanted);
        const auto square = rt.operation("square", [](int n) { return n * n; });
        std::atomic<long> sum{0};
        tbb::parallel_for(0, 500, [&](int n) { sum += square(n).get(); });
        CHECK(sum == 41'541'750);
        settle_locality(rt);
    });
}

TEST_CASE("tasks_of_a_raw_task_group_may_wait_for_tokens") {
    for_each_width([](const config& wanted) {
        runtime rt(wanted);
        const auto square = rt.operation("square", [](int n) { return n * n; });
        std::atomic<long> sum{0};
        tbb::task_group group;
        for (int n = 0; n < 200; ++n) {
            group.run([&, n] {
                tbb::task_group inner;
                inner.run([&] { sum += square(n).get(); });
                inner.run([&] { sum += square(n).get(); });
                inner.wait();
            });
        }
        group.wait();
        CHECK(sum == 2 * 2'646'700);
        settle_locality(rt);
    });
}

TEST_CASE("bodies_of_a_parallel_for_inside_a_token_may_wait_for_tokens") {
    for_each_width([](const config& wanted) {
        runtime rt(wanted);
        const auto square = rt.operation("square", [](int n) { return n * n; });
        const auto sum_up = rt.operation("sum_up", {.weight = weight::heavy}, [&](int first) {
            std::atomic<long> sum{0};
            tbb::parallel_for(first, first + 100, [&](int n) { sum += square(n).get(); });
            return sum.load();
        });
        std::vector<token<long>> tokens;
        for (int i = 0; i < 16; ++i) tokens.push_back(sum_up(0));
        for (const auto& each : tokens) CHECK(result_of(each) == 328'350);
        settle_locality(rt);
    });
}

TEST_CASE("a_guest_that_waits_for_a_token_does_not_hold_up_the_domain") {
    // The only worker waits inside oneTBB for the guest, the guest for a token that only this
    // domain may run.
    const clean_hwloc_environment clean;
    const onetbb_threads enough(4);
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .arena_slots = 1});
        std::atomic<int> ran{0};
        const auto work =
            rt.operation("work", {.weight = weight::heavy, .sticky = sticky::by_anchor("here")},
                         [&] { return ++ran; });
        const auto lead =
            rt.operation("lead", {.weight = weight::heavy, .sticky = sticky::by_anchor("here")},
                         [&] { return beside_a_guest([&] { work().wait(); }); });
        CHECK(result_of(lead()));
        CHECK(ran == 2);
        settle_locality(rt);
    }
}

TEST_CASE("a_guest_that_blocks_does_not_hold_up_the_domain") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(4);
    runtime rt({.cores = 1, .arena_slots = 1});
    hold gate;
    const auto open = rt.operation("open", [&] { gate.release(); });
    const auto lead = rt.operation("lead", [&] {
        return beside_a_guest([&] {
            if (is_worker()) return;
            open.post();
            blocking([&] { gate.pass(); });
        });
    });
    CHECK(result_of(lead()));
    settle_locality(rt);
}

TEST_CASE("a_guest_that_finds_no_room_does_not_hold_up_the_domain") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(4);
    runtime rt({.cores = 1, .arena_slots = 1, .mailbox_capacity = 2});
    std::atomic<int> ran{0};
    const auto work = rt.operation("work", [&] { ++ran; });
    const auto lead = rt.operation("lead", [&] {
        return beside_a_guest([&] {
            if (is_worker()) return;
            for (int i = 0; i < 200; ++i) work.post();
        });
    });
    CHECK(result_of(lead()));
    settle_locality(rt);
    CHECK(ran == 200);
}

TEST_CASE("tokens_and_algorithms_may_be_nested_both_ways") {
    for_each_width([](const config& wanted) {
        runtime rt(wanted);
        const auto leaf = rt.operation("leaf", [](int n) {
            std::atomic<int> sum{0};
            tbb::parallel_for(0, n, [&](int) { ++sum; });
            return sum.load();
        });
        const auto branch = rt.operation("branch", [&](int n) {
            return tbb::parallel_reduce(
                tbb::blocked_range<int>(0, n, 1), 0,
                [&](const tbb::blocked_range<int>& range, int sum) {
                    for (int i = range.begin(); i < range.end(); ++i) sum += leaf(10).get();
                    return sum;
                },
                std::plus<>());
        });
        std::atomic<int> sum{0};
        tbb::parallel_for(0, 16, [&](int) { sum += branch(16).get(); });
        CHECK(sum == 16 * 16 * 10);
        settle_locality(rt);
    });
}

TEST_CASE("what_a_body_on_a_guest_throws_comes_out_of_the_token") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(4);
    runtime rt({.cores = 1, .arena_slots = 1});
    const auto fail = rt.operation("fail", []() -> int { throw std::runtime_error("no"); });
    const auto lead = rt.operation("lead", [&] {
        return beside_a_guest([&] {
            if (!is_worker()) static_cast<void>(fail().get());
        });
    });
    const auto t = lead();
    REQUIRE(ends(t));
    CHECK_THROWS_AS(demand(t), std::runtime_error);
    settle_locality(rt);
}

// What goes wrong without isolation: a wait of oneTBB's inside `inner` takes up a task of `outer`
// that waits for `inner`, which lies beneath it on the same stack.
TEST_CASE("a_foreign_task_on_top_of_the_token_that_it_waits_for_gets_deadlock") {
    const clean_hwloc_environment clean;
    runtime rt({.cores = 1, .arena_slots = 0});
    tbb::task_group inner_tasks;
    std::optional<tbb::task_handle> missing;
    const auto inner = rt.operation("inner", [&] {
        missing = inner_tasks.defer([] {});
        inner_tasks.wait();
    });
    const auto outer = rt.operation("outer", {.weight = weight::heavy}, [&] {
        const token<void> awaited = inner();
        bool refused = false;
        tbb::task_group own_tasks;
        own_tasks.run([&] {
            try {
                awaited.wait();
            } catch (const deadlock&) {
                refused = true;
            }
            inner_tasks.run(std::move(*missing));
        });
        awaited.wait();
        own_tasks.wait();
        return refused;
    });
    CHECK(result_of(outer()));
    settle_locality(rt);
}

TEST_CASE("an_isolated_algorithm_takes_up_no_foreign_task") {
    for_each_width([](const config& wanted) {
        runtime rt(wanted);
        std::atomic<int> sum{0};
        const auto inner = rt.operation("inner", [&] {
            tbb::this_task_arena::isolate([&] { tbb::parallel_for(0, 64, [&](int) { ++sum; }); });
        });
        const auto outer = rt.operation("outer", {.weight = weight::heavy}, [&] {
            const token<void> shared = inner();
            tbb::parallel_for(0, 64, [&](int) { shared.wait(); });
        });
        std::vector<token<void>> tokens;
        for (int i = 0; i < 8; ++i) tokens.push_back(outer());
        for (const auto& each : tokens) {
            REQUIRE(ends(each));
            CHECK_NOTHROW(demand(each));
        }
        CHECK(sum == 8 * 64);
        settle_locality(rt);
    });
}

}  // namespace tokengate::test
