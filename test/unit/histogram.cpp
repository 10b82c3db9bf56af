// SPDX-License-Identifier: Apache-2.0
// Percentiles of durations, against sorted ones.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"
#include "telemetry/histogram.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;
using detail::histogram;

namespace {

constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max();

/// The smallest of sorted durations that so many hundredths of them do not exceed.
std::int64_t exact(const std::vector<std::int64_t>& sorted, std::size_t hundredths) {
    return sorted[(sorted.size() * hundredths + 99) / 100 - 1];
}

/// True if a duration is found but for an error of at most a 16th.
bool close_to(std::int64_t found, std::int64_t wanted) {
    const std::int64_t error = found > wanted ? found - wanted : wanted - found;
    return error <= wanted / 16;
}

}  // namespace

TEST_CASE("an_empty_histogram_is_all_zeros") {
    histogram times;
    CHECK(times.look(0) == histogram::snapshot{});
    CHECK(times.look(longest) == histogram::snapshot{});
}

TEST_CASE("durations_below_16_ns_are_found_exactly") {
    for (std::int64_t each = 0; each < 16; ++each) {
        histogram times;
        times.record(each, 0);
        CHECK(times.look(0) == histogram::snapshot{.count = 1,
                                                   .p50 = each,
                                                   .p95 = each,
                                                   .p99 = each,
                                                   .max = each,
                                                   .mean = static_cast<double>(each)});
    }
}

TEST_CASE("percentiles_of_few_durations_are_by_nearest_rank") {
    histogram times;
    for (const std::int64_t each : {4, 1, 3, 2}) times.record(each, 0);
    CHECK(times.look(0) ==
          histogram::snapshot{.count = 4, .p50 = 2, .p95 = 4, .p99 = 4, .max = 4, .mean = 2.5});
    times.record(15, 0);
    CHECK(times.look(0) ==
          histogram::snapshot{.count = 5, .p50 = 3, .p95 = 15, .p99 = 15, .max = 15, .mean = 5.0});
}

TEST_CASE("each_percentile_is_where_a_hundred_durations_have_it") {
    histogram times;
    // 94 of 1 ns, 4 of 2 ns, 2 of 3 ns.
    for (int i = 0; i < 94; ++i) times.record(1, 0);
    for (int i = 0; i < 4; ++i) times.record(2, 0);
    for (int i = 0; i < 2; ++i) times.record(3, 0);
    const auto seen = times.look(0);
    CHECK(seen.count == 100);
    CHECK(seen.p50 == 1);
    CHECK(seen.p95 == 2);
    CHECK(seen.p99 == 3);
}

TEST_CASE("buckets_follow_each_other_without_a_gap_and_answer_with_a_duration_of_theirs") {
    CHECK(histogram::bucket_of(0) == 0);
    CHECK(histogram::bucket_of(longest) == histogram::buckets - 1);
    for (std::size_t bucket = 0; bucket < histogram::buckets; ++bucket) {
        CHECK(histogram::bucket_of(histogram::middle_of(bucket)) == bucket);
    }
    // Around each power of two and each step between two of them.
    for (unsigned power = 0; power < 63; ++power) {
        const std::int64_t base = std::int64_t{1} << power;
        for (std::int64_t step = 0; step < 8; ++step) {
            const std::int64_t from = base + (power < 3 ? step : step * (base / 8));
            if (from < 1) continue;
            const std::size_t below = histogram::bucket_of(from - 1);
            const std::size_t here = histogram::bucket_of(from);
            CHECK((here == below || here == below + 1));
            CHECK(close_to(histogram::middle_of(here), from));
            CHECK(close_to(histogram::middle_of(below), from - 1));
        }
    }
}

TEST_CASE("percentiles_are_off_by_a_sixteenth_at_most") {
    seeded random;
    for (int round = 0; round < 60; ++round) {
        // From narrow to all over the range, with as many bits as comes.
        const auto bits = static_cast<unsigned>(1 + random.below(62));
        const bool any_size = round % 2 == 0;
        const auto count = static_cast<std::size_t>(1 + random.below(round % 3 == 0 ? 5 : 3000));
        histogram times;
        std::vector<std::int64_t> all;
        double sum = 0.0;
        for (std::size_t i = 0; i < count; ++i) {
            const std::uint64_t drop = any_size ? random.below(bits) : 0;
            const auto each =
                static_cast<std::int64_t>(random.below(std::uint64_t{1} << bits) >> drop);
            all.push_back(each);
            sum += static_cast<double>(each);
            times.record(each, 0);
        }
        std::sort(all.begin(), all.end());
        const auto seen = times.look(0);
        INFO(count, " durations of up to ", bits, " bits");
        CHECK(seen.count == count);
        CHECK(seen.max == all.back());
        CHECK(seen.mean == doctest::Approx(sum / static_cast<double>(count)));
        CHECK(close_to(seen.p50, exact(all, 50)));
        CHECK(close_to(seen.p95, exact(all, 95)));
        CHECK(close_to(seen.p99, exact(all, 99)));
    }
}

