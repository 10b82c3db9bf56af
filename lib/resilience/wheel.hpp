// SPDX-License-Identifier: Apache-2.0
/// @file
/// Alarms in the order in which they are to ring: a hierarchical timing wheel. README.md, "The
/// wheel".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "resilience/alarm.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

/// A moment that does not come.
inline constexpr steady_ns never = std::numeric_limits<steady_ns>::max();

/// Armed alarms by the tick in which they are due. Neither a thread nor a clock: moments come from
/// outside and never go back. No step takes memory, or can fail; arming and disarming take
/// constant time.
///
/// Thread safety: none.
class wheel {
  public:
    wheel() = default;
    wheel(const wheel&) = delete;
    wheel& operator=(const wheel&) = delete;

    /// Arms an alarm, or moves one that is armed. It is due in the first tick that begins at `when`
    /// or later, or at once if that tick has passed; after those of this tick that are armed
    /// already. One for the end of all time (`never`) is never due.
    /// @returns from when on expire() may find it
    steady_ns arm(alarm& which, steady_ns when) noexcept;

    /// False if it was not armed.
    bool disarm(alarm& which) noexcept;

    /// The earliest moment at which expire() may have something to do; `never` if there is none.
    /// What it finds then need not be an alarm that is due, but each time the rest of the way to
    /// one is shorter: at most seven times in vain.
    [[nodiscard]] steady_ns next() const noexcept;

    /// Takes an alarm that is due now and disarms it: the one of the earliest tick, of those the
    /// one that was armed first. Null if there is none, or if it has not come to it in one step of
    /// bounded length: then next() is not later than now.
    [[nodiscard]] alarm* expire(steady_ns now) noexcept;

    /// Disarms an alarm of a kind, any of them. Null: there is none. Looks at all alarms.
    [[nodiscard]] alarm* take_one(const alarm_kind& kind) noexcept;

  private:
    /// Of which there are so many nanoseconds in one.
    using tick = std::uint64_t;
    static constexpr unsigned tick_bits = 16;

    // 48 bits of ticks: up to the end of the clock.
    static constexpr unsigned levels = 8;
    static constexpr unsigned level_bits = 6;
    static constexpr unsigned slots_in_level = 1U << level_bits;

    /// How many alarms one step moves down at most.
    static constexpr unsigned most_moved = 64;

    /// A first-in-first-out list.
    struct slot {
        alarm* first = nullptr;
        alarm* last = nullptr;
    };

    /// An occupied slot, and the first of its ticks.
    struct place {
        std::size_t number = 0;
        tick begin = 0;
        bool found = false;
    };

    [[nodiscard]] static tick tick_at(steady_ns now) noexcept;
    [[nodiscard]] static tick tick_from(steady_ns when) noexcept;
    [[nodiscard]] static steady_ns begin_of(tick which) noexcept;
    [[nodiscard]] std::size_t slot_of(tick due) const noexcept;
    [[nodiscard]] place earliest() const noexcept;
    [[nodiscard]] bool occupied(std::size_t number) const noexcept;
    void append(alarm& which, std::size_t number) noexcept;
    void remove(alarm& which) noexcept;

    tick now_ = 0;            ///< all before it is done, and perhaps some of itself
    std::size_t opened_ = 0;  ///< the slot that is being emptied into lower levels; 0: none is
    std::array<std::uint64_t, levels> bitmap_{};  ///< a bit for each occupied slot
    std::array<slot, std::size_t{levels} * slots_in_level> slots_{};
};

}  // namespace tokengate::detail
