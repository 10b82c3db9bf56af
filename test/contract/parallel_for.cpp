// SPDX-License-Identifier: Apache-2.0
// Loops whose blocks are tokens: what they visit, and where they may be called.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <memory>
#include <new>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t largest = std::numeric_limits<std::size_t>::max();

/// How often each index was visited.
class visits {
  public:
    explicit visits(std::size_t count) : seen_(count) {}

    // Relaxed: read when the loop is over.
    void note(std::size_t i) { seen_[i].fetch_add(1, std::memory_order_relaxed); }

    /// True if each of them was visited so often since the last time.
    [[nodiscard]] bool all_are(int wanted) {
        bool equal = true;
        for (auto& each : seen_) equal = each.exchange(0) == wanted && equal;
        return equal;
    }

  private:
    std::vector<std::atomic<int>> seen_;
};

struct counted {
    std::atomic<int> calls{0};
    void call() { ++calls; }
};

/// Calls body(config) for several numbers of domains.
template <class Body>
void for_each_width(Body&& body) {
    for (const int cores : {1, 2, 4, 8}) {
        INFO(cores, " domains");
        body(config{.cores = cores});
    }
}

}  // namespace

TEST_CASE("parallel_for_visits_each_index_once") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        for (const weight each : all_weights) {
            for (const std::size_t count : {1U, 2U, 63U, 64U, 1000U, 20'000U}) {
                visits seen(count);
                for (const std::size_t grain :
                     {std::size_t{1}, std::size_t{3}, std::size_t{64}, count, count + 1, largest}) {
                    INFO(count, " in blocks of ", grain);
                    parallel_for(
                        rt, count, grain, [&](std::size_t i) { seen.note(i); }, each);
                    REQUIRE(seen.all_are(1));
                }
                parallel_for(rt, count, automatic_grain, [&](std::size_t i) { seen.note(i); });
                REQUIRE(seen.all_are(1));
            }
        }
        settle_locality(rt);
        CHECK(rt.stats().total().completed == rt.stats().total().accepted);
    });
}

TEST_CASE("parallel_for_cuts_a_range_into_blocks_of_the_grain") {
    runtime rt({.cores = 2});
    std::vector<std::atomic<int>> blocks(4);
    parallel_for(rt, interval{100, 135}, 10, [&](interval block) {
        CHECK(block.first % 10 == 0);
        CHECK(block.last == (block.first == 130 ? 135 : block.first + 10));
        ++blocks[(block.first - 100) / 10];
        std::size_t expected = block.first;
        for (const std::size_t i : block) CHECK(i == expected++);
        CHECK(expected == block.last);
    });
    for (const auto& each : blocks) CHECK(each == 1);
    CHECK(block_count(interval{100, 135}, 10) == 4);
    CHECK(block_count(30, 10) == 3);
    CHECK(block_count(std::vector<int>(31), 10) == 4);
    CHECK(block_count(0, 10) == 0);
    CHECK(rt.stats().total().accepted == 4);
    settle(rt);
    const runtime_stats seen = rt.stats();
    REQUIRE(seen.operations.size() == 1);
    CHECK(seen.operations[0].name == "parallel_for (medium)");
}

TEST_CASE("parallel_for_goes_over_ranges_of_the_standard_library") {
    runtime rt({.cores = 2});
    std::vector<int> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), 0);
    parallel_for(rt, numbers, 10, [](int& each) { each *= 2; });
    parallel_for(rt, numbers, 10, [](auto& each) { ++each; });
    for (int i = 0; i < 1000; ++i) REQUIRE(numbers[static_cast<std::size_t>(i)] == 2 * i + 1);
    // Its blocks are indices.
    parallel_for(rt, numbers, 7, [&](const interval& block) {
        for (const std::size_t i : block) numbers[i] = static_cast<int>(i);
    });
    std::atomic<int> sum{0};
    parallel_for(rt, std::as_const(numbers), 10, [&](const int& each) { sum += each; });
    parallel_for(rt, std::vector<int>(500, 1), 10, [&](int each) { sum += each; });
    std::array<int, 5> few{1, 2, 3, 4, 5};
    parallel_for(rt, few, 2, [&](int each) { sum += each; });
    int plain[]{1, 2, 3};
    parallel_for(rt, plain, 2, [&](int each) { sum += each; });
    CHECK(sum == 999 * 500 + 500 + 15 + 6);
    std::deque<counted> objects(100);
    parallel_for(rt, objects, 9, &counted::call);
    for (const counted& each : objects) CHECK(each.calls == 1);
    static_assert(!loop_range<std::list<int>>);
    static_assert(!loop_range<bool>);
    static_assert(!loop_range<runtime&>);
    settle(rt);
}

