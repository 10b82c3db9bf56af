// SPDX-License-Identifier: Apache-2.0
// Reductions: the values of blocks, combined in the order of the range.
#include <atomic>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t largest = std::numeric_limits<std::size_t>::max();

/// The same by one thread.
template <class T, class Combine>
T blockwise(const std::vector<T>& values, std::size_t grain, T value, Combine combine) {
    for (std::size_t i = 0; i < values.size(); i += grain) {
        const std::size_t end = std::min(values.size(), i + grain);
        T block = values[i];
        for (std::size_t k = i + 1; k < end; ++k) block = combine(block, values[k]);
        value = combine(value, block);
    }
    return value;
}

/// Numbers whose sum depends on the order.
std::vector<double> uneven(std::size_t count) {
    std::vector<double> all;
    double next = 1.0;
    for (std::size_t i = 0; i < count; ++i) {
        all.push_back(next);
        next = next > 1e12 ? 1e-9 : -1.7 * next;
    }
    return all;
}

/// Calls body(config) for several numbers of domains.
template <class Body>
void for_each_width(Body&& body) {
    for (const int cores : {1, 2, 4, 8}) {
        INFO(cores, " domains");
        body(config{.cores = cores});
    }
}

}  // namespace

TEST_CASE("parallel_reduce_gives_the_same_bits_in_each_run_and_on_any_cores") {
    const std::vector<double> values = uneven(10'000);
    for (const std::size_t grain : {1U, 7U, 64U, 1000U, 10'000U, 20'000U}) {
        INFO("blocks of ", grain);
        const double expected = blockwise(values, grain, 0.25, std::plus<>());
        for_each_width([&](const config& shape) {
            runtime rt(shape);
            const affinity homes(rt, block_count(values, grain));
            const auto same = [](double each) { return each; };
            for (int run = 0; run < 5; ++run) {
                CHECK(parallel_reduce(rt, values, grain, 0.25, same, std::plus<>()) == expected);
                CHECK(parallel_reduce(values, grain, 0.25, same, std::plus<>(), homes) == expected);
            }
            settle(rt);
        });
    }
}

TEST_CASE("parallel_reduce_keeps_the_order_of_the_range") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        std::string expected = ">";
        for (int i = 0; i < 500; ++i) expected += std::to_string(i) + ",";
        for (const weight each : all_weights) {
            for (const std::size_t grain : {std::size_t{1}, std::size_t{13}, largest}) {
                const std::string found = parallel_reduce(
                    rt, 500, grain, std::string(">"),
                    [](std::size_t i) { return std::to_string(i) + ","; }, std::plus<>(), each);
                CHECK(found == expected);
            }
        }
        settle_locality(rt);
        CHECK(rt.stats().operations.size() == weight_count);
        CHECK(rt.stats().operations[0].name == "parallel_reduce (heavy)");
    });
}

TEST_CASE("parallel_reduce_takes_the_values_of_elements_or_of_blocks") {
    runtime rt({.cores = 2});
    const std::vector<int> values = numbers(0, 1000);
    constexpr int all = 999 * 500;
    CHECK(parallel_reduce(rt, values, 9, 0, std::identity(), std::plus<>()) == all);
    CHECK(parallel_reduce(
              rt, values, 9, 0L,
              [&](interval block) {
                  long sum = 0;
                  for (const std::size_t i : block) sum += values[i];
                  return sum;
              },
              std::plus<>()) == all);
    CHECK(parallel_reduce(
              rt, interval{10, 20}, 3, std::size_t{0}, [](interval block) { return block.size(); },
              std::plus<>()) == 10);
    // Any of them.
    CHECK(parallel_reduce(
        rt, values, automatic_grain, false, [](int each) { return each == 77; },
        std::logical_or<>()));
    const auto larger = [](int a, int b) { return std::max(a, b); };
    CHECK(parallel_reduce(rt, values, 64, -1, std::identity(), larger) == 999);
    // Inside a token.
    const auto op = rt.operation("op", [&] {
        return parallel_reduce(
            100, 7, 0,
            [&](std::size_t i) {
                return parallel_reduce(
                    i, 3, 0, [](std::size_t) { return 1; }, std::plus<>());
            },
            std::plus<>());
    });
    const auto t = op();
    CHECK(result_of(t) == 99 * 50);
    CHECK_THROWS_AS(
        static_cast<void>(parallel_reduce(values, 9, 0, std::identity(), std::plus<>())), error);
    settle(rt);
}

TEST_CASE("a_reduction_of_nothing_is_its_identity") {
    runtime rt({.cores = 2});
    const auto never = [](std::size_t) -> int { throw std::logic_error("nothing to visit"); };
    CHECK(parallel_reduce(rt, 0, 1, 42, never, std::plus<>()) == 42);
    CHECK(parallel_reduce(rt, interval{7, 7}, largest, 42, never, std::plus<>()) == 42);
    CHECK(parallel_reduce(rt, std::vector<std::size_t>{}, automatic_grain, 42, never,
                          std::plus<>()) == 42);
    CHECK(rt.stats().total().accepted == 0);
}

TEST_CASE("values_of_a_reduction_are_moved_and_need_no_default") {
    struct basket {
        explicit basket(int first) : content(std::make_unique<std::vector<int>>(1, first)) {}
        std::unique_ptr<std::vector<int>> content;
    };
    for_each_width([](const config& shape) {
        runtime rt(shape);
        const basket all = parallel_reduce(
            rt, 100, 6, basket(-1), [](std::size_t i) { return basket(static_cast<int>(i)); },
            [](basket a, const basket& b) {
                a.content->insert(a.content->end(), b.content->begin(), b.content->end());
                return a;
            });
        CHECK(*all.content == numbers(-1, 100));
        settle(rt);
    });
}

TEST_CASE("a_reduction_throws_what_its_body_or_its_combination_throws") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        const auto shared = std::make_shared<int>(0);
        const auto reduce = [&](std::size_t at_element, int at_combination) {
            std::atomic<int> combined{0};
            static_cast<void>(parallel_reduce(
                rt, 100, 10, shared,
                [&](std::size_t i) {
                    if (i == at_element) throw std::out_of_range("element");
                    return shared;
                },
                [&](const std::shared_ptr<int>& a, const std::shared_ptr<int>&) {
                    if (combined++ == at_combination) throw std::range_error("combination");
                    return a;
                }));
        };
        reduce(100, 100);
        CHECK_THROWS_AS(reduce(55, 100), std::out_of_range);
        CHECK_THROWS_AS(reduce(100, 40), std::range_error);
        CHECK_THROWS_AS(reduce(100, 99), std::range_error);  // the last one, by the caller
        CHECK(shared.use_count() == 1);
        settle(rt);
    });
}

}  // namespace tokengate::test
