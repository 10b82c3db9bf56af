// SPDX-License-Identifier: Apache-2.0
/// @file
/// What `storm` and `chain` have in common: who ran a token where, what must be 0 in the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tokengate/stats.hpp>

namespace tokengate::app {

/// A small number for the calling thread, always the same one; 0 for the first that asks.
[[nodiscard]] unsigned thread_number() noexcept;

/// Remembers in which domain each thread ran tokens. A worker belongs to one domain for its whole
/// life, so a thread that is seen in a second one has run a token that was not its own. This asks
/// nobody but the threads themselves: the library's own counters may be wrong and it still finds
/// that. Not thread-safe: one a thread, merged in the end.
class witness {
  public:
    /// False if that thread was in another domain before.
    bool saw(unsigned thread, unsigned domain);

    /// Takes over what another one saw. Returns the number of threads over which they disagree.
    [[nodiscard]] std::uint64_t merge(const witness& other);

    /// How many threads have run tokens.
    [[nodiscard]] std::size_t threads() const;

  private:
    std::vector<int> domain_of_;  ///< by thread number; -1: not seen
};

/// One thing that must be so.
struct expectation {
    std::string what;
    std::uint64_t expected = 0;
    std::uint64_t found = 0;

    [[nodiscard]] bool holds() const noexcept { return found == expected; }
};

[[nodiscard]] bool all_hold(std::span<const expectation> all) noexcept;

/// Says on standard error what was expected and what came instead, a line for each that does not
/// hold, and the note after them if there is one.
void complain(std::span<const expectation> all, const std::string& note);

/// Tokens that ran in a domain that was not theirs, as the workers counted them.
[[nodiscard]] std::uint64_t escapes_of(const runtime_stats& stats) noexcept;

/// Keys, pins and chains that are still there: 0 unless something was not given back.
[[nodiscard]] std::uint64_t left_of(const locality_stats& stats) noexcept;

/// Prints how many domains and workers there are, and how evenly the tokens, of which so many ran
/// in each domain, were spread over them.
void print_domains(const runtime_stats& stats, const std::string& tokens,
                   std::span<const std::uint64_t> in_each);

}  // namespace tokengate::app