TEST_CASE("parallel_for_makes_no_copy_of_its_body") {
    runtime rt({.cores = 2});
    std::atomic<int> sum{0};
    parallel_for(rt, 100, 10, [&sum, own = std::make_unique<int>(2)](int) { sum += *own; });
    CHECK(sum == 200);
    struct pinned {
        std::atomic<int> calls{0};
        pinned() = default;
        pinned(const pinned&) = delete;
        pinned& operator=(const pinned&) = delete;
        void operator()(std::size_t) { ++calls; }
    } body;
    parallel_for(rt, 100, 10, body);
    parallel_for(rt, 100, 10, std::ref(body));
    CHECK(body.calls == 200);
    static std::atomic<int> calls{0};
    calls = 0;
    void (*const function)(std::size_t) = [](std::size_t) { ++calls; };
    parallel_for(rt, 100, 10, function);
    parallel_for(rt, 100, 10, *function);
    CHECK(calls == 200);
    settle(rt);
}

TEST_CASE("a_loop_over_nothing_does_nothing") {
    runtime rt({.cores = 2});
    const auto never = [](std::size_t) { FAIL("nothing to visit"); };
    parallel_for(rt, 0, 1, never);
    parallel_for(rt, -5, 1, never);
    parallel_for(rt, interval{}, 1, never);
    parallel_for(rt, interval{5, 5}, automatic_grain, never);
    parallel_for(rt, interval{5, 4}, largest, never);
    parallel_for(rt, std::vector<std::size_t>{}, 3, never);
    parallel_for(0, 1, never, affinity(rt, 0));
    rt.stop();
    parallel_for(rt, 0, 1, never);
    CHECK(rt.stats().total().accepted == 0);
}

TEST_CASE("loops_reach_up_to_the_largest_number") {
    runtime rt({.cores = 2});
    std::atomic<std::size_t> sum{0};
    parallel_for(rt, interval{largest - 5, largest}, 2, [&](std::size_t i) { sum += largest - i; });
    CHECK(sum == 1 + 2 + 3 + 4 + 5);
    for (const std::size_t grain : {largest, largest - 1, largest / 2, largest / 2 + 1,
                                    largest / 1000, std::size_t{1} << 63U}) {
        INFO("blocks of ", grain);
        sum = 0;
        std::atomic<std::size_t> blocks{0};
        parallel_for(rt, largest, grain, [&](interval block) {
            CHECK(block.first < block.last);
            CHECK(block.size() <= grain);
            sum += block.size();
            ++blocks;
        });
        CHECK(sum == largest);
        CHECK(blocks == block_count(largest, grain));
    }
    sum = 0;
    parallel_for(rt, largest, automatic_grain, [&](interval block) { sum += block.size(); });
    CHECK(sum == largest);
    const std::uint64_t accepted = rt.stats().total().accepted;
    if (!sanitized) {
        CHECK_THROWS_AS(parallel_for(rt, largest, 1, [](interval) {}), std::bad_alloc);
        CHECK_THROWS_AS(parallel_for(rt, largest / 4, 1, [](interval) {}), std::bad_alloc);
        CHECK_THROWS_AS(affinity(rt, largest), std::bad_alloc);
    }
    CHECK(rt.stats().total().accepted == accepted);
    settle(rt);
}

TEST_CASE("a_grain_below_one_is_refused_with_what_is_allowed") {
    runtime rt({.cores = 1});
    const auto never = [](std::size_t) { FAIL("no grain"); };
    CHECK_THROWS_AS(parallel_for(rt, 10, 0, never), error);
    CHECK_THROWS_AS(parallel_for(rt, 10, 0U, never), error);
    CHECK_THROWS_AS(static_cast<void>(block_count(10, 0)), error);
    try {
        parallel_for(rt, 10, -3, never);
        FAIL("it was taken");
    } catch (const error& wrong) {
        const std::string what = wrong.what();
        CHECK(what.find("grain of -3") != std::string::npos);
        CHECK(what.find("1 and more") != std::string::npos);
    }
    CHECK(rt.stats().total().accepted == 0);
}

TEST_CASE("loops_inside_tokens_need_no_runtime") {
    for_each_width([](const config& shape) {
        for (const int limit : {1, 3, 1'000'000}) {
            config limited = shape;
            limited.in_flight_limit = limit;
            INFO("at most ", limit, " in flight");
            runtime rt(limited);
            visits seen(60 * 50);
            const auto rows = rt.operation("rows", [&](std::size_t from, std::size_t to) {
                parallel_for(interval{from, to}, 1, [&](std::size_t row) {
                    parallel_for(50, 7, [&](std::size_t i) { seen.note(row * 50 + i); });
                });
            });
            const auto one = rows(0U, 30U);
            const auto other = rows(30U, 60U);
            REQUIRE(ends(one));
            REQUIRE(ends(other));
            CHECK(seen.all_are(1));
            settle_locality(rt);
        }
    });
}

