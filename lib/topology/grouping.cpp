// SPDX-License-Identifier: Apache-2.0
#include "topology/grouping.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

namespace tokengate::detail {
namespace {

/// A place in the machine: a level and the number of one object there.
using place = std::pair<domain_scope, unsigned>;

place place_of(const cpu_info& cpu, domain_scope scope) {
    switch (scope) {
        case domain_scope::numa:
            if (cpu.numa_node) {
                return {domain_scope::numa, *cpu.numa_node};
            }
            [[fallthrough]];
        case domain_scope::l3:
            if (cpu.l3) {
                return {domain_scope::l3, cpu.l3->index};
            }
            [[fallthrough]];
        case domain_scope::l2:
            if (cpu.l2) {
                return {domain_scope::l2, cpu.l2->index};
            }
            [[fallthrough]];
        case domain_scope::core: break;
    }
    return {domain_scope::core, cpu.core};
}

const char* name_of(domain_scope scope) {
    switch (scope) {
        case domain_scope::numa: return "NUMA node";
        case domain_scope::l3: return "L3 cache";
        case domain_scope::l2: return "L2 cache";
        case domain_scope::core: return "core";
    }
    return "level";
}

/// The cache that all these CPUs share, if they do.
std::optional<cache_info> shared_cache(const std::vector<const cpu_info*>& members,
                                       std::optional<cache_info> cpu_info::*cache) {
    const std::optional<cache_info> first = members.front()->*cache;
    const bool shared = std::all_of(members.begin(), members.end(),
                                    [&](const cpu_info* cpu) { return cpu->*cache == first; });
    return shared ? first : std::nullopt;
}

domain_info make_domain(const std::vector<const cpu_info*>& members) {
    domain_info domain;
    domain.kind = members.front()->kind;
    for (const cpu_info* cpu : members) {
        domain.cpus.push_back(cpu->os_index);
        domain.kind = std::min(domain.kind, cpu->kind);
    }
    std::sort(domain.cpus.begin(), domain.cpus.end());
    if (const std::optional<cache_info> l2 = shared_cache(members, &cpu_info::l2)) {
        domain.l2 = l2->index;
        domain.l2_bytes = l2->bytes;
    }
    if (const std::optional<cache_info> l3 = shared_cache(members, &cpu_info::l3)) {
        domain.l3 = l3->index;
        domain.l3_bytes = l3->bytes;
    }
    domain.numa_node = members.front()->numa_node;
    domain.package = members.front()->package;
    return domain;
}

}  // namespace

grouping group_by(const machine& from, domain_scope scope) {
    // The groups stand in the order in which the machine's logical order first meets them.
    std::map<unsigned, place> place_of_core;
    std::map<place, std::size_t> group_of_place;
    std::vector<std::vector<const cpu_info*>> groups;
    for (const cpu_info& cpu : from.cpus) {
        // Hardware threads of one core stay together whatever the caches say.
        const place at = place_of_core.try_emplace(cpu.core, place_of(cpu, scope)).first->second;
        const auto [entry, is_new] = group_of_place.try_emplace(at, groups.size());
        if (is_new) {
            groups.emplace_back();
        }
        groups[entry->second].push_back(&cpu);
    }

    grouping result;
    for (const std::vector<const cpu_info*>& members : groups) {
        result.domains.push_back(make_domain(members));
    }
    std::stable_sort(result.domains.begin(), result.domains.end(),
                     [](const domain_info& a, const domain_info& b) { return a.kind < b.kind; });
    for (std::size_t i = 0; i < result.domains.size(); ++i) {
        result.domains[i].index = static_cast<unsigned>(i);
    }

    std::map<domain_scope, std::size_t> cores_at;  // how many cores were grouped by which level
    for (const auto& [core, at] : place_of_core) {
        ++cores_at[at.first];
        result.scope = std::max(result.scope, at.first);
    }
    for (const auto& [level, cores] : cores_at) {
        if (level != scope) {
            result.notes.push_back(
                std::string("No ") + name_of(scope) + " is known for " + std::to_string(cores) +
                " of " + std::to_string(place_of_core.size()) +
                " cores: their domains are cut by " + name_of(level) + " instead.");
        }
    }
    return result;
}

std::size_t width_within(const grouping& of, unsigned cpus) {
    std::size_t covered = 0;
    std::size_t width = 0;
    while (width < of.domains.size() && covered < cpus) {
        covered += of.scope == domain_scope::core ? 1 : of.domains[width].cpus.size();
        ++width;
    }
    return std::max<std::size_t>(width, 1);
}

}  // namespace tokengate::detail
