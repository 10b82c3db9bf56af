// SPDX-License-Identifier: Apache-2.0
/// @file
/// From CPUs to ranked domains: pure functions of a machine, the same for real and synthetic ones.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tokengate/topology.hpp>

#include "topology/machine.hpp"

namespace tokengate::detail {

/// The domains that a machine gives, best first.
struct grouping {
    std::vector<domain_info> domains;         ///< indexed from 0, never empty
    domain_scope scope = domain_scope::core;  ///< the widest level that was found
    std::vector<std::string> notes;           ///< sentences for `topology::limits()`
};

/// Cuts a machine into domains and ranks them: fastest kind first, then by locality.
///
/// A core that does not have the level (no L3 known, say) is grouped by the next smaller one that
/// it has, down to the core itself. A domain of several kinds ranks with its fastest CPU.
[[nodiscard]] grouping group_by(const machine& from, domain_scope scope);

/// How many of the first domains a quota of `cpus` CPUs can keep busy, at least 1: as many cores as
/// that, or as many wider groups as it takes to hold that many CPUs.
[[nodiscard]] std::size_t width_within(const grouping& of, unsigned cpus);

}  // namespace tokengate::detail
