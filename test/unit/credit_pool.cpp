// SPDX-License-Identifier: Apache-2.0
// Counted room.
#include "domain/credits.hpp"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::credit_pool;

}  // namespace

TEST_CASE("a_pool_hands_out_what_it_has_and_no_more") {
    credit_pool pool(5);
    CHECK(pool.total() == 5);
    CHECK(pool.take(3) == 3);
    CHECK(pool.take(3) == 2);
    CHECK(pool.take(1) == 0);
    CHECK(pool.available() == 0);
}

TEST_CASE("small_pools_move_single_credits") {
    for (const std::int64_t total : {1, 2, 255, 256, 1023}) {
        INFO("total ", total);
        const credit_pool pool(total);
        CHECK(pool.block() == 1);
        for (const std::int64_t submitters : {1, 2, 100}) CHECK(pool.block(submitters) == 1);
    }
}

TEST_CASE("submitters_never_sit_on_more_than_half_of_a_pool") {
    for (const std::int64_t total : {2048, 65'536, 1'048'576}) {
        const credit_pool pool(total);
        CHECK(pool.block() >= 1);
        CHECK(pool.block() <= 64);
        for (const std::int64_t submitters : {1, 10, 1000, 100'000}) {
            INFO("total ", total, ", submitters ", submitters);
            const std::int64_t block = pool.block(submitters);
            const bool bounded = block == 1 || block * submitters * 2 <= total;
            CHECK(bounded);
        }
    }
    CHECK(credit_pool(65'536).block(1) == 64);
}

TEST_CASE("a_small_pool_calls_for_a_wake_up_when_it_was_empty") {
    credit_pool pool(4);
    CHECK(pool.take(4) == 4);
    CHECK(pool.give(1));
    CHECK_FALSE(pool.give(1));
    CHECK(pool.take(2) == 2);
    CHECK(pool.give(2));
}

TEST_CASE("a_large_pool_calls_for_a_wake_up_once_on_its_way_to_full") {
    for (const std::int64_t total : {1024, 65'536}) {
        credit_pool pool(total);
        CHECK(pool.take(total) == total);
        int calls = 0;
        for (std::int64_t i = 0; i < total; ++i) calls += pool.give(1) ? 1 : 0;
        CHECK(calls == 1);
        CHECK(pool.available() == total);
    }
}

TEST_CASE("credits_are_conserved_under_concurrency") {
    constexpr std::int64_t total = 10;
    credit_pool pool(total);
    std::atomic<std::int64_t> held{0};
    std::atomic<bool> too_many{false};
    std::vector<std::thread> crowd;
    for (int t = 0; t < 4; ++t) {
        crowd.emplace_back([&, t] {
            for (int i = 0; i < 20'000; ++i) {
                const std::int64_t got = pool.take(1 + (i + t) % 4);
                if (held.fetch_add(got) + got > total) too_many = true;
                held.fetch_sub(got);
                if (got != 0) static_cast<void>(pool.give(got));
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    CHECK_FALSE(too_many);
    CHECK(pool.available() == total);
}

}  // namespace tokengate::test
