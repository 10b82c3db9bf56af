// SPDX-License-Identifier: Apache-2.0
/// @file
/// Sleeping until a condition holds, without losing a wake-up. Protocol: README.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <tokengate/detail/atomic.hpp>

#include "sleep/futex.hpp"

namespace tokengate::detail {

/// After this time at the latest whoever waits for what may happen without an event looks again.
inline constexpr std::chrono::milliseconds look_again{1};

/// An event count: a waiter takes a ticket, looks at its condition, and sleeps unless an event has
/// happened since; a notifier makes the condition true and counts an event.
///
/// Every access is seq_cst: waiter (waiters up, look at the condition) and notifier (change the
/// condition, look at waiters) are two sides of a Dekker pattern, so one of them sees the other.
class event_count {
  public:
    /// The number of events so far.
    class ticket {
        friend class event_count;
        explicit ticket(std::uint32_t epoch) noexcept : epoch_(epoch) {}
        std::uint32_t epoch_;
    };

    /// A ticket for a waiter that spins first and may never sleep.
    [[nodiscard]] ticket look() const noexcept {
        return ticket(epoch_.load(std::memory_order_seq_cst));
    }

    /// True if an event has happened since the ticket was taken.
    [[nodiscard]] bool happened_since(ticket taken) const noexcept {
        // Acquire: pairs with the addition in notify.
        return epoch_.load(std::memory_order_acquire) != taken.epoch_;
    }

    /// Announces a waiter. It must look at its condition next, then call cancel() or wait().
    [[nodiscard]] ticket prepare() noexcept {
        waiters_.fetch_add(1, std::memory_order_seq_cst);
        return look();
    }

    /// Takes an announcement back: the condition holds.
    void cancel() noexcept { waiters_.fetch_sub(1, std::memory_order_seq_cst); }

    /// Sleeps until an event happens or the deadline passes. False if the deadline passed.
    bool wait(ticket taken, std::optional<steady_ns> deadline = std::nullopt) noexcept {
        bool in_time = true;
        while (!happened_since(taken)) {
            futex_wait(epoch_, taken.epoch_, deadline);
            if (deadline && !happened_since(taken) && steady_now() >= *deadline) {
                in_time = false;
                break;
            }
        }
        cancel();
        return in_time;
    }

    /// Announces and sleeps in one: for a waiter that has spun on a ticket from look().
    bool park(ticket taken, std::optional<steady_ns> deadline = std::nullopt) noexcept {
        waiters_.fetch_add(1, std::memory_order_seq_cst);
        return wait(taken, deadline);
    }

    /// Counts an event and wakes one waiter, if any sleeps.
    void notify_one() noexcept {
        epoch_.fetch_add(1, std::memory_order_seq_cst);
        if (has_waiters()) futex_wake_one(epoch_);
    }

    /// Counts an event and wakes all waiters.
    void notify_all() noexcept {
        epoch_.fetch_add(1, std::memory_order_seq_cst);
        if (has_waiters()) futex_wake_all(epoch_);
    }

    /// True if somebody has announced itself. Only after a seq_cst read-modify-write that made the
    /// condition true may a notifier skip notify_all() because of it.
    [[nodiscard]] bool has_waiters() const noexcept {
        return waiters_.load(std::memory_order_seq_cst) != 0;
    }

  private:
    atomic<std::uint32_t> epoch_{0};
    atomic<std::uint32_t> waiters_{0};
};

}  // namespace tokengate::detail
