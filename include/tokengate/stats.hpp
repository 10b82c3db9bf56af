// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a runtime has counted.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/detail/state_word.hpp>
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

/// How long something took, in the last 60 seconds. Percentiles are off by at most 1/16; the rest
/// is exact. All is 0 if nothing was counted.
struct time_stats {
    std::uint64_t count = 0;          ///< how many of them there were
    std::chrono::nanoseconds mean{};  ///< what they took on average
    std::chrono::nanoseconds p50{};   ///< half of them took at most this
    std::chrono::nanoseconds p95{};   ///< 95 % of them did
    std::chrono::nanoseconds p99{};   ///< 99 % of them did
    std::chrono::nanoseconds max{};   ///< all of them did
};

/// One run of a token's callable that has ended.
struct execution {
    std::string_view operation;  ///< its name; valid to the end of the process
    std::uint64_t token = 0;     ///< the id of the token
    /// How it has ended: completed, failed (to be retried or not), killed or timed_out.
    token_state outcome = token_state::completed;
    unsigned domain = 0;                          ///< where it ran
    unsigned attempt = 1;                         ///< the first is 1
    std::chrono::steady_clock::time_point begun;  ///< when it began
    std::chrono::nanoseconds wait{};  ///< from its acceptance, or the end of its last attempt
    std::chrono::nanoseconds run{};   ///< how long it took
};

/// What was counted of one operation.
struct operation_stats {
    std::string_view name;  ///< the one it was declared under; valid to the end of the process
    weight weight_class = weight::medium;  ///< of all its tokens
    token_counts counts;                   ///< its tokens
    std::uint64_t executions = 0;          ///< times that its callable was run
    std::uint64_t retries = 0;             ///< of these, attempts after a token's first
    std::size_t set_aside = 0;             ///< tokens that wait for a resume() or for their storage
    std::uint64_t dropped = 0;    ///< tokens killed for newer ones (when_full::drop_oldest)
    std::uint64_t coalesced = 0;  ///< calls that got the token of an equal one; not accepted
    /// Of those that failed, tokens that were not run, since an input failed (dependency_failed),
    /// or could not be copied.
    std::uint64_t without_inputs = 0;

    // Of operations that are timed; see basic_operation_traits::timed.
    std::optional<time_stats> wait;  ///< from acceptance to the first begin of the callable
    std::optional<time_stats> run;   ///< of the callable, each attempt
    /// How long the token waits that has begun to wait first, for its first attempt or the next
    /// one; 0: none waits.
    std::chrono::nanoseconds oldest_wait{};
    std::uint64_t spikes = 0;  ///< see spike_limits
};

/// What the workers of one domain have done.
struct domain_stats {
    std::array<std::uint64_t, weight_count> executed{};  ///< tokens run, by index_of(weight)
    std::uint64_t stolen = 0;         ///< of those, tokens taken from other domains
    std::uint64_t anchored = 0;       ///< of those, tokens that may run in this domain only
    std::uint64_t escapes = 0;        ///< of those, tokens that belong to another: always 0
    std::uint64_t parked = 0;         ///< times that a worker went to sleep
    std::uint64_t bind_failures = 0;  ///< workers that could not be pinned
    std::size_t executing = 0;  ///< callables on its workers at this moment, waiting ones too; a
                                ///< stretch of a bulk is one
    std::size_t queued = 0;  ///< entries in its mailbox and on its deques at this moment, roughly
    unsigned workers = 0;    ///< threads so far, with those that stand in for blocked ones
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
