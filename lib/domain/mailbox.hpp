// SPDX-License-Identifier: Apache-2.0
/// @file
/// A domain's mailbox: lanes of outboxes, one for each thread that submits, and oneTBB's
/// concurrent queue, which no other file names.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <oneapi/tbb/concurrent_queue.h>

#include <tokengate/detail/node.hpp>

#include "domain/credits.hpp"
#include "domain/outbox.hpp"
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
/// True for lanes of anchored tokens.
[[nodiscard]] constexpr bool is_anchored(lane which) noexcept {
    return which >= lane::anchored_heavy;
}
/// The class of a lane of fresh tokens.
[[nodiscard]] constexpr weight class_of(lane which) noexcept {
    return static_cast<weight>(static_cast<std::size_t>(which) % weight_count);
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

    /// The lane that was served last, if it may go on: then only that one needs to be looked at,
    /// and the retries if retry_is_due().
    [[nodiscard]] std::optional<lane> again() const noexcept {
        if (in_a_row_ == 0) return std::nullopt;
        return last_;
    }
    [[nodiscard]] bool retry_is_due() const noexcept { return fresh_in_a_row_ >= stride_; }

    /// Records that a token of that lane was served.
    void served(lane which) noexcept {
        if (which == lane::retry) {
            fresh_in_a_row_ = 0;
            in_a_row_ = 0;
            return;
        }
        if (which != last_) in_a_row_ = 0;
        last_ = which;
        served_again(1);
    }

    /// Records that some more of the lane that was served last were served: no retries, and at most
    /// left_in_a_row().
    void served_again(std::uint32_t count) noexcept {
        in_a_row_ = (in_a_row_ + count) % most_in_a_row;
        fresh_in_a_row_ = std::min(stride_, fresh_in_a_row_ + count);
    }

    /// How many more tokens the lane that was served last may have in this row.
    [[nodiscard]] std::uint32_t left_in_a_row() const noexcept {
        return in_a_row_ == 0 ? 0 : most_in_a_row - in_a_row_;
    }

  private:
    std::uint32_t stride_;
    static constexpr std::uint32_t most_in_a_row = 8;
    std::uint32_t fresh_in_a_row_ = 0;
    std::uint32_t in_a_row_ = 0;  ///< of `last_`; 0 after the last of those that it may have
    lane last_ = lane::anchored_light;
};

/// Whose tokens a taker takes next out of a lane: some of one source, then the next one's, so that
/// no submitter waits for another one's burst.
class source_rota {
  public:
    /// The source to serve next out of those that hold something; their set is not empty.
    [[nodiscard]] unsigned next(std::uint64_t occupied) const noexcept {
        const std::uint64_t onward = occupied & (~std::uint64_t{0} << current_);
        return static_cast<unsigned>(std::countr_zero(onward != 0 ? onward : occupied));
    }

    /// Records that a token of that source was taken.
    void served(unsigned source) noexcept {
        if (source != current_) in_a_row_ = 0;
        if (source < current_) ++rounds_;
        current_ = source;
        served_again(1);
    }

    /// How many more tokens the source that was served last may have in this row.
    [[nodiscard]] unsigned left_in_a_row() const noexcept {
        return in_a_row_ == 0 ? 0 : most_in_a_row - in_a_row_;
    }

    /// Records that some more of the source that was served last were taken: at most
    /// left_in_a_row().
    void served_again(unsigned count) noexcept {
        in_a_row_ += count;
        if (in_a_row_ < most_in_a_row) return;
        current_ = (current_ + 1) % 64;
        in_a_row_ = 0;
        if (current_ == 0) ++rounds_;
    }

    /// How often it has come round: where several outboxes share a bit, the next one comes first.
    [[nodiscard]] unsigned rounds() const noexcept { return rounds_; }

  private:
    static constexpr unsigned most_in_a_row = 16;
    unsigned current_ = 0;
    unsigned in_a_row_ = 0;
    unsigned rounds_ = 0;
};

