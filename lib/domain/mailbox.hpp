// SPDX-License-Identifier: Apache-2.0
/// @file
/// A domain's mailbox: FIFO lanes on oneTBB's concurrent queue. The only file that names it.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <tuple>
#include <utility>

#include <oneapi/tbb/concurrent_queue.h>

#include <tokengate/detail/node.hpp>

#include "domain/credits.hpp"
#include "domain/page_reserve.hpp"
#include "sleep/fence.hpp"

namespace tokengate::detail {

/// The lanes of a mailbox: for each weight class one for free tokens, which other domains may see,
/// and one for anchored tokens, which only the domain's own workers do; and one for tokens that try
/// again.
enum class lane : std::uint8_t {
    heavy,
    medium,
    light,
    anchored_heavy,
    anchored_medium,
    anchored_light,
    retry
};

inline constexpr std::size_t lane_count = 7;

/// A set of lanes, one bit each.
using lane_mask = std::uint32_t;

[[nodiscard]] constexpr lane lane_of(weight value, bool anchored) noexcept {
    return static_cast<lane>(index_of(value) + (anchored ? weight_count : 0));
}
[[nodiscard]] constexpr lane_mask bit_of(lane which) noexcept {
    return lane_mask{1} << static_cast<unsigned>(which);
}

inline constexpr lane_mask all_lanes = (lane_mask{1} << lane_count) - 1;
inline constexpr lane_mask fresh_lanes = all_lanes & ~bit_of(lane::retry);
inline constexpr lane_mask free_lanes = (lane_mask{1} << weight_count) - 1;

/// The order in which one worker serves the lanes of a mailbox: fresh lanes in rotation, and a
/// retry after every `stride` fresh tokens, or when nothing fresh waits.
class lane_rota {
  public:
    explicit lane_rota(std::uint32_t stride) noexcept : stride_(stride) {}

    /// The lane to serve next out of those that hold something.
    [[nodiscard]] std::optional<lane> next(lane_mask occupied) const noexcept {
        const lane_mask fresh = occupied & fresh_lanes;
        const bool retry = (occupied & bit_of(lane::retry)) != 0;
        if (retry && (fresh == 0 || fresh_in_a_row_ >= stride_)) return lane::retry;
        if (fresh == 0) return std::nullopt;
        const lane_mask after = fresh & ~((bit_of(last_) << 1U) - 1);
        return static_cast<lane>(std::countr_zero(after != 0 ? after : fresh));
    }

    /// Records that a token of that lane was served.
    void served(lane which) noexcept {
        if (which == lane::retry) {
            fresh_in_a_row_ = 0;
        } else {
            last_ = which;
            if (fresh_in_a_row_ < stride_) ++fresh_in_a_row_;
        }
    }

  private:
    std::uint32_t stride_;
    std::uint32_t fresh_in_a_row_ = 0;
    lane last_ = lane::anchored_light;
};

/// The lanes of one domain. Any thread may push and pop; each push needs a credit of its lane.
///
/// `occupied` is a hint, so that lanes that hold nothing are not polled: idle consumers that poll
/// an empty concurrent_queue cost ten times the queue itself. A set bit may be stale; a clear bit
/// of a lane that holds a token is set again by whoever cleared it or by the producer
/// (lib/sleep/README.md).
class mailbox {
  public:
    /// @param capacity   tokens that each lane holds at most
    /// @param consumers  threads that may be inside pop() at once
    /// @throws std::bad_alloc
    mailbox(std::size_t capacity, std::size_t consumers)
        : lanes_{one_lane(capacity, consumers), one_lane(capacity, consumers),
                 one_lane(capacity, consumers), one_lane(capacity, consumers),
                 one_lane(capacity, consumers), one_lane(capacity, consumers),
                 one_lane(capacity, consumers)} {}

    /// Room in a lane.
    [[nodiscard]] credit_pool& credits(lane which) noexcept { return at(which).credits; }

    /// Appends a token; the caller holds a credit of the lane. Publishes the node to whoever
    /// pops it. Ends with a full fence, so that the caller may look for sleepers next.
    void push(lane which, token_node& node) noexcept {
        at(which).queue.push(&node);
        // Seq_cst: orders the push before the look at the hint, and before the caller's look at
        // the idle set; pairs with the fence in lower() and with idle_set::announce().
        full_fence();
        const lane_mask bit = bit_of(which);
        if ((occupied_.load(std::memory_order_relaxed) & bit) == 0) {
            occupied_.fetch_or(bit, std::memory_order_seq_cst);
        }
    }

    /// The lanes that seem to hold something.
    [[nodiscard]] lane_mask occupied() const noexcept {
        // Seq_cst: a worker that has announced itself idle relies on seeing what was pushed before.
        return occupied_.load(std::memory_order_seq_cst);
    }

    /// Takes the first token of a lane; null if there is none. Sets `marked_again` if it cleared
    /// the lane's hint and found that a token had come meanwhile: a worker that looked in between
    /// may have missed it, so the caller owes a wake-up.
    [[nodiscard]] token_node* pop(lane which, bool& marked_again) noexcept {
        token_node* node = nullptr;
        while (!at(which).queue.try_pop(node)) {
            if (!lower(which)) return nullptr;
            marked_again = true;
        }
        return node;
    }

    /// True if the lane holds a token now; the hint alone may be stale.
    [[nodiscard]] bool holds(lane which) const noexcept {
        return (occupied() & bit_of(which)) != 0 &&
               !lanes_[static_cast<std::size_t>(which)].queue.empty();
    }

  private:
    /// A queue with the reserve that its pages come from.
    struct one_lane {
        // Sizes of oneTBB 2021.8 for pointers: 32 items a page, 8 sub-queues. A page more for each
        // sub-queue that is not full at either end, and for each consumer that has not yet given
        // back the page that it emptied.
        static constexpr std::size_t items_per_page = 32;
        static constexpr std::size_t sub_queues = 8;

        one_lane(std::size_t capacity, std::size_t consumers)
            : credits(static_cast<std::int64_t>(capacity)),
              reserve(capacity / items_per_page + 2 * sub_queues + consumers + 1),
              queue(reserve_allocator<token_node*>(reserve)) {}

        credit_pool credits;
        page_reserve reserve;
        tbb::concurrent_queue<token_node*, reserve_allocator<token_node*>> queue;
    };

    [[nodiscard]] one_lane& at(lane which) noexcept {
        return lanes_[static_cast<std::size_t>(which)];
    }

    /// The lane was found empty: clears its hint, unless a token has come meanwhile.
    /// True if the lane holds something after all.
    [[nodiscard]] bool lower(lane which) noexcept {
        const lane_mask bit = bit_of(which);
        occupied_.fetch_and(~bit, std::memory_order_seq_cst);
        // Pairs with the fence in push(): the producer sees the cleared hint, or this sees its
        // token.
        full_fence();
        if (at(which).queue.empty()) return false;
        occupied_.fetch_or(bit, std::memory_order_seq_cst);
        return true;
    }

    alignas(64) std::atomic<lane_mask> occupied_{0};
    alignas(64) one_lane lanes_[lane_count];
};

}  // namespace tokengate::detail
