// SPDX-License-Identifier: Apache-2.0
// Machines that hwloc's synthetic ones cannot be: uneven caches, mixed kinds, quotas.
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/topology.hpp>

#include "topology/grouping.hpp"
#include "topology/machine.hpp"
#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

using cpus = std::vector<unsigned>;
using cache = std::optional<detail::cache_info>;

detail::cpu_info make_cpu(unsigned os_index, unsigned core, unsigned kind, cache l2, cache l3) {
    detail::cpu_info cpu;
    cpu.os_index = os_index;
    cpu.core = core;
    cpu.kind = kind;
    cpu.l2 = l2;
    cpu.l3 = l3;
    cpu.numa_node = 0;
    return cpu;
}

/// Two fast cores and two slow ones below an L3 cache, and a slow pair outside it that shares an
/// L2 cache, as on laptops with a low-power island.
detail::machine uneven() {
    const detail::cache_info l3{0, 8};
    detail::machine result;
    result.cpus = {make_cpu(9, 0, 1, detail::cache_info{0, 2}, l3),
                   make_cpu(8, 1, 1, detail::cache_info{0, 2}, l3),
                   make_cpu(1, 2, 0, detail::cache_info{1, 2}, l3),
                   make_cpu(0, 3, 0, detail::cache_info{2, 2}, l3),
                   make_cpu(4, 4, 2, detail::cache_info{3, 2}, std::nullopt),
                   make_cpu(5, 5, 2, detail::cache_info{3, 2}, std::nullopt)};
    return result;
}

/// Groups of `size` CPUs each.
detail::grouping groups(domain_scope scope, std::vector<std::size_t> sizes) {
    detail::grouping result;
    result.scope = scope;
    for (const std::size_t size : sizes) {
        domain_info domain;
        domain.cpus.resize(size);
        result.domains.push_back(domain);
    }
    return result;
}

}  // namespace

TEST_CASE("cores_that_lack_a_level_are_cut_by_the_next_smaller_one") {
    const detail::grouping by_l3 = detail::group_by(uneven(), domain_scope::l3);
    REQUIRE(by_l3.domains.size() == 2);
    CHECK(by_l3.scope == domain_scope::l3);
    CHECK(by_l3.domains[0].cpus == cpus{0, 1, 8, 9});
    CHECK(by_l3.domains[0].kind == 0);
    CHECK(by_l3.domains[0].l3 == 0U);
    CHECK_FALSE(by_l3.domains[0].l2.has_value());
    CHECK(by_l3.domains[1].cpus == cpus{4, 5});
    CHECK(by_l3.domains[1].l2 == 3U);
    REQUIRE(by_l3.notes.size() == 1);
    CHECK(contains(by_l3.notes[0], "No L3 cache is known for 2 of 6 cores"));
}

TEST_CASE("within_a_kind_the_order_on_the_chip_holds") {
    const detail::grouping by_core = detail::group_by(uneven(), domain_scope::core);
    REQUIRE(by_core.domains.size() == 6);
    std::vector<unsigned> order;
    for (const domain_info& domain : by_core.domains) {
        order.push_back(domain.cpus.front());
    }
    CHECK(order == cpus{1, 0, 9, 8, 4, 5});
    CHECK(by_core.notes.empty());
}

TEST_CASE("a_machine_without_memory_nodes_falls_back_by_core") {
    detail::machine from = uneven();
    for (detail::cpu_info& cpu : from.cpus) {
        cpu.numa_node.reset();
    }
    const detail::grouping by_node = detail::group_by(from, domain_scope::numa);
    CHECK(by_node.domains.size() == 2);
    CHECK(by_node.notes.size() == 2);
    CHECK(by_node.scope == domain_scope::l3);
}

TEST_CASE("a_quota_keeps_as_many_cores_as_it_has_cpus") {
    const detail::grouping cores = groups(domain_scope::core, {2, 2, 2, 2});
    CHECK(detail::width_within(cores, 1) == 1);
    CHECK(detail::width_within(cores, 3) == 3);
    CHECK(detail::width_within(cores, 4) == 4);
    CHECK(detail::width_within(cores, 400) == 4);
}

TEST_CASE("a_quota_keeps_as_many_wide_domains_as_cover_it") {
    const detail::grouping wide = groups(domain_scope::l3, {8, 8, 4, 4});
    CHECK(detail::width_within(wide, 1) == 1);
    CHECK(detail::width_within(wide, 8) == 1);
    CHECK(detail::width_within(wide, 9) == 2);
    CHECK(detail::width_within(wide, 20) == 3);
    CHECK(detail::width_within(wide, 21) == 4);
    CHECK(detail::width_within(wide, 400) == 4);
}

}  // namespace tokengate::test
