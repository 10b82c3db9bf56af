// SPDX-License-Identifier: Apache-2.0
/// @file
/// Callables that outlive their tokens: one that was killed or timed out while it runs has ended,
/// but its callable has not, and may create more.
#pragma once

#include <atomic>
#include <cstdint>

#include <tokengate/runtime.hpp>

#include "hold.hpp"
#include "ledger.hpp"

namespace tokengate::test {

/// Counts callables that run. Declared before the runtime; callables hold a `shift` of it.
class at_work {
  public:
    class shift {
      public:
        explicit shift(at_work& all) : all_(all) { ++all_.begun_; }
        ~shift() { ++all_.ended_; }
        shift(const shift&) = delete;
        shift& operator=(const shift&) = delete;

      private:
        at_work& all_;
    };

    /// Waits until nothing is in flight and no callable runs, so that nothing comes any more if
    /// nobody calls from outside. False if that never is.
    [[nodiscard]] bool await_rest(runtime& rt) const {
        return eventually([&] {
            if (!rt.wait_idle_for(hang_limit)) return false;
            const std::uint64_t ended = ended_;
            const std::uint64_t begun = begun_;
            if (begun != ended) return false;
            // Nobody ran then. If nobody has begun since, there was nobody to create anything.
            return rt.stats().total().in_flight() == 0 && begun_ == begun;
        });
    }

  private:
    std::atomic<std::uint64_t> begun_{0};
    std::atomic<std::uint64_t> ended_{0};
};

}  // namespace tokengate::test
