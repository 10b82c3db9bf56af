// SPDX-License-Identifier: Apache-2.0
// The map of domains: how machines are cut, ranked and measured.
#include <tokengate/topology.hpp>

#include <algorithm>
#include <cstddef>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "topology/binding.hpp"
#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

using cpus = std::vector<unsigned>;

topology hybrid(domain_scope scope) {
    return topology::discover(
        {.scope = scope, .domains = {}, .synthetic = {}, .xml_file = data_file("hybrid.xml")});
}

}  // namespace

TEST_CASE("each_core_is_a_domain_by_default") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(big_machine);
    REQUIRE(map.size() == 64);
    CHECK(map.distinct() == 64);
    CHECK(map.limits().empty());
    for (unsigned i = 0; i < 64; ++i) {
        CHECK(map.domain(i).index == i);
        CHECK(map.domain(i).cpus == cpus{i});
        CHECK(map.domain(i).kind == 0);
        CHECK_FALSE(map.domain(i).l2.has_value());
        CHECK(map.domain(i).l3 == i / 8);
        CHECK(map.domain(i).l3_bytes == 16U << 20);
        CHECK(map.domain(i).numa_node == i / 32);
        CHECK(map.domain(i).package == i / 32);
    }
    CHECK_THROWS_AS(static_cast<void>(map.domain(64)), std::out_of_range);
}

TEST_CASE("hardware_threads_of_a_core_share_its_domain") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(deep_machine);
    REQUIRE(map.size() == 16);
    CHECK(map.domain(0).cpus == cpus{0, 1});
    CHECK(map.domain(15).cpus == cpus{30, 31});
    CHECK(map.domain(15).l2 == 7U);
    CHECK(map.domain(15).l2_bytes == 4U << 20);
}

TEST_CASE("scope_chooses_what_a_domain_covers") {
    const clean_hwloc_environment clean;
    CHECK(synthetic(big_machine, domain_scope::l3).size() == 8);
    CHECK(synthetic(big_machine, domain_scope::numa).size() == 2);
    CHECK(synthetic(big_machine, domain_scope::numa).domain(1).cpus.front() == 32);
    CHECK(synthetic(big_machine, domain_scope::numa).domain(1).cpus.size() == 32);

    const topology l2 = synthetic(deep_machine, domain_scope::l2);
    REQUIRE(l2.size() == 8);
    CHECK(l2.domain(1).cpus == cpus{4, 5, 6, 7});
    CHECK(l2.domain(1).l2 == 1U);
    CHECK(l2.limits().empty());

    const topology l3 = synthetic(deep_machine, domain_scope::l3);
    REQUIRE(l3.size() == 4);
    // Its cores share the L3 cache, but no L2 cache.
    CHECK(l3.domain(3).l3 == 3U);
    CHECK_FALSE(l3.domain(3).l2.has_value());
    CHECK(l3.domain(3).l2_bytes == 0);
}

TEST_CASE("an_unknown_level_falls_back_to_the_next_smaller_one_and_says_so") {
    const clean_hwloc_environment clean;
    const topology by_core = synthetic(big_machine, domain_scope::l2);
    CHECK(by_core.size() == 64);
    REQUIRE(by_core.limits().size() == 1);
    CHECK(contains(by_core.limits()[0], "No L2 cache is known for 64 of 64 cores"));
    CHECK(contains(by_core.limits()[0], "cut by core instead"));

    const topology by_l2 = synthetic("pack:1 [numa] l2:4 core:2 pu:1", domain_scope::l3);
    CHECK(by_l2.size() == 4);
    CHECK(contains(joined(by_l2.limits()), "cut by L2 cache instead"));
}

TEST_CASE("cpus_without_a_core_count_as_cores") {
    const clean_hwloc_environment clean;
    const topology map = synthetic("pack:2 pu:3");
    CHECK(map.size() == 6);
    CHECK(map.domain(5).cpus == cpus{5});
    CHECK(contains(joined(map.limits()), "The core is unknown for 6 of 6 CPUs"));
}

TEST_CASE("proximity_is_the_closest_thing_shared") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(deep_machine);
    CHECK(map.between(0, 0) == proximity::same_cpus);
    CHECK(map.between(0, 1) == proximity::l2);
    CHECK(map.between(0, 2) == proximity::l3);
    CHECK(map.between(0, 4) == proximity::numa);
    CHECK(map.between(0, 8) == proximity::remote);
    CHECK(map.between(8, 0) == proximity::remote);
    CHECK_THROWS_AS(static_cast<void>(map.between(0, 16)), std::out_of_range);
}

TEST_CASE("neighbours_come_nearest_first_and_start_after_the_domain") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(big_machine);
    std::vector<unsigned> expected{11, 12, 13, 14, 15, 8, 9};  // one L3 cache
    for (unsigned i = 16; i < 32; ++i) expected.push_back(i);  // one node, after
    for (unsigned i = 0; i < 8; ++i) expected.push_back(i);    // and before
    for (unsigned i = 32; i < 64; ++i) expected.push_back(i);  // the other node
    CHECK(map.neighbours(10) == expected);
    CHECK(synthetic("core:1 pu:1").neighbours(0).empty());
    CHECK_THROWS_AS(static_cast<void>(map.neighbours(64)), std::out_of_range);
}

