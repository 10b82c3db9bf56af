// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counted room: for the tokens of one lane, or for all tokens in flight.
#pragma once

#include <algorithm>
#include <cstdint>

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

/// A number of places. Submitters take some before they submit, workers give them back after.
///
/// Both sides move credits in blocks, so that this line is written once in a block and not once a
/// token. A small pool has blocks of one and is exact; a large one may leave blocks unused in the
/// hands of submitters, at most half of the pool (see `block`), and in the purses of workers, from
/// which whoever waits for room takes them.
class credit_pool {
  public:
    explicit credit_pool(std::int64_t total) noexcept
        : total_(total),
          block_(total < exact_blocks_below ? 1 : std::min(total / 128, largest_block)),
          mark_(total < exact_below ? 1 : total / 4),
          available_(total) {}

    /// Takes up to `wanted` credits; 0 if there is none.
    [[nodiscard]] std::int64_t take(std::int64_t wanted) noexcept {
        // Seq_cst: a blocked submitter has announced itself before this look; see give().
        std::int64_t seen = available_.load(std::memory_order_seq_cst);
        while (seen > 0) {
            const std::int64_t taken = std::min(seen, wanted);
            if (available_.compare_exchange_weak(seen, seen - taken, std::memory_order_seq_cst)) {
                return taken;
            }
        }
        return 0;
    }

    /// Takes credits whether there are any or not: what is beyond the limit is paid by those that
    /// come back first.
    void take_beyond(std::int64_t count) noexcept {
        // Relaxed: nobody waits for credits to go.
        available_.fetch_sub(count, std::memory_order_relaxed);
    }

    /// Gives credits back. True if blocked submitters should be woken: the room has just reached
    /// the mark, a quarter of the whole, below which waking them would cost more than it brings.
    [[nodiscard]] bool give(std::int64_t count) noexcept {
        // Seq_cst: the caller looks for blocked submitters next; see take().
        const std::int64_t before = available_.fetch_add(count, std::memory_order_seq_cst);
        return before < mark_ && before + count >= mark_;
    }

    /// How many credits a submitter should take at once, when so many submitters exist.
    [[nodiscard]] std::int64_t block(std::int64_t submitters) const noexcept {
        return submitters * block_ * 2 > total_ ? 1 : block_;
    }

    /// How many credits a worker should collect before it gives them back.
    [[nodiscard]] std::int64_t block() const noexcept { return block_; }

    /// Credits in the pool at this moment.
    [[nodiscard]] std::int64_t available() const noexcept {
        // Relaxed: a number to look at.
        return available_.load(std::memory_order_relaxed);
    }

    /// True if take() would have found credits.
    [[nodiscard]] bool seems_to_have_room() const noexcept {
        // Seq_cst: as in take().
        return available_.load(std::memory_order_seq_cst) > 0;
    }

    [[nodiscard]] std::int64_t total() const noexcept { return total_; }

  private:
    static constexpr std::int64_t largest_block = 64;
    static constexpr std::int64_t exact_blocks_below = 1024;
    // Pools below this size wake a submitter for every single place.
    static constexpr std::int64_t exact_below = 256;

    const std::int64_t total_;
    const std::int64_t block_;
    const std::int64_t mark_;
    alignas(64) atomic<std::int64_t> available_;
};

/// Credits of one pool that a worker has collected and not yet given back. Others may take them out
/// of it: those that wait for room, while the worker is busy with something long.
class purse {
  public:
    /// Adds some; the worker only. No read-modify-write.
    void earn(std::int64_t count = 1) noexcept {
        // Relaxed load: nobody else writes it. Release: pairs with the acquire in empty(); what the
        // credit stands for has been given back before (a page of a lane's reserve).
        earned_.store(earned_.load(std::memory_order_relaxed) + count, std::memory_order_release);
    }

    /// Credits that are in it. Exact for the worker, but for those that are being taken out.
    [[nodiscard]] std::int64_t count() const noexcept {
        // Relaxed: a number to decide by.
        return earned_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_relaxed);
    }

    /// Takes all of them out, to be given to the pool. Any thread.
    [[nodiscard]] std::int64_t empty() noexcept {
        // Acquire, here and below: who sees what another one has taken out sees what that one saw
        // of earned_, and does not go back behind it.
        std::int64_t taken = taken_.load(std::memory_order_acquire);
        for (;;) {
            // Acquire: pairs with the release in earn().
            const std::int64_t earned = earned_.load(std::memory_order_acquire);
            if (earned == taken) return 0;
            if (taken_.compare_exchange_weak(taken, earned, std::memory_order_acq_rel,
                                             std::memory_order_acquire)) {
                return earned - taken;
            }
        }
    }

  private:
    atomic<std::int64_t> earned_{0};  ///< only grows
    atomic<std::int64_t> taken_{0};   ///< only grows; never above earned_
};

}  // namespace tokengate::detail
