// SPDX-License-Identifier: Apache-2.0
// Who has nothing to do.
#include "sleep/idle_set.hpp"

#include <atomic>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::idle_set;

}  // namespace

TEST_CASE("a_new_idle_set_is_empty") {
    idle_set idle(100);
    CHECK_FALSE(idle.holds_any({}));
    CHECK_FALSE(idle.claim(0, 100).has_value());
    CHECK_FALSE(idle.lowest(0, 100).has_value());
    CHECK_FALSE(idle.withdraw(7));
}

TEST_CASE("a_claimed_worker_is_out_of_the_set") {
    idle_set idle(8);
    idle.announce(3);
    idle.announce(5);
    CHECK(idle.lowest(0, 8) == 3);
    CHECK(idle.holds_any({}));
    CHECK(idle.claim(0, 8) == 3);
    CHECK(idle.claim(0, 8) == 5);
    CHECK_FALSE(idle.claim(0, 8).has_value());
    CHECK_FALSE(idle.holds_any({}));
}

TEST_CASE("withdrawing_tells_whether_somebody_was_faster") {
    idle_set idle(2);
    idle.announce(0);
    CHECK(idle.withdraw(0));
    CHECK_FALSE(idle.withdraw(0));
    idle.announce(1);
    CHECK(idle.claim(0, 2) == 1);
    CHECK_FALSE(idle.withdraw(1));
}

TEST_CASE("ranges_are_honoured_across_word_borders") {
    constexpr std::size_t size = 200;
    for (const std::size_t worker : {0U, 1U, 63U, 64U, 65U, 127U, 128U, 191U, 192U, 199U}) {
        for (std::size_t first = 0; first < size; first += 7) {
            for (std::size_t last = first; last <= size; last += 11) {
                idle_set idle(size);
                idle.announce(worker);
                const bool inside = worker >= first && worker < last;
                REQUIRE(idle.holds_any(idle_set::from(first)) == (worker >= first));
                REQUIRE(idle.lowest(first, last).has_value() == inside);
                const auto claimed = idle.claim(first, last);
                REQUIRE(claimed.has_value() == inside);
                if (inside) REQUIRE(*claimed == worker);
            }
        }
    }
}

TEST_CASE("claiming_goes_from_the_first_number_up") {
    idle_set idle(130);
    for (const std::size_t worker : {129U, 64U, 2U, 70U}) idle.announce(worker);
    CHECK(idle.claim(3, 130) == 64);
    CHECK(idle.claim(3, 130) == 70);
    CHECK(idle.claim(3, 130) == 129);
    CHECK_FALSE(idle.claim(3, 130).has_value());
    CHECK(idle.lowest(0, 130) == 2);
}

TEST_CASE("each_announced_worker_is_claimed_once") {
    // Workers announce themselves and wait until they are claimed; every claim must hit a worker
    // that had announced itself, and no worker twice.
    constexpr std::size_t workers = 130;
    constexpr int rounds = 300;
    idle_set idle(workers);
    std::vector<std::atomic<int>> claims(workers);
    std::atomic<bool> stop{false};
    std::vector<std::thread> claimers;
    for (int c = 0; c < 3; ++c) {
        claimers.emplace_back([&, c] {
            while (!stop.load()) {
                const std::size_t first = c == 0 ? 0 : 40;
                if (const auto who = idle.claim(first, workers)) {
                    claims[*who].fetch_add(1);
                } else {
                    std::this_thread::yield();
                }
            }
        });
    }
    bool twice = false;
    bool forgotten = false;
    for (int round = 1; round <= rounds && !forgotten; ++round) {
        for (std::size_t w = 0; w < workers; ++w) idle.announce(w);
        for (std::size_t w = 0; w < workers; ++w) {
            int looks = 0;
            while (claims[w].load() < round && !forgotten) {
                std::this_thread::yield();
                forgotten = ++looks > 2'000'000;
            }
            twice = twice || claims[w].load() > round;
        }
    }
    stop = true;
    for (std::thread& each : claimers) each.join();
    CHECK_FALSE(twice);
    CHECK_FALSE(forgotten);
}

TEST_CASE("a_claim_and_a_withdrawal_never_both_succeed") {
    constexpr int rounds = 50'000;
    idle_set idle(1);
    std::atomic<int> claimed{0};
    std::atomic<bool> stop{false};
    std::thread claimer([&] {
        while (!stop.load()) {
            if (idle.claim(0, 1)) claimed.fetch_add(1);
        }
    });
    int withdrawn = 0;
    for (int i = 0; i < rounds; ++i) {
        idle.announce(0);
        if (idle.withdraw(0)) ++withdrawn;
    }
    stop = true;
    claimer.join();
    CHECK(withdrawn + claimed.load() == rounds);
}

}  // namespace tokengate::test