TEST_CASE("the_longest_and_the_impossible_durations_are_taken") {
    histogram times;
    times.record(longest, 0);
    auto seen = times.look(0);
    CHECK(seen.max == longest);
    CHECK(close_to(seen.p50, longest));
    CHECK(seen.mean == doctest::Approx(static_cast<double>(longest)));
    // Sums of these do not overflow.
    for (int i = 0; i < 9; ++i) times.record(longest, 0);
    CHECK(times.look(0).mean == doctest::Approx(static_cast<double>(longest)));
    // A clock that goes backwards.
    histogram backwards;
    backwards.record(-5, 0);
    backwards.record(std::numeric_limits<std::int64_t>::min(), 0);
    CHECK(backwards.look(0) == histogram::snapshot{.count = 2});
}

TEST_CASE("what_is_older_than_the_window_is_forgotten_slice_by_slice") {
    // 3 slices of 10.
    histogram times(30ns, 3);
    times.record(1, 5);
    times.record(2, 12);
    times.record(3, 29);
    CHECK(times.look(29).count == 3);
    // The slice from 30 on takes the place of that from 0 on, and so forth.
    auto seen = times.look(30);
    CHECK(seen.count == 2);
    CHECK(seen.p50 == 2);
    CHECK(seen.max == 3);
    CHECK(times.look(39).count == 2);
    seen = times.look(40);
    CHECK(seen.count == 1);
    CHECK(seen.mean == 3.0);
    times.record(4, 41);
    CHECK(times.look(49).count == 2);
    CHECK(times.look(50).count == 1);
    CHECK(times.look(69).max == 4);
    CHECK(times.look(70) == histogram::snapshot{});
}

TEST_CASE("a_far_jump_of_time_forgets_everything_and_what_comes_late_is_of_the_present") {
    constexpr std::array<std::int64_t, 4> jumps{30, 1'000'000, std::int64_t{1} << 40, longest};
    for (const std::int64_t to : jumps) {
        INFO("to ", to);
        histogram times(30ns, 3);
        for (std::int64_t now = 0; now < 30; ++now) times.record(7, now);
        CHECK(times.look(29).count == 30);
        if (to > 60) CHECK(times.look(to) == histogram::snapshot{});
        times.record(9, to);
        CHECK(times.look(to).max == 9);
        const std::uint64_t before = times.look(to).count;
        times.record(8, 3);
        CHECK(times.look(to).count == before + 1);
        CHECK(times.look(0).count == before + 1);
    }
    // From the earliest time that there is to the latest one.
    histogram times;
    times.record(1, std::numeric_limits<std::int64_t>::min());
    CHECK(times.look(std::numeric_limits<std::int64_t>::min()).count == 1);
    CHECK(times.look(longest).count == 0);
    // Before zero, slices are as long as after it.
    histogram around(30ns, 3);
    around.record(1, -1);
    CHECK(around.look(19).count == 1);
    CHECK(around.look(20).count == 0);
}

TEST_CASE("the_usual_window_is_a_minute_in_six_slices") {
    histogram times;
    const auto at = [](std::chrono::nanoseconds time) { return std::int64_t{time.count()}; };
    times.record(1, at(0s));
    times.record(1, at(10s));
    CHECK(times.look(at(59s)).count == 2);
    CHECK(times.look(at(60s)).count == 1);
    CHECK(times.look(at(69s)).count == 1);
    CHECK(times.look(at(70s)).count == 0);
}

TEST_CASE("a_window_that_is_too_short_for_its_slices_still_counts") {
    for (const std::size_t slices : {std::size_t{0}, std::size_t{1}, std::size_t{5}}) {
        histogram times(0ns, slices);
        times.record(3, 100);
        CHECK(times.look(100).count == 1);
        CHECK(times.look(200).count == 0);
    }
}

}  // namespace tokengate::test
