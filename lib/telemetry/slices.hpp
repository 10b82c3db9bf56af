// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which slice of a window of time is the present one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tokengate::detail {

/// A ring of slices of equal length that together cover a window; time goes through it again and
/// again. Time is passed in, in nanoseconds; what is before the latest time seen is taken for that.
///
/// Thread safety: none.
class slice_clock {
  public:
    slice_clock(std::chrono::nanoseconds window, std::size_t slices) noexcept
        : length_(std::max<std::int64_t>(
              1, window.count() / static_cast<std::int64_t>(std::max<std::size_t>(slices, 1)))),
          slices_(std::max<std::size_t>(slices, 1)) {}

    /// Goes to `now`: calls clear(slice) for each slice that is over and begins anew. Constant time
    /// within a slice; a jump takes one round at most.
    template <class Clear>
    void move_to(std::int64_t now, Clear&& clear) noexcept {
        const std::int64_t number = number_of(now);
        if (!begun_) {
            begun_ = true;
            number_ = number;
        }
        if (number <= number_) return;
        // Unsigned: the distance of two times may not fit otherwise.
        const std::uint64_t distance =
            static_cast<std::uint64_t>(number) - static_cast<std::uint64_t>(number_);
        const std::uint64_t over = std::min<std::uint64_t>(distance, slices_);
        for (std::uint64_t i = 0; i < over; ++i) {
            present_ = present_ + 1 == slices_ ? 0 : present_ + 1;
            clear(present_);
        }
        number_ = number;
    }

    /// The slice that time is in.
    [[nodiscard]] std::size_t present() const noexcept { return present_; }

    [[nodiscard]] std::size_t size() const noexcept { return slices_; }

  private:
    /// Slices since the clock's zero, rounded down.
    [[nodiscard]] std::int64_t number_of(std::int64_t now) const noexcept {
        return now / length_ - (now % length_ < 0 ? 1 : 0);
    }

    std::int64_t length_;
    std::size_t slices_;
    std::int64_t number_ = 0;  ///< of the present slice
    std::size_t present_ = 0;
    bool begun_ = false;
};

}  // namespace tokengate::detail
