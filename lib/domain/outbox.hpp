// SPDX-License-Identifier: Apache-2.0
/// @file
/// The tokens that one thread has submitted to one lane and that nobody has taken yet. Protocol:
/// outbox.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "token/prefetch.hpp"

namespace tokengate::detail {

struct token_node;

/// A queue of one producer, its owner, and any number of takers: first in, first out. Nothing
/// blocks. It is the half of a work_deque that thieves see, on a ring that grows.
///
/// Tokens are numbered in the order of their submission: the outbox holds those with indices in
/// [top_, bottom_), and index i lies in slot i modulo capacity. Both only grow, are 64 bits wide
/// and never wrap.
///
/// The owner's line and the takers' are apart, and each side reads the other's as seldom as it can:
/// takers keep the highest `bottom_` that one of them has seen, the owner a `top_` of long ago. So
/// a backlog moves one line in eight tokens between the cores, besides the tokens themselves.
class outbox {
  public:
    /// An empty outbox.
    /// @throws std::bad_alloc
    outbox() : own_ring_(ring::make(first_capacity)), ring_(own_ring_) {
        if (own_ring_ == nullptr) throw std::bad_alloc();
    }
    ~outbox() {
        for (ring* each = own_ring_; each != nullptr;) {
            ring* const older = each->older;
            ring::destroy(each);
            each = older;
        }
    }
    outbox(const outbox&) = delete;
    outbox& operator=(const outbox&) = delete;

    /// Adds a token at the end. False if the ring is full and there is no memory for a larger one;
    /// nothing has changed then. Owner only. Make a full_fence() before you look for sleepers.
    [[nodiscard]] bool push(token_node& node) noexcept {
        const std::int64_t end = end_;
        if (end - top_seen_ >= own_ring_->capacity && !make_room(1)) [[unlikely]]
            return false;
        // Relaxed: published by the next store.
        own_ring_->slot(end).store(&node, std::memory_order_relaxed);
        // Takers have read the lines that come next, which have to be fetched back.
        prefetch_to_write(&own_ring_->slot(end + two_lines));
        end_ = end + 1;
        // Release: pairs with the loads of bottom_ in take(); hands over the slot, the ring and
        // what the token contains.
        bottom_.store(end + 1, std::memory_order_release);
        return true;
    }

    /// Adds the same address so many times; all of them or none. Otherwise as push().
    [[nodiscard]] bool push_many(token_node& node, std::uint32_t count) noexcept {
        const std::int64_t end = end_;
        if (end + count - top_seen_ > own_ring_->capacity && !make_room(count)) [[unlikely]]
            return false;
        // Relaxed: published by the next store.
        for (std::int64_t i = end; i < end + count; ++i) {
            own_ring_->slot(i).store(&node, std::memory_order_relaxed);
        }
        end_ = end + count;
        // Release: as in push(), for all of them.
        bottom_.store(end + count, std::memory_order_release);
        return true;
    }

    /// Takes the first token; null if there is none. Any thread.
    [[nodiscard]] token_node* take() noexcept {
        // Acquire: whoever has moved top_ so far had read the slots before, and what that thread
        // knew of bottom_ is known here.
        std::int64_t first = top_.load(std::memory_order_acquire);
        for (;;) {
            // Acquire: pairs with the release below; what another taker knew is known here.
            std::int64_t end = end_seen_.load(std::memory_order_acquire);
            if (first >= end) {
                // Seq_cst: a worker that has announced itself idle relies on seeing what was
                // pushed before. Acquire: pairs with the release in push().
                end = bottom_.load(std::memory_order_seq_cst);
                if (first >= end) return nullptr;
                // Release: see above. Another taker may know more by now; less does no harm.
                end_seen_.store(end, std::memory_order_release);
            }
            // Acquire: pairs with the release in make_room(). It is as new as the end at least; an
            // older ring still holds what it held.
            const ring& slots = *ring_.load(std::memory_order_acquire);
            // Before the exchange, which frees the slot. Relaxed: if it holds something else by
            // now, then top_ has moved, and the exchange fails.
            token_node* const node = slots.slot(first).load(std::memory_order_relaxed);
            // The line of a later one is on its way while this one runs.
            if (first + lead < end) {
                prefetch_to_write(slots.slot(first + lead).load(std::memory_order_relaxed));
            }
            // Release: pairs with the owner's load of top_ in make_room(). Acquire: as above.
            if (top_.compare_exchange_weak(first, first + 1, std::memory_order_acq_rel,
                                           std::memory_order_acquire)) {
                return node;
            }
        }
    }