/// The lanes of one domain. A lane has several sources, each of them first in, first out: an outbox
/// for each thread that submits to it, and a concurrent queue for what comes from elsewhere. Any
/// thread may push to the queue and take from all; each push needs a credit of its lane.
///
/// `occupied` is a hint for each source, so that those that hold nothing are not polled: idle
/// consumers that poll an empty concurrent_queue cost ten times the queue itself. A set bit may be
/// stale; a clear bit of a source that holds a token is set again by whoever cleared it or by the
/// producer (lib/sleep/README.md).
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

    /// An outbox in a lane; its number is unique there. Lives as long as the mailbox.
    class source : public outbox {
      public:
        explicit source(unsigned number) noexcept(false) : bit_(number % outbox_bits) {}

      private:
        friend class mailbox;
        const unsigned bit_;
        source* next_ = nullptr;  ///< the next one with the same bit
    };

    /// Room in a lane.
    [[nodiscard]] credit_pool& credits(lane which) noexcept { return at(which).credits; }

    /// A new outbox of a lane, for one thread at a time. Any thread.
    /// @throws std::bad_alloc
    [[nodiscard]] source& open(lane which) {
        one_lane& home = at(which);
        const std::scoped_lock guard(opening_);
        home.sources.push_back(
            std::make_unique<source>(static_cast<unsigned>(home.sources.size())));
        source& opened = *home.sources.back();
        std::atomic<source*>& head = home.by_bit[opened.bit_];
        opened.next_ = head.load(std::memory_order_relaxed);
        // Release: pairs with the acquire in first_of().
        head.store(&opened, std::memory_order_release);
        return opened;
    }

    /// Appends a token to the calling thread's outbox; the caller holds a credit of the lane.
    /// Publishes the node to whoever takes it. Ends with a full fence, so that the caller may look
    /// for sleepers next.
    void push(lane which, source& own, token_node& node) noexcept {
        if (!own.push(node)) [[unlikely]] {
            // Out of memory: rather out of order than not at all.
            push(which, node);
            return;
        }
        raise(which, std::uint64_t{1} << own.bit_);
    }

    /// The same with one node, as so many entries.
    void push_many(lane which, source& own, token_node& node, std::uint32_t entries) noexcept {
        if (!own.push_many(node, entries)) [[unlikely]] {
            // As above.
            for (; entries > 0; --entries) push(which, node);
            return;
        }
        raise(which, std::uint64_t{1} << own.bit_);
    }

    /// The same, to the lane's queue. Any thread.
    void push(lane which, token_node& node) noexcept {
        at(which).queue.push(&node);
        raise(which, queue_bit);
    }

    /// The lanes that seem to hold something.
    [[nodiscard]] lane_mask occupied() const noexcept {
        lane_mask found = 0;
        for (unsigned i = 0; i < lane_count; ++i) {
            // Seq_cst: a worker that has announced itself idle relies on seeing what was pushed
            // before.
            if (occupied_[i].load(std::memory_order_seq_cst) != 0) found |= lane_mask{1} << i;
        }
        return found;
    }

    /// True if this lane seems to hold something.
    [[nodiscard]] bool occupied(lane which) const noexcept {
        // Seq_cst: as above.
        return occupied_[static_cast<std::size_t>(which)].load(std::memory_order_seq_cst) != 0;
    }

    /// Takes the first token of one of a lane's sources; null if there is none. Sets
    /// `marked_again` if it cleared a source's hint and found that a token had come meanwhile: a
    /// worker that looked in between may have missed it, so the caller owes a wake-up.
    [[nodiscard]] token_node* pop(lane which, source_rota& rota, bool& marked_again) noexcept {
        return pop_from(which, rota, marked_again).node;
    }

    /// What pop_from() has taken.
    struct taken {
        token_node* node = nullptr;
        source* from = nullptr;  ///< where the next ones of the same source are; null: pop() them
    };

    /// The same, and says where to take more in the same row, by source::take().
    [[nodiscard]] taken pop_from(lane which, source_rota& rota, bool& marked_again) noexcept {
        const std::atomic<std::uint64_t>& hint = occupied_[static_cast<std::size_t>(which)];
        for (;;) {
            // Seq_cst: as in occupied().
            const std::uint64_t seen = hint.load(std::memory_order_seq_cst);
            if (seen == 0) return {};
            const unsigned bit = rota.next(seen);
            if (const taken found = take(which, bit, rota.rounds()); found.node != nullptr) {
                rota.served(bit);
                return found;
            }
            if (lower(which, bit)) marked_again = true;
        }
    }

    /// How many entries lie in all lanes, roughly: a number to look at. Looks at each source.
    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t sum = 0;
        for (unsigned l = 0; l < lane_count; ++l) {
            sum += lanes_[l].queue.unsafe_size();
            for (unsigned bit = 0; bit < outbox_bits; ++bit) {
                const source* each = first_of(static_cast<lane>(l), bit);
                for (; each != nullptr; each = each->next_) sum += each->size();
            }
        }
        return sum;
    }

    /// True if the lane holds a token now; the hint alone may be stale.
    [[nodiscard]] bool holds(lane which) const noexcept {
        // Seq_cst: as in occupied().
        std::uint64_t seen = occupied_[static_cast<std::size_t>(which)].load();
        for (; seen != 0; seen &= seen - 1) {
            if (!seems_empty(which, static_cast<unsigned>(std::countr_zero(seen)))) return true;
        }
        return false;
    }

  private:
    static constexpr unsigned outbox_bits = 63;
    static constexpr std::uint64_t queue_bit = std::uint64_t{1} << outbox_bits;

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
        std::vector<std::unique_ptr<source>> sources;  ///< under opening_
        /// The sources of each bit: one, up to 63 threads.
        std::array<std::atomic<source*>, outbox_bits> by_bit{};
    };

    [[nodiscard]] one_lane& at(lane which) noexcept {
        return lanes_[static_cast<std::size_t>(which)];
    }

    [[nodiscard]] source* first_of(lane which, unsigned bit) const noexcept {
        // Acquire: pairs with the release in open().
        return lanes_[static_cast<std::size_t>(which)].by_bit[bit].load(std::memory_order_acquire);
    }

    /// @param round  counts on when another of those that share the bit is to come first
    [[nodiscard]] taken take(lane which, unsigned bit, unsigned round) noexcept {
        if (bit == outbox_bits) {
            token_node* node = nullptr;
            static_cast<void>(at(which).queue.try_pop(node));
            return {.node = node};
        }
        source* const last_opened = first_of(which, bit);
        if (last_opened->next_ == nullptr) [[likely]]
            return {.node = last_opened->take(), .from = last_opened};
        unsigned count = 0;
        for (source* each = last_opened; each != nullptr; each = each->next_) ++count;
        source* each = last_opened;
        for (unsigned skipped = round % count; skipped > 0; --skipped) each = each->next_;
        for (; count > 0; --count) {
            if (token_node* node = each->take()) return {.node = node};
            each = each->next_ != nullptr ? each->next_ : last_opened;
        }
        return {};
    }

    [[nodiscard]] bool seems_empty(lane which, unsigned bit) const noexcept {
        if (bit == outbox_bits) return lanes_[static_cast<std::size_t>(which)].queue.empty();
        for (const source* each = first_of(which, bit); each != nullptr; each = each->next_) {
            if (!each->seems_empty()) return false;
        }
        return true;
    }

    /// Something was pushed: sets its source's hint if it is clear.
    void raise(lane which, std::uint64_t bit) noexcept {
        std::atomic<std::uint64_t>& hint = occupied_[static_cast<std::size_t>(which)];
        // Seq_cst: orders the push before the look at the hint, and before the caller's look at
        // the idle set; pairs with the fence in lower() and with idle_set::announce().
        full_fence();
        if ((hint.load(std::memory_order_relaxed) & bit) == 0) {
            hint.fetch_or(bit, std::memory_order_seq_cst);
        }
    }

    /// A source was found empty: clears its hint, unless a token has come meanwhile.
    /// True if it holds something after all.
    [[nodiscard]] bool lower(lane which, unsigned bit) noexcept {
        std::atomic<std::uint64_t>& hint = occupied_[static_cast<std::size_t>(which)];
        const std::uint64_t mask = std::uint64_t{1} << bit;
        hint.fetch_and(~mask, std::memory_order_seq_cst);
        // Pairs with the fence in raise(): the producer sees the cleared hint, or this sees its
        // token.
        full_fence();
        if (seems_empty(which, bit)) return false;
        hint.fetch_or(mask, std::memory_order_seq_cst);
        return true;
    }

    /// One word a lane, one bit a source; on one line, since who looks for work looks at all.
    alignas(64) std::array<std::atomic<std::uint64_t>, lane_count> occupied_{};
    alignas(64) one_lane lanes_[lane_count];
    std::mutex opening_;
};

}  // namespace tokengate::detail
