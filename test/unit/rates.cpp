// SPDX-License-Identifier: Apache-2.0
// Attempts and failures in a window, and moving averages.
#include <chrono>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"
#include "telemetry/rates.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;
using detail::moving_average;
using detail::outcome_window;
using counts = outcome_window::counts;

TEST_CASE("without_attempts_nothing_fails") {
    outcome_window lately(100ns);
    CHECK(lately.look(0) == counts{});
    CHECK(lately.look(0).failure_rate() == 0.0);
}

TEST_CASE("attempts_and_failures_are_counted") {
    outcome_window lately(100ns);
    for (int i = 0; i < 8; ++i) lately.record(i % 4 == 0, i);
    CHECK(lately.look(8) == counts{.attempts = 8, .failures = 2});
    CHECK(lately.look(8).failure_rate() == 0.25);
    lately.record(true, 8);
    CHECK(lately.look(8).failure_rate() == doctest::Approx(3.0 / 9.0));
    lately.clear();
    CHECK(lately.look(8) == counts{});
    lately.record(true, 9);
    CHECK(lately.look(9).failure_rate() == 1.0);
    // What was cleared is not taken away a second time.
    CHECK(lately.look(1000) == counts{});
}

TEST_CASE("what_is_older_than_the_window_counts_no_more") {
    // 4 slices of 25.
    outcome_window lately(100ns, 4);
    lately.record(true, 0);
    lately.record(false, 30);
    lately.record(true, 99);
    CHECK(lately.look(99) == counts{.attempts = 3, .failures = 2});
    CHECK(lately.look(100) == counts{.attempts = 2, .failures = 1});
    CHECK(lately.look(125) == counts{.attempts = 1, .failures = 1});
    CHECK(lately.look(174) == counts{.attempts = 1, .failures = 1});
    CHECK(lately.look(175) == counts{});
    lately.record(false, std::numeric_limits<std::int64_t>::max());
    CHECK(lately.look(std::numeric_limits<std::int64_t>::max()).attempts == 1);
    // What comes late is of the present.
    lately.record(true, 5);
    CHECK(lately.look(5) == counts{.attempts = 2, .failures = 1});
}

TEST_CASE("a_window_counts_what_a_list_of_all_attempts_does") {
    seeded random;
    constexpr std::int64_t slice = 10;
    constexpr std::int64_t slices = 5;
    outcome_window lately(std::chrono::nanoseconds(slice * slices), slices);
    struct attempt {
        std::int64_t at;
        bool failed;
    };
    std::vector<attempt> all;
    std::int64_t now = 0;
    for (int i = 0; i < 5000; ++i) {
        now += static_cast<std::int64_t>(random.below(random.below(50) == 0 ? 200 : 4));
        const bool failed = random.below(3) == 0;
        lately.record(failed, now);
        all.push_back({now, failed});
        counts expected;
        for (const attempt& each : all) {
            if (each.at / slice + slices <= now / slice) continue;
            ++expected.attempts;
            if (each.failed) ++expected.failures;
        }
        REQUIRE(lately.look(now) == expected);
    }
}

TEST_CASE("a_moving_average_begins_at_the_first_sample_and_moves_by_an_eighth") {
    moving_average average;
    CHECK(average.samples() == 0);
    CHECK(average.value() == 0.0);
    average.add(80.0);
    CHECK(average.value() == 80.0);
    average.add(160.0);
    CHECK(average.value() == 90.0);
    average.add(10.0);
    CHECK(average.value() == 80.0);
    CHECK(average.samples() == 3);
    for (int i = 0; i < 200; ++i) average.add(1000.0);
    CHECK(average.value() == doctest::Approx(1000.0));
    CHECK(average.samples() == 203);
}

}  // namespace tokengate::test
