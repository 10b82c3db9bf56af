// SPDX-License-Identifier: Apache-2.0
/// @file
/// How many tokens of one operation may be in flight, how often it may be called, and how much of
/// its runtime's memory its calls take. README.md, "Limits of calls".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include <tokengate/locality.hpp>

#include "sleep/event_count.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

class memory_budget;

/// What a call, and then its token, has taken of the limits.
struct limit_share {
    std::size_t bytes = 0;  ///< of memory
    bool place = false;     ///< one of those in flight
    bool turn = false;      ///< one of the rate: only a call that comes to nothing gives it back
};

/// Which limit has no room.
enum class limit_kind : std::uint8_t { none, in_flight, rate, memory };

/// Calls up to a rate, in the long run, and so many at once after a pause: a token bucket, kept as
/// what has been used up of it at a time. No clock of its own; under the lock of its owner.
class rate_bucket {
  public:
    explicit rate_bucket(const rate_limit& limit) noexcept
        : per_nanosecond_(limit.per_second / 1e9), burst_(limit.burst) {}

    [[nodiscard]] bool limited() const noexcept { return per_nanosecond_ > 0; }

    /// True if a call may come now; then it has. Otherwise nothing has changed.
    [[nodiscard]] bool take(steady_ns now) noexcept;

    /// One call more, even if it is too early: the time from when on it may come.
    [[nodiscard]] steady_ns reserve(steady_ns now) noexcept;

    /// A call has not come after all.
    void give_back() noexcept { used_ -= 1; }

  private:
    [[nodiscard]] double used_at(steady_ns now) const noexcept;

    const double per_nanosecond_;
    const double burst_;
    double used_ = 0;  ///< calls, at the time `at_`; more than burst_: some are to come
    steady_ns at_ = 0;
};

/// The limits of one operation.
/// Thread safety: any thread may call anything.
class call_limits {
  public:
    /// @param room  whoever waits for room of any kind
    call_limits(event_count& room, const operation_traits& traits, memory_budget& memory);

    /// What a call was told.
    struct answer {
        limit_kind lacking = limit_kind::none;
        when_full policy = when_full::block;
        steady_ns when = 0;  ///< of the rate: its turn comes then, and is its own already
        bool never = false;  ///< there cannot be room for it, ever
    };

    /// What a call has taken, until its token has it. Ends on the thread that has made it.
    class hold {
      public:
        /// @param bytes  what its token will take of memory
        hold(call_limits& limits, std::size_t bytes) noexcept;
        ~hold();
        hold(const hold&) = delete;
        hold& operator=(const hold&) = delete;

        /// Takes all that the call needs, or says what is lacking; then it has no place and no
        /// memory. `waits`: the call will wait for its turn if it comes too early.
        [[nodiscard]] answer take(bool waits) noexcept;

        /// The rate is not asked: the call has the turn of one that was dropped.
        void inherit_turn() noexcept { inherits_turn_ = true; }

        /// Takes what it needs beyond the limits.
        void take_beyond() noexcept;

        /// From now on the token has it.
        [[nodiscard]] limit_share move_out() noexcept;

        /// What calls that this thread makes inside each other have taken of these limits (of all
        /// limits of this memory).
        [[nodiscard]] static std::size_t places_of_thread(const call_limits& limits) noexcept;
        [[nodiscard]] static std::size_t bytes_of_thread(const memory_budget& memory) noexcept;

      private:
        call_limits& limits_;
        const std::size_t bytes_;
        limit_share share_;
        steady_ns turn_at_ = 0;
        bool inherits_turn_ = false;
        hold* const outer_;
    };

    /// False: nothing of this is asked of anybody.
    [[nodiscard]] bool any() const noexcept;

    /// The token that has had it has ended.
    void give_back(const limit_share& share) noexcept;

    /// The call that had it has come to nothing: its turn is free again, too.
    void give_up(const limit_share& share) noexcept;

    /// How many places are taken, those beyond the limit included.
    [[nodiscard]] std::size_t places() const noexcept;

    [[nodiscard]] const memory_budget& memory() const noexcept { return memory_; }

    /// Which limit that is, with its figures: "its in_flight limit of 3 tokens".
    [[nodiscard]] std::string describe(limit_kind which) const;

  private:
    event_count& room_;
    memory_budget& memory_;
    const in_flight_limit in_flight_;
    const rate_limit rate_;
    mutable std::mutex lock_;
    std::size_t places_ = 0;  ///< under lock_
    rate_bucket bucket_;      ///< under lock_
};

}  // namespace tokengate::detail
