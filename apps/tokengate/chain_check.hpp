// SPDX-License-Identifier: Apache-2.0
/// @file
/// Whether the tokens of chains are where they must be and have the seeds that they must have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include <tokengate/token.hpp>

#include "chain_report.hpp"
#include "fidelity.hpp"

namespace tokengate::app {

/// The first `digits` hexadecimal digits of SHA-256 over "<id>:<calls>": what a seed must be.
[[nodiscard]] std::string seed_of(std::uint64_t id, std::string_view calls, std::size_t digits);

/// Checks one token after the other once they have ended. Counts into a phase.
class chain_checker {
  public:
    explicit chain_checker(chain_phase& phase) : phase_(phase) {}

    /// A token that opens a chain. Returns the seed that its members must have.
    std::string check_lead(const detail::token_handle& lead, std::string_view calls,
                           std::size_t digits);

    /// Any token of a chain with this domain and seed. `thread` is the one that ran it, if it ran.
    void check_member(const detail::token_handle& member, unsigned domain, const std::string& seed,
                      std::optional<unsigned> thread);

    /// A token whose outcome or value is wrong.
    void wrong(const detail::token_handle& which, std::string_view what);

    [[nodiscard]] const witness& seen() const noexcept { return seen_; }
    [[nodiscard]] const std::string& first_miss() const noexcept { return first_miss_; }

  private:
    void note(const detail::token_handle& which, const std::string& what);

    chain_phase& phase_;
    witness seen_;
    std::unordered_set<std::string> seeds_;
    std::string first_miss_;
};

}  // namespace tokengate::app