TEST_CASE("more_domains_than_cores_wrap_around") {
    const clean_hwloc_environment clean;
    const topology map = synthetic("pack:1 [numa] core:4 pu:1", domain_scope::core, 10);
    REQUIRE(map.size() == 10);
    CHECK(map.distinct() == 4);
    for (unsigned i = 0; i < 10; ++i) {
        CHECK(map.domain(i).index == i);
        CHECK(map.domain(i).cpus == cpus{i % 4});
    }
    CHECK(map.between(1, 5) == proximity::same_cpus);
    CHECK(map.between(1, 6) == proximity::numa);
    const std::vector<unsigned> near = map.neighbours(1);
    CHECK(near[0] == 5);
    CHECK(near[1] == 9);
    CHECK(near[2] == 2);
    REQUIRE(map.limits().size() == 1);
    CHECK(contains(map.limits()[0], "wraps around"));
}

TEST_CASE("fewer_domains_than_cores_are_the_first_ones") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(big_machine, domain_scope::core, 3);
    REQUIRE(map.size() == 3);
    CHECK(map.distinct() == 3);
    CHECK(map.domain(2).cpus == cpus{2});
    CHECK(map.between(0, 2) == proximity::l3);
    CHECK(contains(joined(map.limits()), "Of 64 domains only the first 3 were asked for"));
    CHECK(synthetic(big_machine, domain_scope::core, 64).limits().empty());
}

TEST_CASE("fast_cores_rank_before_slow_ones") {
    const clean_hwloc_environment clean;
    const topology map = hybrid(domain_scope::core);
    REQUIRE(map.size() == 6);
    CHECK(map.domain(0).cpus == cpus{4, 5});
    CHECK(map.domain(1).cpus == cpus{6, 7});
    CHECK(map.domain(1).kind == 0);
    for (unsigned i = 0; i < 4; ++i) {
        CHECK(map.domain(2 + i).cpus == cpus{i});
        CHECK(map.domain(2 + i).kind == 1);
        CHECK(map.domain(2 + i).index == 2 + i);
    }
    CHECK(map.between(0, 1) == proximity::l3);
    CHECK(map.between(2, 5) == proximity::l2);
    CHECK(map.source() == "xml: " + data_file("hybrid.xml"));
}

TEST_CASE("groups_of_cores_rank_by_their_fastest_cpu") {
    const clean_hwloc_environment clean;
    const topology map = hybrid(domain_scope::l2);
    REQUIRE(map.size() == 3);
    CHECK(map.domain(0).cpus == cpus{4, 5});
    CHECK(map.domain(1).cpus == cpus{6, 7});
    CHECK(map.domain(2).cpus == cpus{0, 1, 2, 3});
    CHECK(map.domain(2).kind == 1);
    CHECK(map.domain(2).l2_bytes == 4U << 20);
    CHECK(hybrid(domain_scope::l3).domain(0).kind == 0);
}

TEST_CASE("this_machine_gives_only_cpus_that_the_thread_may_use") {
    const clean_hwloc_environment clean;
    const detail::cpu_mask allowed = detail::this_thread_mask();
    REQUIRE_FALSE(allowed.empty());
    const topology map = topology::discover();
    CHECK(map.source() == "this machine");
    CHECK(map.binds());
    REQUIRE(map.size() >= 1);
    std::set<unsigned> seen;
    for (const domain_info& domain : map.domains()) {
        CHECK_FALSE(domain.cpus.empty());
        CHECK(std::is_sorted(domain.cpus.begin(), domain.cpus.end()));
        for (const unsigned cpu : domain.cpus) {
            CHECK(allowed.contains(cpu));
            CHECK(seen.insert(cpu).second);  // domains do not overlap
        }
    }
}

TEST_CASE("an_affinity_mask_narrows_the_map_and_is_named") {
    const clean_hwloc_environment clean;
    const unsigned last = detail::this_thread_mask().cpus().back();
    // A thread of its own, because its mask is what counts: the process as a whole stays wide.
    std::thread([&] {
        REQUIRE(detail::set_this_thread_mask(detail::cpu_mask({last})));
        const topology map = topology::discover();
        REQUIRE(map.size() == 1);
        CHECK(map.domain(0).cpus == cpus{last});
        CHECK(map.domain(0).kind == 0);
        if (std::thread::hardware_concurrency() > 1 || last > 0) {
            CHECK(contains(joined(map.limits()), "This thread may run on 1 of the "));
            CHECK(contains(joined(map.limits()), "(CPU list " + std::to_string(last) + ")"));
        }
        const topology wrapped = topology::discover(
            {.scope = domain_scope::core, .domains = 3, .synthetic = {}, .xml_file = {}});
        CHECK(wrapped.size() == 3);
        CHECK(wrapped.domain(2).cpus == cpus{last});
        // Reading a map must not move the thread that reads it.
        CHECK(detail::this_thread_mask() == detail::cpu_mask({last}));
    }).join();
}

TEST_CASE("cpu_lists_read_like_those_of_linux") {
    CHECK(cpu_list({}).empty());
    CHECK(cpu_list({7}) == "7");
    CHECK(cpu_list({0, 1}) == "0-1");
    CHECK(cpu_list({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11");
}

TEST_CASE("scopes_have_the_names_that_users_write") {
    CHECK(to_string(domain_scope::core) == "core");
    CHECK(to_string(domain_scope::l2) == "l2");
    CHECK(to_string(domain_scope::l3) == "l3");
    CHECK(to_string(domain_scope::numa) == "numa");
}

}  // namespace tokengate::test
