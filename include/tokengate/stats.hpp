// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a runtime has counted.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/weight.hpp>

namespace tokengate {

/// The ledger of a group of tokens. Always: accepted = completed + failed + killed + timed_out + in
/// flight.
struct token_counts {
    std::uint64_t accepted = 0;   ///< tokens that the gate let in
    std::uint64_t completed = 0;  ///< tokens that delivered a result
    std::uint64_t failed = 0;     ///< tokens whose callable threw
    std::uint64_t killed = 0;     ///< tokens that were killed
    std::uint64_t timed_out = 0;  ///< tokens that missed a deadline of their operation
    std::uint64_t refused = 0;    ///< calls that were turned away at a limit; not accepted

    /// Accepted and not yet terminal.
    [[nodiscard]] std::uint64_t in_flight() const noexcept {
        return accepted - completed - failed - killed - timed_out;
    }

    /// Adds the counts of another group.
    token_counts& operator+=(const token_counts& other) noexcept {
        accepted += other.accepted;
        completed += other.completed;
        failed += other.failed;
        killed += other.killed;
        timed_out += other.timed_out;
        refused += other.refused;
        return *this;
    }
};

/// What was counted of one operation.
struct operation_stats {
    std::string_view name;  ///< the one it was declared under; valid to the end of the process
    weight weight_class = weight::medium;
    token_counts counts;           ///< its tokens
    std::uint64_t executions = 0;  ///< times that its callable was run
    std::uint64_t retries = 0;     ///< of these, attempts after a token's first
    std::size_t set_aside = 0;     ///< tokens that wait for a resume() or for their storage
    std::uint64_t dropped = 0;     ///< tokens killed for newer ones (when_full::drop_oldest)
    std::uint64_t coalesced = 0;   ///< calls that got the token of an equal one; not accepted
};

/// What the workers of one domain have done.
struct domain_stats {
    std::array<std::uint64_t, weight_count> executed{};  ///< tokens run, by index_of(weight)
    std::uint64_t stolen = 0;         ///< of those, tokens taken from other domains
    std::uint64_t anchored = 0;       ///< of those, tokens that may run in this domain only
    std::uint64_t escapes = 0;        ///< of those, tokens that belong to another: always 0
    std::uint64_t parked = 0;         ///< times that a worker went to sleep
    std::uint64_t bind_failures = 0;  ///< workers that could not be pinned
    unsigned workers = 0;             ///< threads so far, with those that stand in for blocked ones
};

/// What is anchored, and where. All but the last two are 0 while nothing is in flight and no pin
/// is held.
struct locality_stats {
    std::uint64_t pinned_keys = 0;    ///< places that hold keys of colocated tokens
    std::uint64_t pinned_tokens = 0;  ///< tokens and pins that hold them
    std::uint64_t serial_keys = 0;    ///< keys of serial tokens
    std::uint64_t open_chains = 0;    ///< chains with tokens that have not ended
    std::uint64_t redirected = 0;     ///< tokens that a key drew away from the domain of their turn
    std::uint64_t short_of_reserves = 0;  ///< times that no thread could stand in for a blocked one
};

/// A snapshot of a runtime's counters, exact while the runtime is idle.
struct runtime_stats {
    std::array<token_counts, weight_count> by_weight;  ///< by index_of(weight)
    std::vector<operation_stats> operations;           ///< in the order of their declaration
    std::vector<domain_stats> domains;                 ///< by domain index
    locality_stats locality;                           ///< keys and chains
    /// What tokens in flight take, with their arguments; 0 if there is no memory_limit.
    std::size_t memory_bytes = 0;
    std::vector<std::string> bind_errors;  ///< what went wrong for unpinned workers

    /// All classes together.
    [[nodiscard]] token_counts total() const noexcept {
        token_counts sum;
        for (const token_counts& each : by_weight) sum += each;
        return sum;
    }
};

}  // namespace tokengate
