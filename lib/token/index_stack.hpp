// SPDX-License-Identifier: Apache-2.0
/// @file
/// A lock-free stack of small numbers.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

/// A stack of distinct numbers below a fixed capacity, for free lists of slots that never go away.
///
/// The head is one 64-bit word: the number on top in the low half, a count of changes in the high
/// half. The count makes a stale head fail its compare-exchange (the ABA problem), and since slots
/// are never freed, reading the link of a number that somebody else has just taken is harmless.
class index_stack {
  public:
    /// An empty stack for numbers 0 .. capacity-1, or a full one with 0 on top.
    index_stack(std::uint32_t capacity, bool full)
        : links_(std::make_unique<atomic<std::uint32_t>[]>(capacity)), capacity_(capacity) {
        assert(capacity < none);
        for (std::uint32_t i = 0; i < capacity; ++i) {
            const bool has_next = full && i + 1 < capacity;
            links_[i].store(has_next ? i + 1 : none, std::memory_order_relaxed);
        }
        head_.store(full && capacity > 0 ? 0 : none, std::memory_order_relaxed);
    }

    /// Adds a number that is not in the stack.
    void push(std::uint32_t number) noexcept {
        std::uint64_t head = head_.load(std::memory_order_relaxed);
        do {
            // Relaxed: published by the exchange below.
            links_[number].store(number_of(head), std::memory_order_relaxed);
            // Release: pairs with the acquire in pop(), which hands the slot's content over.
        } while (!head_.compare_exchange_weak(head, next(head, number), std::memory_order_release,
                                              std::memory_order_relaxed));
    }

    /// Takes the number on top, if there is one.
    [[nodiscard]] std::optional<std::uint32_t> pop() noexcept {
        // Acquire: pairs with the release in push(), here and on failure below.
        std::uint64_t head = head_.load(std::memory_order_acquire);
        while (number_of(head) != none) {
            // Relaxed: if the link is stale, the count has moved on and the exchange fails.
            const std::uint32_t below = links_[number_of(head)].load(std::memory_order_relaxed);
            if (head_.compare_exchange_weak(head, next(head, below), std::memory_order_acquire,
                                            std::memory_order_acquire)) {
                return number_of(head);
            }
        }
        return std::nullopt;
    }

    /// How many there are; some number while others push and pop.
    [[nodiscard]] std::uint32_t size() const noexcept {
        std::uint32_t count = 0;
        std::uint32_t each = number_of(head_.load(std::memory_order_acquire));
        // Bounded: links that change meanwhile may go round.
        for (; each != none && count < capacity_; ++count) {
            each = links_[each].load(std::memory_order_relaxed);
        }
        return count;
    }

  private:
    static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

    static std::uint32_t number_of(std::uint64_t head) noexcept {
        return static_cast<std::uint32_t>(head);
    }
    static std::uint64_t next(std::uint64_t head, std::uint32_t number) noexcept {
        const std::uint64_t count = (head >> 32U) + 1;
        return (count << 32U) | number;
    }

    std::unique_ptr<atomic<std::uint32_t>[]> links_;
    const std::uint32_t capacity_;
    alignas(64) atomic<std::uint64_t> head_;
};

}  // namespace tokengate::detail
