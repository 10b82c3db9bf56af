// SPDX-License-Identifier: Apache-2.0
// Many tokens from many threads: each runs exactly once.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "fibonacci.hpp"
#include "figure.hpp"
#include "ledger.hpp"
#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

/// Tokens of one run, and tokens whose handles are kept.
constexpr std::size_t tokens_in_a_run = 500'000;
constexpr std::size_t tokens_kept = 500'000;
constexpr std::size_t mebibyte = std::size_t{1} << 20U;

/// How often each token ran.
using runs = std::vector<std::atomic<std::uint8_t>>;

/// True if each ran once. This is what the tests below stand on.
bool each_once(const runs& counts) {
    for (const auto& each : counts) {
        if (each.load() != 1) return false;
    }
    return true;
}

/// Submits `size` tokens of all classes from several threads.
void submit(const std::array<operation<void(std::size_t)>, weight_count>& operations,
            std::size_t size, std::size_t threads) {
    std::vector<std::thread> crowd;
    for (std::size_t t = 0; t < threads; ++t) {
        crowd.emplace_back([&, t] {
            for (std::size_t i = t; i < size; i += threads) operations[i % weight_count](i);
        });
    }
    for (std::thread& each : crowd) each.join();
}

void run_once(const config& wanted, std::size_t size, std::size_t threads) {
    runtime rt(wanted);
    runs counts(size);
    const auto count = [&](std::size_t i) { counts[i].fetch_add(1); };
    const std::array operations{rt.operation("heavy", {.weight = weight::heavy}, count),
                                rt.operation("medium", {.weight = weight::medium}, count),
                                rt.operation("light", {.weight = weight::light}, count)};
    submit(operations, size, threads);
    settle(rt);
    CHECK(each_once(counts));
    CHECK(rt.stats().total().completed == size);
    CHECK(executed_in(rt.stats()) == size);
    figure("tokens run exactly once", size);
}

}  // namespace

TEST_CASE("the_check_of_load_tests_notices_a_token_that_is_lost_or_runs_twice") {
    runs counts(1000);
    for (auto& each : counts) each = 1;
    CHECK(each_once(counts));
    counts[500] = 0;
    CHECK_FALSE(each_once(counts));
    counts[500] = 2;
    CHECK_FALSE(each_once(counts));
}

TEST_CASE("every_token_of_a_load_runs_exactly_once") {
    for (const int cores : widths) {
        for (const std::size_t threads : {1U, 2U, 4U}) {
            INFO(cores, " domains, ", threads, " submitters");
            run_once({.cores = cores}, scaled(tokens_in_a_run), threads);
        }
    }
}

TEST_CASE("every_token_runs_once_with_several_workers_in_a_domain") {
    for (const int workers : {2, 4}) {
        INFO(workers, " workers");
        run_once({.cores = 3, .workers_per_core = workers}, scaled(tokens_in_a_run), 2);
    }
}

TEST_CASE("every_token_runs_once_at_small_limits") {
    struct limits {
        std::int64_t mailbox;
        std::int64_t in_flight;
    };
    for (const limits& each :
         {limits{1, 1000}, limits{1000, 1}, limits{3, 7}, limits{300, 300}, limits{5000, 5000}}) {
        for (const int cores : {1, 4}) {
            INFO("mailbox ", each.mailbox, ", in flight ", each.in_flight, ", ", cores, " domains");
            run_once({.cores = cores,
                      .mailbox_capacity = each.mailbox,
                      .in_flight_limit = each.in_flight},
                     scaled(20'000), 4);
        }
    }
}

TEST_CASE("tokens_that_make_tokens_all_run") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        std::atomic<std::size_t> ran{0};
        const operation<void(int)>* self = nullptr;
        const auto split = rt.operation("split", [&](int depth) {
            ran.fetch_add(1);
            if (depth == 0) return;
            (*self)(depth - 1);
            (*self)(depth - 1);
        });
        self = &split;
        split(14);
        settle(rt);
        CHECK(ran == (std::size_t{1} << 15U) - 1);
    }
}

TEST_CASE("recursion_by_tokens_ends_with_the_right_answer") {
    for (const int cores : {1, 2, 4, 8}) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains, ", workers, " workers each");
            runtime rt({.cores = cores, .workers_per_core = workers});
            CHECK(fibonacci_by_tokens(rt, 18) == 2584);
        }
    }
}

TEST_CASE("memory_of_tokens_goes_back_after_a_load") {
    runtime rt({.cores = 4});
    const auto text = rt.operation("text", [](std::string s) { return s + s; });
    const std::size_t before = detail::usage_of_pool().slab_bytes;
    {
        std::vector<token<std::string>> kept;
        for (std::size_t i = 0; i < scaled(tokens_kept); ++i) kept.push_back(text("ab"));
        wait_all(kept);
        CHECK(detail::usage_of_pool().slab_bytes >= scaled(tokens_kept) * 128);
    }
    settle(rt);
    // The depot keeps 4 MiB of a size class, the threads a little each.
    CHECK(detail::usage_of_pool().slab_bytes <= before + 16 * mebibyte);
}

TEST_CASE("memory_is_bounded_by_the_limit_and_not_by_the_load") {
    const std::size_t before = detail::usage_of_pool().slab_bytes;
    runtime rt({.cores = 2, .in_flight_limit = 1000});
    const auto op = rt.operation("op", [](const std::array<char, 300>&) {});
    for (std::size_t i = 0; i < scaled(500'000); ++i) op(std::array<char, 300>{});
    CHECK(detail::usage_of_pool().slab_bytes <= before + 8 * mebibyte);
    settle(rt);
}

}  // namespace tokengate::test
