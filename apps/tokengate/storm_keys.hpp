// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens of many keys in random order from several threads, and who checks where they run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "fidelity.hpp"

namespace tokengate::app {

/// What a token of the storm tells of its run.
struct storm_run {
    std::uint32_t sequence = 0;  ///< for serial keys, how many tokens of its key ran before it
    unsigned thread = 0;         ///< see thread_number()
};

using storm_operation = operation<storm_run(std::uint32_t)>;

/// The keys of one phase: what holds them, and how many of their tokens have ended.
class key_book {
  public:
    key_book(std::size_t keys, unsigned domains);

    [[nodiscard]] std::uint32_t size() const noexcept {
        return static_cast<std::uint32_t>(ended_.size());
    }

    /// Holds every other key in its domain until let_go().
    void hold_half(const storm_operation& op);
    void let_go() { holds_.clear(); }

    /// The hold of a key; empty if it has none.
    [[nodiscard]] const key_hold& hold_of(std::uint32_t key) const;

    /// Called at the end of a token's callable, so always before its key is let go.
    void ends(std::uint32_t key) noexcept;

    /// True if a token of the key that was submitted before the last call of its operation has not
    /// ended even now, after the call: `earlier` were, and the key was pinned all the time between.
    [[nodiscard]] bool surely_in_flight(std::uint32_t key, std::uint32_t earlier) const noexcept;

    /// Notes that a token of the key ran there. One thread for each key.
    void ran_in(std::uint32_t key, unsigned domain) noexcept;

    /// How many keys had tokens in 1, 2, ... domains.
    [[nodiscard]] std::vector<std::uint64_t> keys_by_domains() const;

  private:
    std::vector<std::atomic<std::uint32_t>> ended_;
    std::vector<key_hold> holds_;
    std::size_t words_;                ///< of `used_` for each key
    std::vector<std::uint64_t> used_;  ///< a bit for each key and domain
};

/// What the threads of a phase found.
struct key_findings {
    std::uint64_t tokens = 0;
    std::uint64_t bound = 0;
    std::uint64_t misses = 0;
    std::uint64_t disorder = 0;
    std::vector<std::uint64_t> by_domain;
    witness seen;
    std::string first_miss;

    void merge(const key_findings& other);
};

/// What is to be submitted.
struct key_load {
    std::uint32_t tokens = 0;  ///< for each key
    std::uint64_t seed = 0;    ///< of their order
    unsigned domains = 1;      ///< of the runtime
    bool in_order = false;     ///< each key's tokens must run in the order of submission
};

/// Submits the tokens of all keys from several threads, each key's from one of them, in random
/// order, and checks each. Blocks until all have ended.
/// @throws what a call throws, and the token's own exception
[[nodiscard]] key_findings submit_all(const storm_operation& op, key_book& keys,
                                      const key_load& load);

}  // namespace tokengate::app
