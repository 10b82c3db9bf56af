// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the chains showed, for people and for machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/stats.hpp>

#include "fidelity.hpp"
#include "report.hpp"

namespace tokengate::app {

/// One phase: the tokens of its chains.
struct chain_phase {
    std::string_view name;
    std::uint64_t leads = 0;
    std::uint64_t nested = 0;  ///< leads inside the chain of another
    std::uint64_t tokens = 0;  ///< with the leads
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    std::uint64_t killed = 0;
    std::uint64_t misses = 0;       ///< tokens that were placed or ran outside their chain's domain
    std::uint64_t seed_misses = 0;  ///< tokens with another seed than their chain's
    std::uint64_t twins = 0;        ///< chains with the seed of another chain
    std::uint64_t wrong = 0;        ///< tokens whose outcome or value is not what it must be
    double seconds = 0.0;
};

/// The free tokens beside the chains, and who waited for whom.
struct chain_load {
    std::uint64_t free_tokens = 0;
    std::uint64_t wrong = 0;            ///< free tokens with a seed, or a wrong value
    std::uint64_t waits = 0;            ///< for a token, inside of another
    std::uint64_t refused_waits = 0;    ///< of these, for a lead, those that could never have ended
    std::uint64_t refused_parents = 0;  ///< the same, for a child
    std::uint64_t kills = 0;            ///< calls of kill() that ended a token
    std::uint64_t most_open = 0;        ///< chains that were seen open at a time
};

struct chain_result {
    std::vector<chain_phase> phases;
    chain_load load;
    std::uint64_t left_open = 0;  ///< chains that open_chains() names in the end
    std::string first_miss;       ///< in words
    runtime_stats stats;          ///< after everything has ended

    [[nodiscard]] chain_phase total() const;

    /// What must be so.
    [[nodiscard]] std::vector<expectation> expectations() const;
    [[nodiscard]] bool verified() const { return all_hold(expectations()); }
};

void print_chain(const chain_result& result);
[[nodiscard]] json chain_json(const chain_result& result);

}  // namespace tokengate::app
