// SPDX-License-Identifier: Apache-2.0
/// @file
/// The tokens that a worker keeps to itself until somebody steals them. Protocol: deque.md.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

struct token_node;

/// How an attempt to steal ended.
enum class steal_outcome : std::uint8_t {
    taken,
    empty,  ///< nothing was there
    lost,   ///< somebody else took the oldest one meanwhile: there may be more
};

/// A deque of one owner and any number of thieves: the owner pushes and pops at the new end,
/// thieves steal at the old one. Nothing blocks; nothing is allocated after construction.
///
/// Chase and Lev, "Dynamic circular work-stealing deque" (SPAA 2005), with the memory order of Lê,
/// Pop, Cohen and Zappa Nardelli, "Correct and efficient work-stealing for weak memory models"
/// (PPoPP 2013), but seq_cst accesses in place of their fences: deque.md says why that is enough.
///
/// Tokens are numbered in the order of the deque: it holds those with indices in [top_, bottom_),
/// and index i lies in slot i modulo capacity. top_ only grows; both are 64 bits wide and never
/// wrap. The deque looks at no node, only at addresses: nodes may be recycled while thieves hold
/// stale ones, which they then fail to take.
class work_deque {
  public:
    /// An empty deque for `capacity` tokens, rounded up to a power of two.
    /// @throws std::bad_alloc
    explicit work_deque(std::size_t capacity)
        : capacity_(rounded(capacity)), slots_(make_slots(capacity_)) {}

    /// True if push() would succeed now. Owner only.
    [[nodiscard]] bool has_room() const noexcept {
        // Relaxed: a stale top only makes the answer too careful.
        return end_ - top_seen_ < capacity_ ||
               end_ - top_.load(std::memory_order_relaxed) < capacity_;
    }

    /// How many push() would add now, at least. Owner only.
    [[nodiscard]] std::size_t room() const noexcept {
        // Relaxed: as in has_room().
        return static_cast<std::size_t>(capacity_ - (end_ - top_.load(std::memory_order_relaxed)));
    }

    /// Adds a token at the new end. False if the deque is full; nothing has changed then.
    /// Owner only. Two stores, no fence: make a full_fence() before you look for sleepers.
    [[nodiscard]] bool push(token_node& node) noexcept {
        const std::int64_t end = end_;
        // The copy may be too low, as top_ only grows: then there is more room than it says.
        if (end - top_seen_ >= capacity_) {
            // Acquire: pairs with the exchange in steal(). A thief that took a token has read its
            // slot before it is used again.
            top_seen_ = top_.load(std::memory_order_acquire);
            if (end - top_seen_ >= capacity_) return false;
        }
        // Relaxed: published by the next store.
        slot(end).store(&node, std::memory_order_relaxed);
        // Release: pairs with the load in steal(); hands over the slot and what the token contains.
        bottom_.store(end + 1, std::memory_order_release);
        end_ = end + 1;
        return true;
    }

    /// Takes the newest token; null if there is none. Owner only.
    /// Two loads of the owner's own line if the deque has been empty since the last pop; otherwise
    /// one read-modify-write.
    [[nodiscard]] token_node* pop() noexcept {
        const std::int64_t end = end_;
        // top_seen_ <= top_ <= end_: if the outer two are equal, nothing is there.
        if (end == top_seen_) return nullptr;
        const std::int64_t newest = end - 1;
        // Acquire: as in push().
        std::int64_t oldest = top_.load(std::memory_order_acquire);
        if (oldest < newest) {
            // Both seq_cst, as the two loads in steal(): a thief that comes to `newest` after this
            // look at top_ sees that bottom_ has moved. A plain store could wait in the store
            // buffer.
            bottom_.store(newest, std::memory_order_seq_cst);
            oldest = top_.load(std::memory_order_seq_cst);
            if (oldest < newest) {
                end_ = newest;
                top_seen_ = oldest;
                // Relaxed: only this thread writes slots.
                return slot(newest).load(std::memory_order_relaxed);
            }
        }
        // One at most is left: it is taken at the old end, as a thief would, and end_ stays. If
        // bottom_ has moved, it is one below top_ now, and that is empty, too.
        top_seen_ = end;
        // Seq_cst: as in steal(). Acquire on failure: as in push().
        if (oldest != newest ||
            !top_.compare_exchange_strong(oldest, end, std::memory_order_seq_cst,
                                          std::memory_order_acquire)) {
            return nullptr;
        }
        return slot(newest).load(std::memory_order_relaxed);
    }

    /// Takes the newest token if it is this one. False if another one is the newest, or if it has
    /// been stolen. Owner only; two loads if it is another one, otherwise like pop().
    [[nodiscard]] bool pop_if(const token_node& node) noexcept {
        const std::int64_t end = end_;
        if (end == top_seen_) return false;
        // Relaxed: as in pop(). If the token was stolen, the address is stale, and pop() fails.
        if (slot(end - 1).load(std::memory_order_relaxed) != &node) return false;
        return pop() != nullptr;
    }

