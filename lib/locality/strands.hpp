// SPDX-License-Identifier: Apache-2.0
/// @file
/// Serial keys: tokens of one key run one at a time, in the order of submission. Protocol:
/// README.md.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <tokengate/detail/atomic.hpp>
#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// Which key; keys with equal ids are the same one.
struct key_id {
    std::uint64_t high = 0;
    std::uint64_t low = 0;

    bool operator==(const key_id&) const = default;
};

/// What is known of one key while tokens of it are in flight: where they run, which of them may run
/// now, and which wait for that. One cache line.
///
/// A token enters its strand (strand_table), submits itself, runs when it may, finishes and leaves.
/// Any thread may do any of these; nothing blocks.
class alignas(64) strand {
  public:
    /// Where the key's tokens run.
    [[nodiscard]] unsigned domain() const noexcept {
        // Relaxed: this part of the word never changes.
        return static_cast<unsigned>(members_.load(std::memory_order_relaxed) >> count_bits);
    }

    /// Puts a token in line. True: nobody was there, and it may run now. False: it waits; a later
    /// finish() returns it. Lock-free; one read-modify-write if nobody interferes.
    [[nodiscard]] bool submit(token_node& node) noexcept {
        std::uintptr_t seen = queue_.load(std::memory_order_relaxed);
        for (;;) {
            const bool alone = seen == unused;
            if (!alone) strand_link(node) = waiting_in(seen);
            // Acquire: takes the strand over from the finish() that left it unused. Release: hands
            // the node and its link to the finish() that takes the stack.
            if (queue_.compare_exchange_weak(seen, alone ? running : address_of(node),
                                             std::memory_order_acq_rel,
                                             std::memory_order_relaxed)) {
                return alone;
            }
        }
    }

    /// The token that could run has returned, or will not run: the next one, which may run now, or
    /// null. To be called once for each token that submit() let run or finish() returned, after
    /// what that token did and before it leaves. Lock-free; at most two read-modify-writes.
    [[nodiscard]] token_node* finish() noexcept {
        token_node* next = ready_;
        if (next == nullptr) {
            std::uintptr_t seen = queue_.load(std::memory_order_relaxed);
            // A compare-exchange: a token may have been pushed since the load. Release: hands the
            // strand to the next submit().
            if (seen == running &&
                queue_.compare_exchange_strong(seen, unused, std::memory_order_release,
                                               std::memory_order_relaxed)) {
                return nullptr;
            }
            // Acquire: pairs with the release of every submit() whose token is in the stack.
            next = oldest_first(queue_.exchange(running, std::memory_order_acquire));
        }
        ready_ = strand_link(*next);
        return next;
    }

    /// Whose turn it is, is paused (lib/domain/backlog.md): the others wait for longer than for a
    /// callable. By whoever has set that token aside, while it has the turn.
    void hold_up(bool now) noexcept {
        // Relaxed: decided by the mutex of a backlog; others only decide by it.
        held_up_.store(now, std::memory_order_relaxed);
    }
    [[nodiscard]] bool held_up() const noexcept { return held_up_.load(std::memory_order_relaxed); }

  private:
    friend class strand_table;

    // Queue word: `unused`, or `running` with nobody in the stack, or the node on top of the stack
    // of tokens that were submitted since the last one was taken.
    static constexpr std::uintptr_t unused = 0;
    static constexpr std::uintptr_t running = 1;

    static std::uintptr_t address_of(token_node& node) noexcept {
        return reinterpret_cast<std::uintptr_t>(&node);
    }
    static token_node* waiting_in(std::uintptr_t queue) noexcept {
        return queue == running ? nullptr : reinterpret_cast<token_node*>(queue);
    }
    static token_node* oldest_first(std::uintptr_t queue) noexcept {
        token_node* reversed = nullptr;
        for (token_node* each = waiting_in(queue); each != nullptr;) {
            token_node* const below = strand_link(*each);
            strand_link(*each) = reversed;
            reversed = each;
            each = below;
        }
        return reversed;
    }

    // The rest is for the table. Members word: how many in the low 48 bits, above them the domain.
    // Next word: the next record, and in its lowest bit whether this is final.
    static constexpr unsigned count_bits = 48;
    static constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
    static constexpr std::uintptr_t final_bit = 1;

    strand(key_id key, unsigned domain) noexcept
        : members_((std::uint64_t{domain} << count_bits) | 1U), key_(key) {
        assert(domain < 1U << 16U);
    }
    ~strand() { assert(queue_.load(std::memory_order_relaxed) == unused); }

    [[nodiscard]] bool join() noexcept;
    [[nodiscard]] bool resign() noexcept;
    [[nodiscard]] bool dead() const noexcept;
    [[nodiscard]] strand* next() const noexcept;
    [[nodiscard]] strand* finalize_next() noexcept;

    atomic<std::uintptr_t> queue_{unused};
    token_node* ready_ = nullptr;  ///< taken from the stack, oldest first; whoever may run owns it
    atomic<std::uint64_t> members_;
    const key_id key_;
    atomic<std::uintptr_t> next_{0};
    atomic<strand*> next_retired_{nullptr};  ///< once it is unlinked
    atomic<bool> held_up_{false};
};

static_assert(sizeof(strand) == 64, "a strand takes one cache line");

/// The strands of a runtime, found by key. A key has at most one live record at any time; a record
/// dies with its last member, for ever, and its memory goes back to the pool of the tokens.
///
/// Any thread may call anything at any time; nothing blocks, but the pool may ask the system for
/// memory. Whoever destroys the table makes sure that no call is in progress and nobody is inside.
class strand_table {
  public:
    /// @param buckets 1 to 2^32 - 1, 16 bytes each; more than there are keys in flight is best
    explicit strand_table(std::size_t buckets);
    ~strand_table();
    strand_table(const strand_table&) = delete;
    strand_table& operator=(const strand_table&) = delete;

    struct entered {
        strand* which;
        bool first;  ///< the record was made now, with the candidate as its domain
    };

    /// Becomes a member of the key's strand, which is made if there is none. Lock-free. The record
    /// stays where and what it is until this member leaves.
    /// @param candidate_domain where the key's tokens are to run if no other one is in flight;
    ///        below 2^16
    /// @throws std::bad_alloc
    [[nodiscard]] entered enter(key_id key, unsigned candidate_domain);

    /// Ends a membership. The last one to leave unlinks the record. Lock-free.
    void leave(strand& which) noexcept;

    /// Keys that have members, for statistics: a walk over the table. Exact while nothing changes.
    [[nodiscard]] std::size_t count() const noexcept;

    /// Records that have no members but still take memory, for tests. None while no call is in
    /// progress.
    [[nodiscard]] std::size_t dead() const noexcept;

  private:
    struct bucket;
    class visit;

    [[nodiscard]] bucket& bucket_of(const key_id& key) const noexcept;

    std::size_t size_;
    std::unique_ptr<bucket[]> buckets_;
};

}  // namespace tokengate::detail
