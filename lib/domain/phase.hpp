// SPDX-License-Identifier: Apache-2.0
/// @file
/// How far a runtime is between start and stop, and what a call and a stop owe each other.
/// Protocol: lib/gate/README.md, "Stopping".
#pragma once

#include <cstdint>

#include <tokengate/detail/atomic.hpp>

#include "domain/counters.hpp"
#include "sleep/fence.hpp"

namespace tokengate::detail {

/// How far a runtime is on its way from start to stop.
enum class phase : std::uint8_t {
    open,      ///< calls are admitted
    draining,  ///< calls are admitted from inside tokens only
    closing,   ///< the same; stop() looks a last time whether everything has finished
    killing,   ///< tokens that wait are killed instead of run
    stopped,   ///< the workers have gone or are going
    forked,    ///< this is a child process, in which the workers do not exist
};

/// The phase of a runtime. Both sides of its end first write and then look: a call counts itself
/// and looks at the phase, a stop moves the phase on and looks at the counts. So the stop counts
/// the call, or the call sees the stop.
class phase_word {
  public:
    [[nodiscard]] phase now() const noexcept {
        // Seq_cst, which costs a load no more.
        return phase_.load(std::memory_order_seq_cst);
    }

    /// Counts calls as accepted. False if the runtime was not open afterwards: then they may have
    /// to be counted back. The counter's writer only.
    [[gnu::always_inline, nodiscard]] bool count_call(own_counter& accepted,
                                                      std::uint64_t calls = 1) const noexcept {
        accepted.add(calls);
        light_fence();
        return now() == phase::open;
    }

    /// Moves on, unless the phase is not the expected one. Whoever looks at the counts next sees
    /// all calls that have not seen the new phase.
    [[nodiscard]] bool advance(phase expected, phase next) noexcept {
        if (!phase_.compare_exchange_strong(expected, next, std::memory_order_seq_cst)) {
            return false;
        }
        heavy_fence();
        return true;
    }

    /// The same from any phase.
    void enter(phase next) noexcept {
        phase_.store(next, std::memory_order_seq_cst);
        heavy_fence();
    }

    /// Without a look at the counts: nobody is there who calls or counts.
    void set(phase next) noexcept { phase_.store(next, std::memory_order_seq_cst); }

  private:
    atomic<phase> phase_{phase::stopped};
};

}  // namespace tokengate::detail
