// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which instructions are counted.
#pragma once

#include <valgrind/callgrind.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace tokengate::guard {

/// Extra instructions for each token, to prove that the guard notices; see extra_work().
inline std::uint64_t burden = 0;

/// Which repetition this is; 0 and 1 warm up, and `count` leaves them out.
inline unsigned repeat = 0;

/// Wastes about `burden` instructions. Called once for each token on the thread that is counted.
inline void extra_work() noexcept {
    for (std::uint64_t i = burden / 2; i != 0; --i) asm volatile("" : "+r"(i));
}

/// A stretch of work on one thread. Callgrind keeps for each thread whether it collects, so that
/// what others do meanwhile is not counted. Without callgrind nothing happens.
class stretch {
  public:
    /// @param name   the figure's name in the baseline
    /// @param tokens what the instructions are divided by
    stretch(std::string_view name, std::uint64_t tokens)
        : label_(std::string(name) + '/' + std::to_string(repeat) + '/' + std::to_string(tokens)) {}

    void begin() noexcept { CALLGRIND_TOGGLE_COLLECT; }

    /// On the thread that began. Writes what was counted, under the name.
    void end() noexcept {
        CALLGRIND_TOGGLE_COLLECT;
        CALLGRIND_DUMP_STATS_AT(label_.c_str());
    }

  private:
    std::string label_;
};

}  // namespace tokengate::guard
