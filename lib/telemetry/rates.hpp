// SPDX-License-Identifier: Apache-2.0
/// @file
/// How often things fail lately, and what they take on average.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "telemetry/slices.hpp"

namespace tokengate::detail {

/// Attempts and failures of the last so many seconds. The window is cut into slices, of which the
/// oldest is cleared when time comes to it again: so it covers from `window` less a slice to
/// `window`.
///
/// Time is passed in, in nanoseconds of any steady clock. What comes late is counted as if it had
/// come at the latest time seen.
///
/// Thread safety: none; one writer, or a lock.
class outcome_window {
  public:
    static constexpr std::size_t usual_slices = 10;

    /// Takes 16 bytes for each slice, and nothing later.
    /// @throws std::bad_alloc
    explicit outcome_window(std::chrono::nanoseconds window, std::size_t slices = usual_slices);

    /// Counts an attempt. Constant time, but for the clearing of slices, once in the time of each.
    void record(bool failed, std::int64_t now) noexcept;

    struct counts {
        std::uint64_t attempts = 0;
        std::uint64_t failures = 0;  ///< of these

        /// The part of the attempts that failed, from 0 to 1; 0 if there were none.
        [[nodiscard]] double failure_rate() const noexcept {
            if (attempts == 0) return 0.0;
            return static_cast<double>(failures) / static_cast<double>(attempts);
        }

        bool operator==(const counts&) const = default;
    };

    /// What the window that ends now holds. Cost: that of the clearing.
    [[nodiscard]] counts look(std::int64_t now) noexcept;

    /// Forgets everything.
    void clear() noexcept;

  private:
    void move_to(std::int64_t now) noexcept;

    slice_clock clock_;
    std::vector<counts> parts_;
    counts sum_;  ///< of all parts
};

/// An exponentially weighted moving average: each sample moves it by an eighth of the difference;
/// the first one is where it begins.
///
/// Thread safety: none; one writer, or a lock.
class moving_average {
  public:
    void add(double sample) noexcept {
        value_ = samples_ == 0 ? sample : value_ + (sample - value_) / divisor;
        ++samples_;
    }

    /// 0 if there were no samples.
    [[nodiscard]] double value() const noexcept { return value_; }

    [[nodiscard]] std::uint64_t samples() const noexcept { return samples_; }

  private:
    static constexpr double divisor = 8.0;

    double value_ = 0.0;
    std::uint64_t samples_ = 0;
};

}  // namespace tokengate::detail