    /// True if nothing seems to be there. Any thread.
    [[nodiscard]] bool seems_empty() const noexcept {
        // Seq_cst: as in take(). The end second, so that an outbox is not taken to be empty that
        // was refilled between the two.
        const std::int64_t first = top_.load(std::memory_order_seq_cst);
        return first >= bottom_.load(std::memory_order_seq_cst);
    }

    /// How many are there, roughly: a number to look at. Any thread.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed, both: the first one first, so that the difference is not negative.
        const std::int64_t first = top_.load(std::memory_order_relaxed);
        const std::int64_t end = bottom_.load(std::memory_order_relaxed);
        return end > first ? static_cast<std::size_t>(end - first) : 0;
    }

  private:
    static constexpr std::size_t line = 64;
    static constexpr std::int64_t first_capacity = 128;
    // How far ahead of the token that is taken the next ones are fetched. Chosen by bench P1.
    static constexpr std::int64_t lead = 3;
    static constexpr std::int64_t two_lines = 16;

    /// The slots. When they do not suffice, a ring of twice the size takes over; the old one is
    /// kept, because takers may still read it. Together they are less than twice the newest.
    struct ring {
        std::int64_t capacity;  ///< a power of two
        ring* older;
        std::atomic<token_node*>* slots;  ///< behind it, in the same piece of memory

        static ring* make(std::int64_t capacity, ring* older = nullptr) noexcept {
            const auto count = static_cast<std::size_t>(capacity);
            void* memory = ::operator new (line + count * sizeof(std::atomic<token_node*>),
                                           std::align_val_t{line}, std::nothrow);
            if (memory == nullptr) return nullptr;
            void* behind = static_cast<std::byte*>(memory) + line;
            auto* slots = static_cast<std::atomic<token_node*>*>(behind);
            std::uninitialized_value_construct_n(slots, count);
            return ::new (memory) ring{capacity, older, slots};
        }
        static void destroy(ring* which) noexcept {
            ::operator delete (which, std::align_val_t{line});
        }
        [[nodiscard]] std::atomic<token_node*>& slot(std::int64_t index) const noexcept {
            return slots[index & (capacity - 1)];
        }
    };
    static_assert(sizeof(ring) <= line);

    [[gnu::cold, gnu::noinline]] bool make_room(std::int64_t count) noexcept {
        // Acquire: pairs with the exchange in take(). Who took a token has read its slot before it
        // is used again.
        top_seen_ = top_.load(std::memory_order_acquire);
        // If it is more than half full, it would soon have to look again.
        const std::int64_t held = end_ - top_seen_ + count - 1;
        if (held <= own_ring_->capacity / 2) return true;
        std::int64_t capacity = own_ring_->capacity * 2;
        while (held >= capacity) capacity *= 2;
        ring* const larger = ring::make(capacity, own_ring_);
        if (larger == nullptr) return held < own_ring_->capacity;
        for (std::int64_t i = top_seen_; i < end_; ++i) {
            larger->slot(i).store(own_ring_->slot(i).load(std::memory_order_relaxed),
                                  std::memory_order_relaxed);
        }
        own_ring_ = larger;
        // Release: pairs with the acquire in take(); hands the copies over.
        ring_.store(larger, std::memory_order_release);
        return true;
    }

    /// Index behind the last token. The owner's line.
    alignas(line) std::atomic<std::int64_t> bottom_{0};
    std::int64_t end_ = 0;       ///< the same, for the owner
    std::int64_t top_seen_ = 0;  ///< what the owner knows of top_; never higher than that
    ring* own_ring_;             ///< the same as ring_, for the owner
    /// Index of the first token; whoever takes that one moves it. The takers' line.
    alignas(line) std::atomic<std::int64_t> top_{0};
    std::atomic<std::int64_t> end_seen_{0};  ///< what takers know of bottom_; never higher
    /// Read by takers, written when it grows.
    alignas(line) std::atomic<ring*> ring_;
};

}  // namespace tokengate::detail
