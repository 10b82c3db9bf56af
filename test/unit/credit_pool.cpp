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
using detail::purse;

/// One number that both sides write: what was there when the worker began to add comes back.
class shared_balance {
  public:
    void earn() {
        const std::int64_t before = balance_.load();
        std::this_thread::yield();  // the window in which somebody may empty it
        balance_.store(before + 1);
    }
    std::int64_t empty() { return balance_.exchange(0); }

  private:
    std::atomic<std::int64_t> balance_{0};
};

/// What comes out of a purse in all into which one thread puts so many, while it and two others
/// empty it; -1 if something less than nothing ever came out.
template <class Purse>
std::int64_t comes_out(std::int64_t earned) {
    Purse credits;
    std::atomic<std::int64_t> sum{0};
    std::atomic<bool> negative{false};
    std::atomic<bool> complete{false};
    const auto take_out = [&] {
        const std::int64_t got = credits.empty();
        if (got < 0) negative = true;
        sum.fetch_add(got);
    };
    std::vector<std::thread> others;
    for (int t = 0; t < 2; ++t) {
        others.emplace_back([&] {
            while (!complete.load()) {
                take_out();
                std::this_thread::yield();
            }
        });
    }
    for (std::int64_t i = 1; i <= earned; ++i) {
        credits.earn();
        if (i % 1000 == 0) take_out();
    }
    complete = true;
    for (std::thread& each : others) each.join();
    take_out();
    return negative ? -1 : sum.load();
}

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

TEST_CASE("a_purse_holds_what_was_earned_until_it_is_emptied") {
    purse credits;
    CHECK(credits.count() == 0);
    CHECK(credits.empty() == 0);
    for (int i = 0; i < 3; ++i) credits.earn();
    CHECK(credits.count() == 3);
    CHECK(credits.empty() == 3);
    CHECK(credits.count() == 0);
    CHECK(credits.empty() == 0);
    credits.earn();
    CHECK(credits.count() == 1);
    CHECK(credits.empty() == 1);
}

TEST_CASE("no_credit_is_lost_or_made_when_others_empty_a_purse") {
    constexpr std::int64_t earned = 500'000;
    CHECK(comes_out<purse>(earned) == earned);
}

TEST_CASE("the_check_of_the_purse_catches_one_that_both_sides_write") {
    constexpr std::int64_t earned = 20'000;
    bool caught = false;
    for (int i = 0; i < 100 && !caught; ++i) caught = comes_out<shared_balance>(earned) != earned;
    CHECK(caught);
}

}  // namespace tokengate::test