TEST_CASE("a_loop_without_a_runtime_outside_of_a_token_is_an_error") {
    runtime rt({.cores = 1});
    CHECK_THROWS_AS(parallel_for(10, 1, [](int) {}), error);
    try {
        parallel_for(10, 1, [](int) {});
    } catch (const error& wrong) {
        CHECK(std::string(wrong.what()).find("first argument") != std::string::npos);
    }
    CHECK(rt.stats().total().accepted == 0);
}

TEST_CASE("a_token_may_loop_in_another_runtime") {
    runtime inner({.cores = 2});
    runtime outer({.cores = 2});
    visits seen(1000);
    const auto op = outer.operation("op", [&] {
        parallel_for(inner, 1000, 10, [&](std::size_t i) { seen.note(i); });
        // In that of the token again.
        parallel_for(10, 1, [](int) {});
    });
    const auto t = op();
    REQUIRE(ends(t));
    t.get();
    CHECK(seen.all_are(1));
    settle(outer);
    settle(inner);
    CHECK(inner.stats().total().completed == 100);
    CHECK(outer.stats().total().completed == 11);
}

TEST_CASE("any_threads_may_loop_at_once_from_the_start") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        constexpr std::size_t threads = 8;
        visits seen(threads * 500);
        std::vector<std::thread> all;
        for (std::size_t t = 0; t < threads; ++t) {
            all.emplace_back([&, t] {
                const auto note = [&](std::size_t i) { seen.note(i); };
                for (int round = 0; round < 20; ++round) {
                    const weight which = all_weights[t % weight_count];
                    parallel_for(rt, interval{500 * t, 500 * t + 500}, 5, note, which);
                }
            });
        }
        for (std::thread& each : all) each.join();
        CHECK(seen.all_are(20));
        CHECK(rt.stats().operations.size() == weight_count);
        settle(rt);
    });
}

TEST_CASE("blocks_of_a_loop_are_dealt_to_all_workers_however_short_those_before_were") {
    for_each_width([](const config& shape) {
        config two_each = shape;
        two_each.workers_per_core = 2;
        runtime rt(two_each);
        const std::size_t workers = 2 * rt.settings().cores;
        parallel_for(
            rt, 10'000, 1, [](int) {}, weight::heavy);
        hold gate;
        std::thread caller([&] {
            parallel_for(
                rt, workers, 1, [&](std::size_t) { gate.pass(); }, weight::heavy);
        });
        CHECK(gate.await(workers));  // side by side
        gate.release();
        caller.join();
        settle(rt);
    });
}

TEST_CASE("loops_are_bound_by_limits") {
    for (const int limit : {1, 2, 100}) {
        INFO("limit ", limit);
        runtime rt({.cores = 2, .mailbox_capacity = limit, .in_flight_limit = limit});
        visits seen(3000);
        parallel_for(rt, 3000, 1, [&](std::size_t i) { seen.note(i); });
        CHECK(seen.all_are(1));
        const affinity homes(rt, 300);
        parallel_for(
            3000, 10, [&](std::size_t i) { seen.note(i); }, homes);
        CHECK(seen.all_are(1));
        settle(rt);
    }
    // One operation that is not a loop's.
    runtime rt({.cores = 1, .operation_limit = 1});
    static_cast<void>(rt.operation("other", [] {}));
    CHECK_THROWS_AS(parallel_for(rt, 1, 1, [](int) {}), operation_error);
    settle(rt);
}

TEST_CASE("loops_where_each_token_is_watched") {
    for (const bool remembered : {true, false}) {
        config shape{.cores = 2};
        if (remembered) {
            shape.history = 100;
        } else {
            shape.memory_limit = 10'000'000;
        }
        runtime rt(shape);
        visits seen(1000);
        parallel_for(rt, 1000, 10, [&](std::size_t i) { seen.note(i); });
        const affinity homes(rt, 100);
        parallel_for(
            1000, 10, [&](std::size_t i) { seen.note(i); }, homes);
        CHECK(seen.all_are(2));
        CHECK_THROWS_AS(parallel_for(rt, 100, 1, [](int) { throw 1; }), int);
        settle(rt);
        if (remembered) CHECK(rt.history().size() == 100);
    }
}

TEST_CASE("a_loop_in_a_chain_stays_in_its_domain") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        const affinity homes(rt, 100);
        const auto lead = rt.operation("lead", {.external_calls = {"parallel_for"}}, [&] {
            const unsigned home = here();
            std::atomic<int> outside{0};
            const auto look = [&](std::size_t) { outside += here() != home; };
            parallel_for(100, 1, look, weight::light);
            parallel_for(100, 1, look, homes);
            return outside.load();
        });
        for (int i = 0; i < 10; ++i) {
            const auto t = lead();
            CHECK(result_of(t) == 0);
        }
        REQUIRE(rt.wait_idle_for(hang_limit));
        CHECK(rt.stats().locality.open_chains == 0);
        check_ledger(rt);
    });
}

}  // namespace tokengate::test
