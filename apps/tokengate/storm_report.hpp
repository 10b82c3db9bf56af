// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a storm found out, for people and for machines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/stats.hpp>

#include "fidelity.hpp"
#include "report.hpp"

namespace tokengate::app {

/// One phase of the storm.
struct storm_phase {
    std::string_view name;
    std::uint64_t keys = 0;
    std::uint64_t tokens = 0;
    std::uint64_t bound = 0;     ///< of these, those that provably had one domain to go to
    std::uint64_t misses = 0;    ///< of these, those that were placed or ran in another
    std::uint64_t disorder = 0;  ///< tokens of a serial key that ran out of order or side by side
    double seconds = 0.0;
};

struct storm_result {
    std::vector<storm_phase> phases;
    std::vector<std::uint64_t> keys_by_domains;   ///< keys of the storm that used 1, 2, ... domains
    std::vector<std::uint64_t> tokens_by_domain;  ///< as the tokens say
    std::uint64_t burst_tokens = 0;               ///< submitted while their key's anchor ran
    std::uint64_t beside = 0;                     ///< of these, those that ran while it did
    std::uint64_t strays = 0;                     ///< misses that only the phases together show
    std::string first_miss;                       ///< in words
    runtime_stats stats;                          ///< after everything has ended

    [[nodiscard]] std::uint64_t tokens() const;
    [[nodiscard]] std::uint64_t bound() const;
    [[nodiscard]] std::uint64_t misses() const;
    [[nodiscard]] std::uint64_t disorder() const;
    [[nodiscard]] double seconds() const;

    /// What must be so.
    [[nodiscard]] std::vector<expectation> expectations() const;
    [[nodiscard]] bool verified() const { return all_hold(expectations()); }
};

void print_storm(const storm_result& result);
[[nodiscard]] json storm_json(const storm_result& result);

}  // namespace tokengate::app
