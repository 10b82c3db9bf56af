// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counters that one thread writes and others read.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <tokengate/weight.hpp>

namespace tokengate::detail {

/// A counter with a single writer: no read-modify-write, no shared line.
class own_counter {
  public:
    /// Writer only.
    [[gnu::always_inline]] void add(std::uint64_t count = 1) noexcept {
        // Relaxed load: nobody else writes. Release: pairs with the acquire in value(), so that
        // what happened before the count is visible to whoever reads it.
        value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_release);
    }

    /// Writer only: takes an add() back.
    void retract(std::uint64_t count = 1) noexcept {
        // Release: as in add().
        value_.store(value_.load(std::memory_order_relaxed) - count, std::memory_order_release);
    }

    [[nodiscard]] std::uint64_t value() const noexcept {
        return value_.load(std::memory_order_acquire);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// A number that one thread writes and others look at.
class own_number {
  public:
    /// Writer only.
    [[gnu::always_inline]] void set(std::uint64_t value) noexcept {
        // Release: who sees it sees what was set before.
        value_.store(value, std::memory_order_release);
    }

    [[gnu::always_inline, nodiscard]] std::uint64_t value() const noexcept {
        return value_.load(std::memory_order_acquire);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// One counter for each weight class.
using counters_by_weight = std::array<own_counter, weight_count>;

}  // namespace tokengate::detail
