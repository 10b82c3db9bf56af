// SPDX-License-Identifier: Apache-2.0
// In which order a worker serves the lanes of a mailbox.
#include <algorithm>
#include <array>
#include <cstdint>

#include <doctest/doctest.h>

#include "domain/mailbox.hpp"
#include "random.hpp"

namespace tokengate::test {
namespace {

using detail::all_lanes;
using detail::bit_of;
using detail::fresh_lanes;
using detail::lane;
using detail::lane_count;
using detail::lane_mask;
using detail::lane_of;
using detail::lane_rota;

lane serve(lane_rota& rota, lane_mask occupied) {
    const auto chosen = rota.next(occupied);
    REQUIRE(chosen.has_value());
    REQUIRE((occupied & bit_of(*chosen)) != 0);
    rota.served(*chosen);
    return *chosen;
}

}  // namespace

TEST_CASE("an_empty_mailbox_is_not_served") { CHECK_FALSE(lane_rota(4).next(0).has_value()); }

TEST_CASE("fresh_lanes_are_served_in_rotation") {
    lane_rota rota(4);
    for (int round = 0; round < 3; ++round) {
        for (const bool anchored : {false, true}) {
            for (const weight each : all_weights) {
                CHECK(serve(rota, fresh_lanes) == lane_of(each, anchored));
            }
        }
    }
    const lane_mask two = bit_of(lane::heavy) | bit_of(lane::light);
    CHECK(serve(rota, two) == lane::heavy);
    CHECK(serve(rota, two) == lane::light);
    CHECK(serve(rota, two) == lane::heavy);
    CHECK(serve(rota, bit_of(lane::medium)) == lane::medium);
}

TEST_CASE("at_most_one_retry_is_served_in_stride_plus_one_tokens") {
    for (const std::uint32_t stride : {1U, 2U, 4U, 7U}) {
        INFO("stride ", stride);
        lane_rota rota(stride);
        std::uint32_t fresh = 0;
        for (int i = 0; i < 200; ++i) {
            if (serve(rota, all_lanes) == lane::retry) {
                CHECK(fresh == stride);
                fresh = 0;
            } else {
                ++fresh;
                CHECK(fresh <= stride);
            }
        }
    }
}

TEST_CASE("a_retry_is_served_at_once_when_nothing_fresh_waits") {
    lane_rota rota(1000);
    for (int i = 0; i < 5; ++i) CHECK(serve(rota, bit_of(lane::retry)) == lane::retry);
    CHECK(serve(rota, all_lanes) != lane::retry);
    CHECK(serve(rota, bit_of(lane::retry)) == lane::retry);
}

TEST_CASE("looking_without_serving_changes_nothing") {
    lane_rota rota(4);
    for (int i = 0; i < 10; ++i) CHECK(rota.next(fresh_lanes) == lane::heavy);
}

TEST_CASE("no_lane_that_stays_occupied_starves") {
    seeded random;
    for (const std::uint32_t stride : {1U, 4U, 9U}) {
        lane_rota rota(stride);
        std::array<unsigned, lane_count> waited{};
        const lane patient = static_cast<lane>(random.below(lane_count));
        for (int i = 0; i < 10'000; ++i) {
            const auto others = static_cast<lane_mask>(random.below(all_lanes + 1));
            const lane chosen = serve(rota, others | bit_of(patient));
            unsigned& waits = waited[static_cast<std::size_t>(patient)];
            waits = chosen == patient ? 0 : waits + 1;
            // A fresh lane waits for all others, and for a retry after every `stride` of them.
            constexpr unsigned others_fresh = lane_count - 2;
            const unsigned most = others_fresh + others_fresh / stride + 1;
            REQUIRE(waits <= (patient == lane::retry ? stride : most));
        }
    }
}

// Two of them go the same way, one of which records what it takes in a row at the end of the row.
TEST_CASE("a_row_recorded_at_its_end_counts_as_if_each_had_been_recorded") {
    seeded random;
    lane_rota single(4);
    lane_rota rows(4);
    detail::source_rota single_source;
    detail::source_rota row_source;
    for (int i = 0; i < 10'000; ++i) {
        const auto occupied = static_cast<lane_mask>(1 + random.below(all_lanes));
        const auto sources = std::uint64_t{1} << random.below(64) | 1U;
        REQUIRE(single.again() == rows.again());
        REQUIRE(single.retry_is_due() == rows.retry_is_due());
        const lane which = serve(single, occupied);
        REQUIRE(serve(rows, occupied) == which);
        const unsigned from = single_source.next(sources);
        REQUIRE(row_source.next(sources) == from);
        REQUIRE(row_source.rounds() == single_source.rounds());
        single_source.served(from);
        row_source.served(from);
        if (which == lane::retry) continue;
        const std::uint64_t most =
            std::min<std::uint64_t>(rows.left_in_a_row(), row_source.left_in_a_row());
        const auto more = static_cast<unsigned>(random.below(most + 1));
        for (unsigned n = 0; n < more; ++n) {
            single.served(which);
            single_source.served(from);
        }
        if (more == 0) continue;
        rows.served_again(more);
        row_source.served_again(more);
    }
}

}  // namespace tokengate::test