    /// The index behind the newest token. Owner only.
    [[nodiscard]] std::int64_t mark() const noexcept { return end_; }

    /// Takes the newest token if its index is not below `mark`, else null: never one that was
    /// pushed before mark() was taken. One pushed since is refused only if the owner has popped
    /// below the mark before it pushed it. Owner only; one load if refused, otherwise like pop().
    [[nodiscard]] token_node* pop_above(std::int64_t mark) noexcept {
        return end_ > mark ? pop() : nullptr;
    }

    /// What steal() returns; `node` is null unless taken.
    struct stolen {
        steal_outcome outcome;
        token_node* node;
    };

    /// Takes the oldest token. Any thread, the owner too. Two loads if empty, otherwise one
    /// read-modify-write more.
    ///
    /// After a seq_cst announce(), `empty` says that nothing waits here whose pusher may have
    /// missed the announcement. `lost` says nothing: try again.
    [[nodiscard]] stolen steal() noexcept {
        // Seq_cst, in this order: see pop(). The second pairs with the release in push(), too.
        std::int64_t oldest = top_.load(std::memory_order_seq_cst);
        if (oldest >= bottom_.load(std::memory_order_seq_cst)) {
            return {steal_outcome::empty, nullptr};
        }
        // Before the exchange, which frees the slot. Relaxed: if it holds something else by now,
        // then top_ has moved, and the exchange fails.
        token_node* const node = slot(oldest).load(std::memory_order_relaxed);
        // Seq_cst: see pop(). Its release half pairs with the owner's loads of top_. Relaxed on
        // failure: nothing is used.
        if (!top_.compare_exchange_strong(oldest, oldest + 1, std::memory_order_seq_cst,
                                          std::memory_order_relaxed)) {
            return {steal_outcome::lost, nullptr};
        }
        return {steal_outcome::taken, node};
    }

    /// How many are there, roughly: a number to look at. Any thread.
    [[nodiscard]] std::size_t size() const noexcept {
        // Relaxed, both: nothing is decided by it.
        const std::int64_t first = top_.load(std::memory_order_relaxed);
        const std::int64_t end = bottom_.load(std::memory_order_relaxed);
        return end > first ? static_cast<std::size_t>(end - first) : 0;
    }

    /// True if nothing seems to be there. Any thread; two loads. After a seq_cst announce() it is
    /// as good as an `empty` of steal().
    [[nodiscard]] bool seems_empty() const noexcept {
        // Seq_cst: the would-be sleeper's side of the Dekker pattern with push() and full_fence().
        return top_.load(std::memory_order_seq_cst) >= bottom_.load(std::memory_order_seq_cst);
    }

  private:
    using slot_type = atomic<token_node*>;
    static constexpr std::size_t line = 64;
    struct release {
        void operator()(slot_type* slots) const noexcept {
            ::operator delete (slots, std::align_val_t{line});
        }
    };

    static std::int64_t rounded(std::size_t capacity) {
        constexpr std::size_t limit = std::numeric_limits<std::size_t>::max() / 4;
        if (capacity > limit / sizeof(slot_type)) throw std::bad_alloc();
        return static_cast<std::int64_t>(std::bit_ceil(capacity));
    }
    /// On lines of their own, so that the ends of two rings never share one.
    static slot_type* make_slots(std::int64_t count) {
        const auto size = static_cast<std::size_t>(count);
        void* memory = ::operator new (size * sizeof(slot_type), std::align_val_t{line});
        auto* slots = static_cast<slot_type*>(memory);
        std::uninitialized_value_construct_n(slots, size);
        return slots;
    }

    slot_type& slot(std::int64_t index) noexcept {
        return slots_.get()[static_cast<std::size_t>(index & (capacity_ - 1))];
    }

    /// Index of the oldest token; whoever takes that one moves it. The thieves' line.
    alignas(line) atomic<std::int64_t> top_{0};
    /// The same as end_ for thieves; one below top_ if a pop has moved it and found the deque
    /// empty. Only the owner writes it. The owner's line.
    alignas(line) atomic<std::int64_t> bottom_{0};
    /// Index behind the newest token. Owner only; reading bottom_ instead would wait for the
    /// read-modify-write of the last pop (4 of 13 ns for a push and a pop).
    std::int64_t end_ = 0;
    /// What the owner knows of top_; never higher than that. Owner only.
    std::int64_t top_seen_ = 0;
    std::int64_t capacity_;
    std::unique_ptr<slot_type, release> slots_;
};

}  // namespace tokengate::detail
