// SPDX-License-Identifier: Apache-2.0
/// @file
/// Whether calls of an operation that fails too often are let in: a circuit breaker.
#pragma once

#include <cstdint>

#include <tokengate/health.hpp>

#include "sleep/futex.hpp"
#include "telemetry/rates.hpp"

namespace tokengate::detail {

/// Closed: calls are let in, and attempts are counted. Open: too many have failed, and calls are
/// refused. Half open: one call was let through as a probe, and decides how it goes on.
///
/// Each probe has a number of its own, so that one that was overtaken, because somebody has closed
/// the breaker meanwhile, decides nothing any more.
///
/// Thread safety: none; under the lock of its owner.
class circuit_breaker {
  public:
    /// @throws std::bad_alloc
    explicit circuit_breaker(const health_limits& limits);

    /// What became of a call.
    struct entry {
        bool in = true;
        std::uint32_t probe = 0;  ///< its number, if it is a probe
    };
    [[nodiscard]] entry enter(steady_ns now) noexcept;

    /// What an attempt has changed.
    enum class change : std::uint8_t { none, blocked, unblocked };

    /// An attempt has succeeded, of a probe if that is not 0.
    change succeed(std::uint32_t probe, steady_ns now) noexcept;

    /// An attempt has failed; `last`: there is no other one for the token.
    change fail(std::uint32_t probe, bool last, steady_ns now) noexcept;

    /// A probe has ended without an answer: the next call is one.
    void lose(std::uint32_t probe) noexcept;

    /// Closes it and forgets all attempts. False if it was closed.
    bool reset() noexcept;

    [[nodiscard]] outcome_window::counts look(steady_ns now) noexcept { return recent_.look(now); }

    [[nodiscard]] bool open() const noexcept { return open_; }
    [[nodiscard]] bool probing() const noexcept { return open_ && probe_ != 0; }

    // While it is open:

    /// When it was opened.
    [[nodiscard]] steady_ns since() const noexcept { return since_; }
    /// What the window held then.
    [[nodiscard]] const outcome_window::counts& reason() const noexcept { return reason_; }
    /// From when on a call is let through, unless a probe is under way.
    [[nodiscard]] steady_ns next_probe() const noexcept { return next_probe_; }

  private:
    [[nodiscard]] steady_ns later(steady_ns now) const noexcept;

    const health_limits limits_;
    outcome_window recent_;
    bool open_ = false;
    std::uint32_t probe_ = 0;       ///< the one under way; 0: none is
    std::uint32_t last_probe_ = 0;  ///< the last number that was given out
    steady_ns since_ = 0;
    steady_ns next_probe_ = 0;
    outcome_window::counts reason_;
};

}  // namespace tokengate::detail
