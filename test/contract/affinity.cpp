// SPDX-License-Identifier: Apache-2.0
// Blocks of loops with places: the same ones in each sweep.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

/// Calls body(config) for several numbers of domains, and with one and two workers in each.
template <class Body>
void for_each_width(Body&& body) {
    for (const int cores : {1, 2, 4, 8}) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            body(config{.cores = cores, .workers_per_core = workers});
        }
    }
}

/// Where each block of a sweep runs.
std::vector<unsigned> places_in_sweep(const affinity& homes, std::size_t blocks) {
    std::vector<std::atomic<unsigned>> found(blocks);
    parallel_for(
        blocks, 1, [&](std::size_t i) { found[i] = here(); }, homes);
    return {found.begin(), found.end()};
}

std::vector<unsigned> places_of(const affinity& homes) {
    std::vector<unsigned> all;
    for (std::size_t i = 0; i < homes.size(); ++i) all.push_back(homes.domain(i));
    return all;
}

}  // namespace

TEST_CASE("each_sweep_meets_each_block_in_the_same_domain") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        for (const weight each : all_weights) {
            {
                const affinity homes(rt, 100, each);
                const std::vector<unsigned> expected = places_of(homes);
                for (int sweep = 0; sweep < 10; ++sweep) {
                    CHECK(places_in_sweep(homes, 100) == expected);
                    // Other work in between, for which keys without a hold would have moved.
                    parallel_for(
                        rt, 50, 1, [](int) {}, each);
                }
                // Fewer blocks have the places of the first ones.
                CHECK(places_in_sweep(homes, 30) ==
                      std::vector<unsigned>(expected.begin(), expected.begin() + 30));
                // Also from inside of a token.
                const auto op = rt.operation(to_string(each), {.weight = each},
                                             [&] { return places_in_sweep(homes, 100); });
                const auto t = op();
                CHECK(result_of(t) == expected);
            }
            settle_locality(rt);
        }
    });
}

TEST_CASE("an_affinity_deals_one_piece_of_the_range_to_each_domain_of_its_weight") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        const auto cores = rt.settings().cores;
        for (const weight each : all_weights) {
            const unsigned first = rt.settings().first_core[index_of(each)];
            for (const std::size_t blocks : {1U, 2U, 3U, 7U, 64U, 1000U}) {
                INFO(blocks, " blocks");
                const affinity homes(rt, blocks, each);
                CHECK(homes.size() == blocks);
                CHECK(homes.weight_class() == each);
                const std::vector<unsigned> all = places_of(homes);
                CHECK(std::is_sorted(all.begin(), all.end()));
                for (unsigned domain = 0; domain < cores; ++domain) {
                    const auto share =
                        static_cast<std::size_t>(std::count(all.begin(), all.end(), domain));
                    const std::size_t domains = cores - first;
                    CHECK(share <= (domain < first ? 0 : (blocks + domains - 1) / domains));
                    if (domain >= first) CHECK(share >= blocks / domains);
                }
                // Others of the same size agree.
                CHECK(places_of(affinity(rt, blocks, each)) == all);
            }
        }
        settle_locality(rt);
    });
}

TEST_CASE("a_loop_with_more_blocks_than_places_is_an_error") {
    runtime rt({.cores = 2});
    const auto never = [](std::size_t) { FAIL("no place"); };
    {
        const affinity homes(rt, 10);
        CHECK_THROWS_AS(parallel_for(11, 1, never, homes), error);
        CHECK_THROWS_AS(parallel_for(1, 1, never, affinity()), error);
        try {
            parallel_for(101, 10, never, homes);
            FAIL("it was taken");
        } catch (const error& wrong) {
            const std::string what = wrong.what();
            CHECK(what.find("11 blocks") != std::string::npos);
            CHECK(what.find("are 10") != std::string::npos);
        }
        std::atomic<int> calls{0};
        parallel_for(
            100, 10, [&](std::size_t) { ++calls; }, homes);
        CHECK(calls == 100);
    }
    CHECK(rt.stats().total().accepted == 10);
    settle_locality(rt);
}

TEST_CASE("the_automatic_grain_makes_a_block_for_each_place") {
    runtime rt({.cores = 4});
    const affinity homes(rt, 10);
    for (const std::size_t count : {1000U, 1001U, 10U, 3U}) {
        std::atomic<std::size_t> blocks{0};
        std::atomic<std::size_t> sum{0};
        parallel_for(
            count, automatic_grain,
            [&](interval block) {
                ++blocks;
                sum += block.size();
                CHECK(here() == homes.domain(block.first / ((count + 9) / 10)));
            },
            homes);
        CHECK(blocks == std::min<std::size_t>(count, 10));
        CHECK(sum == count);
    }
    settle(rt);
}

TEST_CASE("blocks_share_the_domains_of_calls_by_the_name_of_their_affinity") {
    for_each_width([](const config& shape) {
        runtime rt(shape);
        {
            const affinity homes(rt, 50, weight::heavy, "rows");
            const affinity same(rt, 50, weight::heavy, "rows");
            CHECK(places_of(same) == places_of(homes));
            const auto where =
                rt.operation("where", {.sticky = sticky::by_anchor_and_arguments("rows")},
                             [](std::size_t) { return here(); });
            for (std::size_t i = 0; i < 50; ++i) {
                const auto t = where(i);
                CHECK(result_of(t) == homes.domain(i));
            }
            CHECK(places_in_sweep(homes, 50) == places_of(homes));
        }
        settle_locality(rt);
    });
}

TEST_CASE("callables_may_ask_for_the_domain_that_they_run_in") {
    CHECK(this_token::domain() == 0);
    for_each_width([](const config& shape) {
        runtime rt(shape);
        const affinity homes(rt, 50);
        std::atomic<int> wrong{0};
        const auto look = [&](std::size_t i) {
            wrong += this_token::domain() != homes.domain(i) || this_token::domain() != here();
        };
        parallel_for(50, 1, look, homes);
        parallel_for(
            rt, 50, 1, [&](int) { wrong += this_token::domain() != here(); }, weight::heavy);
        CHECK(wrong == 0);
        settle(rt);
    });
}

TEST_CASE("an_affinity_can_be_moved_and_lets_go_of_its_keys") {
    runtime rt({.cores = 2});
    {
        affinity homes(rt, 20);
        CHECK(rt.stats().locality.pinned_tokens == 20);
        affinity other = std::move(homes);
        CHECK(rt.stats().locality.pinned_tokens == 20);
        CHECK(other.size() == 20);
        homes = affinity(rt, 5);
        CHECK(rt.stats().locality.pinned_tokens == 25);
        other = affinity();
        CHECK(rt.stats().locality.pinned_tokens == 5);
    }
    settle_locality(rt);
}

TEST_CASE("an_affinity_keeps_none_of_the_keys_that_it_has_tried_for_a_block") {
    // So few places that most keys meet others, of other domains.
    runtime rt({.cores = 8, .sticky_slots = 16});
    {
        const affinity homes(rt, 100);
        CHECK(rt.stats().locality.pinned_tokens == 100);
    }
    settle_locality(rt);
}

}  // namespace tokengate::test
