// SPDX-License-Identifier: Apache-2.0
/// @file
/// How long things took lately: percentiles of durations.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "telemetry/slices.hpp"

namespace tokengate::detail {

/// The durations of the last minute or so, in a fixed amount of memory, so that percentiles forget
/// the past.
///
/// A duration goes to a bucket. Below 16 ns each has its own; above, each doubling has 8 buckets of
/// equal width, and a bucket answers with its middle: off by at most 1/16 (6.25 %) of the duration.
/// The window is cut into slices, each with buckets of its own; the oldest is cleared when time
/// comes to it again. So what a snapshot covers varies by one slice: from `window` less a slice to
/// `window`.
///
/// Time is passed in, in nanoseconds of any steady clock. What comes late is counted as if it had
/// come at the latest time seen, so that threads need not agree on an order.
///
/// Thread safety: none; one writer, or a lock.
class histogram {
  public:
    static constexpr std::chrono::nanoseconds usual_window = std::chrono::seconds(60);
    static constexpr std::size_t usual_slices = 6;

    /// Takes about 4 KiB for each slice, and nothing later.
    /// @throws std::bad_alloc
    explicit histogram(std::chrono::nanoseconds window = usual_window,
                       std::size_t slices = usual_slices);

    /// Counts a duration in nanoseconds; what is below 0 is 0. Constant time, but for the clearing
    /// of slices, once in the time of each.
    void record(std::int64_t duration, std::int64_t now) noexcept;

    /// All in nanoseconds.
    struct snapshot {
        std::uint64_t count = 0;  ///< durations in the window; without any, all is 0
        std::int64_t p50 = 0;     ///< half of them took at most this
        std::int64_t p95 = 0;
        std::int64_t p99 = 0;
        std::int64_t max = 0;  ///< exact
        double mean = 0.0;     ///< exact, but for rounding

        bool operator==(const snapshot&) const = default;
    };

    /// What the window that ends now holds. Cost: proportional to slices times buckets.
    [[nodiscard]] snapshot look(std::int64_t now) noexcept;

    static constexpr unsigned fine_bits = 3;  ///< of a doubling's number of buckets
    /// 0 to 15 each for itself, then 8 for each of the doublings from 2^4 to 2^62.
    static constexpr std::size_t buckets = 16 + (63 - 4) * (std::size_t{1} << fine_bits);

    /// The bucket of a duration that is not below 0.
    [[nodiscard]] static std::size_t bucket_of(std::int64_t duration) noexcept;

    /// The duration in the middle of a bucket.
    [[nodiscard]] static std::int64_t middle_of(std::size_t bucket) noexcept;

  private:
    struct part {
        std::uint64_t count = 0;
        double sum = 0.0;
        std::int64_t max = 0;
        std::vector<std::uint64_t> in = std::vector<std::uint64_t>(buckets);

        void clear() noexcept;
    };

    void move_to(std::int64_t now) noexcept;

    slice_clock clock_;
    std::vector<part> parts_;
};

}  // namespace tokengate::detail
