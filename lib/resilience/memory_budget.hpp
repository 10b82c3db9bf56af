// SPDX-License-Identifier: Apache-2.0
/// @file
/// How much memory the tokens of one runtime may take.
#pragma once

#include <atomic>
#include <cstddef>

#include <tokengate/config.hpp>

namespace tokengate::detail {

/// Counts the bytes of all accepted tokens that have not ended, and of calls on their way.
/// Thread safety: any thread may call anything. Never more than the limit is given out but by
/// take_beyond().
class memory_budget {
  public:
    explicit memory_budget(const settings& chosen) noexcept
        : limit_(chosen.memory_limit), policy_(chosen.memory_policy) {}

    /// False: there is no limit, and nothing is counted.
    [[nodiscard]] bool limited() const noexcept { return limit_ != 0; }
    [[nodiscard]] std::size_t limit() const noexcept { return limit_; }
    [[nodiscard]] when_full policy() const noexcept { return policy_; }

    /// Bytes that are taken at this moment.
    [[nodiscard]] std::size_t held() const noexcept {
        // Relaxed: a number to look at.
        return held_.load(std::memory_order_relaxed);
    }

    /// False, and nothing is taken, if there is not so much left.
    [[nodiscard]] bool take(std::size_t bytes) noexcept {
        // Seq_cst: a caller that waits has announced itself before it looks; give() changes the
        // number before it looks for those who wait.
        std::size_t before = held_.load(std::memory_order_seq_cst);
        do {
            if (before >= limit_ || bytes > limit_ - before) return false;
        } while (!held_.compare_exchange_weak(before, before + bytes, std::memory_order_seq_cst));
        return true;
    }

    void take_beyond(std::size_t bytes) noexcept {
        // Relaxed: nobody waits for less room.
        held_.fetch_add(bytes, std::memory_order_relaxed);
    }

    /// Whoever waits is to be told afterwards.
    void give(std::size_t bytes) noexcept { held_.fetch_sub(bytes, std::memory_order_seq_cst); }

  private:
    const std::size_t limit_;
    const when_full policy_;
    std::atomic<std::size_t> held_{0};
};

}  // namespace tokengate::detail
