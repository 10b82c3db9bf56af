// SPDX-License-Identifier: Apache-2.0
/// @file
/// A machine as plain values: what the topology needs to know of each CPU, without hwloc's types.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tokengate/topology.hpp>

namespace tokengate::detail {

/// One cache: its logical index among the caches of its level, and its size (0 if unknown).
struct cache_info {
    unsigned index = 0;
    std::uint64_t bytes = 0;

    bool operator==(const cache_info&) const = default;
};

/// One hardware thread that may be used.
struct cpu_info {
    unsigned os_index = 0;
    unsigned core = 0;  ///< number of its core, counted in hwloc's logical order
    unsigned kind = 0;  ///< 0 is the fastest kind among the CPUs that may be used
    std::optional<cache_info> l2;
    std::optional<cache_info> l3;
    std::optional<unsigned> numa_node;
    std::optional<unsigned> package;
};

/// All CPUs that may be used, in hwloc's logical order: neighbours here are neighbours on the chip.
struct machine {
    std::vector<cpu_info> cpus;
    std::string source;              ///< as `topology::source()`
    std::vector<std::string> notes;  ///< sentences for `topology::limits()`
    bool local = false;              ///< read from the running system, so cgroup quotas apply
    bool binds = false;              ///< as `topology::binds()`
};

/// Reads the source that the request names, else the environment, else this machine.
/// @throws topology_error if the source is invalid or cannot be read
[[nodiscard]] machine read_machine(const topology_request& request);

}  // namespace tokengate::detail
