// SPDX-License-Identifier: Apache-2.0
/// @file
/// A lock that can be waited for until a deadline.
#pragma once

#include <optional>

#include <tokengate/detail/atomic.hpp>

#include "sleep/event_count.hpp"

namespace tokengate::detail {

/// For rare and long steps, such as stop(). Not std::timed_mutex, whose timed lock the thread
/// sanitizer of clang 14 does not know.
class turn {
  public:
    /// Takes the lock. False if the deadline passed first.
    [[nodiscard]] bool take(std::optional<steady_ns> deadline) noexcept {
        while (taken_.exchange(true, std::memory_order_seq_cst)) {
            const event_count::ticket ticket = freed_.prepare();
            if (!taken_.exchange(true, std::memory_order_seq_cst)) {
                freed_.cancel();
                return true;
            }
            if (!freed_.wait(ticket, deadline)) return false;
        }
        return true;
    }

    /// Gives the lock back. Its holder only.
    void give() noexcept {
        taken_.store(false, std::memory_order_seq_cst);
        freed_.notify_all();
    }

  private:
    atomic<bool> taken_{false};
    event_count freed_;
};

/// Holds a turn; empty if the deadline passed first.
class turn_guard {
  public:
    explicit turn_guard(turn& which, std::optional<steady_ns> deadline = std::nullopt) noexcept
        : which_(which), held_(which.take(deadline)) {}
    ~turn_guard() {
        if (held_) which_.give();
    }
    turn_guard(const turn_guard&) = delete;
    turn_guard& operator=(const turn_guard&) = delete;

    [[nodiscard]] explicit operator bool() const noexcept { return held_; }

  private:
    turn& which_;
    bool held_;
};

}  // namespace tokengate::detail
