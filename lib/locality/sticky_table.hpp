// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where sticky keys are pinned. Protocol: README.md.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>

#include "token/prefetch.hpp"

namespace tokengate::detail {

/// One token's share in a pinned slot.
struct pin {
    std::uint32_t slot = 0;  ///< what release() wants back
    unsigned domain = 0;     ///< where tokens of this slot go, as long as one of them is in flight
    bool first = false;      ///< this token's candidate became the domain

    bool operator==(const pin&) const = default;
};

/// For each slot the domain that its tokens in flight share, and how many these are. A key's hash
/// chooses the slot; keys that meet in a slot merely share a domain meanwhile.
///
/// Any thread may call anything at any time; nothing blocks or allocates.
///
/// All accesses are relaxed: what matters is in the slot itself, and all threads see the changes of
/// one word in one order. Nothing else is published through it.
class sticky_table {
  public:
    static constexpr std::size_t smallest = std::size_t{1} << 4U;
    static constexpr std::size_t largest = std::size_t{1} << 24U;
    /// Domains are below this.
    static constexpr unsigned domain_limit = (1U << 16U) - 1;

    /// @param slots a power of two from `smallest` to `largest`, 8 bytes each. Their pages are
    ///        taken from the system as slots are used, so that a table that nobody uses costs
    ///        address space only.
    /// @throws std::bad_alloc
    explicit sticky_table(std::size_t slots)
        : size_(slots), shift_(64U - static_cast<unsigned>(std::countr_zero(slots))) {
        assert(std::has_single_bit(slots) && slots >= smallest && slots <= largest);
        // Not calloc, which gives memory that was in use before and clears it by writing to it.
        void* pages = mmap(nullptr, slots * sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) throw std::bad_alloc();
        slots_ = static_cast<std::uint64_t*>(pages);
    }
    ~sticky_table() { munmap(slots_, size_ * sizeof(std::uint64_t)); }
    sticky_table(const sticky_table&) = delete;
    sticky_table& operator=(const sticky_table&) = delete;

    /// Counts one more token of a key, and tells where it belongs: where those in flight are, else
    /// to `candidate`. Lock-free: one read-modify-write that cannot fail while the slot is pinned,
    /// two if it is free. Each call must be matched by one release().
    [[nodiscard]] pin acquire(std::uint64_t hash, unsigned candidate) noexcept {
        assert(candidate < domain_limit);
        const std::uint32_t index = slot_of(hash);
        const std::atomic_ref<std::uint64_t> slot(slots_[index]);
        std::uint64_t seen = slot.fetch_add(1, std::memory_order_relaxed) + 1;
        // Undecided: the slot was free, or the token that found it free is not done with this loop.
        while (!decided(seen)) {
            if (slot.compare_exchange_weak(seen, seen | decision(candidate),
                                           std::memory_order_relaxed)) {
                return {.slot = index, .domain = candidate, .first = true};
            }
        }
        return {.slot = index, .domain = domain_in(seen), .first = false};
    }

    /// Counts one token less; the last one frees it. Lock-free.
    void release(std::uint32_t slot_number) noexcept {
        assert(slot_number < size_);
        const std::atomic_ref<std::uint64_t> slot(slots_[slot_number]);
        std::uint64_t seen = slot.load(std::memory_order_relaxed);
        std::uint64_t next = 0;
        do {
            assert(count_in(seen) > 0 && decided(seen));
            // Count and domain go together. Were the domain taken away in a second step, the next
            // token could come in between, and would go where nobody is.
            next = count_in(seen) == 1 ? 0 : seen - 1;
        } while (!slot.compare_exchange_weak(seen, next, std::memory_order_relaxed));
    }

    /// Fetches the cache line of a slot, for an acquire() or release() to come.
    void prefetch(std::uint32_t slot_number) const noexcept {
        prefetch_to_write(&slots_[slot_number]);
    }

    /// Where tokens of a key go at this moment; nothing if no token of its slot is in flight.
    [[nodiscard]] std::optional<unsigned> domain_of(std::uint64_t hash) const noexcept {
        const std::uint64_t seen = load(slot_of(hash));
        if (!decided(seen)) return std::nullopt;
        return domain_in(seen);
    }

    struct usage {
        std::uint64_t pinned_slots = 0;
        std::uint64_t pins = 0;

        bool operator==(const usage&) const = default;
    };

    /// Adds up all slots, for statistics: a walk over the whole table. Exact while nothing changes.
    [[nodiscard]] usage count() const noexcept {
        usage sum;
        for (std::size_t i = 0; i < size_; ++i) {
            const std::uint64_t pins = count_in(load(i));
            sum.pins += pins;
            sum.pinned_slots += pins == 0 ? 0 : 1;
        }
        return sum;
    }

    /// The slot of a key. Multiplied, so that hashes with few different bits spread as well as good
    /// ones, and neighbours do not share a cache line.
    [[nodiscard]] std::uint32_t slot_of(std::uint64_t hash) const noexcept {
        return static_cast<std::uint32_t>((hash * 0x9E3779B97F4A7C15U) >> shift_);
    }

  private:
    static_assert(std::atomic_ref<std::uint64_t>::is_always_lock_free);

    // A slot: how many pins in the low 48 bits, and above them the domain + 1, or 0 while it is
    // undecided. A free slot is 0 as a whole.
    static constexpr unsigned count_bits = 48;

    static constexpr std::uint64_t count_in(std::uint64_t slot) noexcept {
        return slot & ((std::uint64_t{1} << count_bits) - 1);
    }
    static constexpr bool decided(std::uint64_t slot) noexcept { return slot >> count_bits != 0; }
    static constexpr unsigned domain_in(std::uint64_t slot) noexcept {
        return static_cast<unsigned>(slot >> count_bits) - 1;
    }
    static constexpr std::uint64_t decision(unsigned domain) noexcept {
        return std::uint64_t{domain + 1} << count_bits;
    }

    [[nodiscard]] std::uint64_t load(std::size_t slot_number) const noexcept {
        return std::atomic_ref<std::uint64_t>(slots_[slot_number]).load(std::memory_order_relaxed);
    }

    std::size_t size_;
    unsigned shift_;
    std::uint64_t* slots_ = nullptr;
};

}  // namespace tokengate::detail
