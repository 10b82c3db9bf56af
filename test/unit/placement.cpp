// SPDX-License-Identifier: Apache-2.0
// Core ranges, and the formula that maps positions to places.
#include "gate/placement.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/config.hpp>

#include "scale.hpp"
#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

using detail::place;
using detail::placement;

settings shape(unsigned cores, unsigned workers, std::array<unsigned, 3> first) {
    settings chosen;
    chosen.cores = cores;
    chosen.workers_per_core = workers;
    chosen.first_core = first;
    return chosen;
}

settings usual_shape(int cores) {
    const clean_hwloc_environment clean;
    std::optional<topology> machine;
    return resolve({.cores = cores}, machine);
}

}  // namespace

TEST_CASE("class_ranges_follow_the_contract_and_fall_back_on_small_machines") {
    struct expectation {
        int cores;
        std::array<unsigned, 3> first;  // heavy, medium, light
    };
    for (const expectation& each_shape :
         {expectation{1, {0, 0, 0}}, expectation{2, {0, 1, 1}}, expectation{3, {0, 1, 2}},
          expectation{4, {0, 1, 2}}, expectation{64, {0, 1, 2}}}) {
        const int cores = each_shape.cores;
        INFO(cores, " domains");
        const placement where(usual_shape(cores));
        for (const weight each : all_weights) {
            CHECK(where.range(each).first == each_shape.first[index_of(each)]);
            CHECK(where.range(each).last == static_cast<unsigned>(cores));
        }
    }
}

TEST_CASE("positions_map_to_places_by_the_documented_formula") {
    for (const unsigned cores : {1U, 2U, 3U, 4U, 7U, 64U}) {
        for (const unsigned workers : {1U, 2U, 3U, 8U}) {
            const std::array<unsigned, 3> first{0, std::min(1U, cores - 1),
                                                std::min(2U, cores - 1)};
            const placement where(shape(cores, workers, first));
            for (const weight each : all_weights) {
                const unsigned n = cores - first[index_of(each)];
                for (std::uint64_t p = 0; p < 3ULL * n * workers + 5; ++p) {
                    INFO(cores, " domains, ", workers, " workers, ", std::string(to_string(each)),
                         ", position ", p);
                    const place found = where.of(each, p);
                    const auto step = static_cast<unsigned>(p % n);
                    const unsigned domain =
                        each == weight::light ? cores - 1 - step : first[index_of(each)] + step;
                    REQUIRE(found.domain == domain);
                    REQUIRE(found.worker_hint == p / n % workers);
                }
            }
        }
    }
}

TEST_CASE("after_gives_the_place_of_the_next_position") {
    for (const unsigned cores : {1U, 2U, 3U, 4U, 5U, 64U}) {
        for (const unsigned workers : {1U, 2U, 5U}) {
            for (unsigned first = 0; first < cores; first += (cores > 8 ? 13 : 1)) {
                const placement where(shape(cores, workers, {first, first, first}));
                for (const weight each : all_weights) {
                    // Also far out, where a position no longer fits 32 bits.
                    for (const std::uint64_t start : {std::uint64_t{0}, std::uint64_t{1} << 40U}) {
                        place here = where.of(each, start);
                        for (std::uint64_t p = start; p < start + 300; ++p) {
                            REQUIRE(here == where.of(each, p));
                            here = where.after(each, here);
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("each_round_over_the_domains_is_staggered_by_one_worker") {
    const placement where(shape(4, 3, {0, 1, 2}));
    CHECK(where.of(weight::heavy, 0) == place{.domain = 0, .worker_hint = 0});
    CHECK(where.of(weight::heavy, 4) == place{.domain = 0, .worker_hint = 1});
    CHECK(where.of(weight::heavy, 12) == place{.domain = 0, .worker_hint = 0});
    CHECK(where.of(weight::medium, 3) == place{.domain = 1, .worker_hint = 1});
}

TEST_CASE("light_tokens_start_from_the_last_domain") {
    const placement where(shape(5, 1, {0, 1, 2}));
    std::vector<unsigned> domains;
    for (std::uint64_t p = 0; p < 4; ++p) domains.push_back(where.of(weight::light, p).domain);
    CHECK(domains == std::vector<unsigned>{4, 3, 2, 4});
}

}  // namespace tokengate::test
