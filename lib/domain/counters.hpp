// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counters, and tables of them by operation.
#pragma once

#include <sys/mman.h>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

#include <tokengate/detail/atomic.hpp>
#include <tokengate/detail/state_word.hpp>

namespace tokengate::detail {

/// A counter with a single writer: no read-modify-write, no shared line.
class own_counter {
  public:
    /// Writer only.
    [[gnu::always_inline]] void add(std::uint64_t count = 1) noexcept {
        const atomic_ref<std::uint64_t> value(value_);
        // Relaxed load: nobody else writes. Release: pairs with the acquire in value(), so that
        // what happened before the count is visible to whoever reads it.
        value.store(value.load(std::memory_order_relaxed) + count, std::memory_order_release);
    }

    /// Writer only: takes an add() back.
    void retract(std::uint64_t count = 1) noexcept { add(-count); }

    [[nodiscard]] std::uint64_t value() const noexcept {
        return atomic_ref<std::uint64_t>(value_).load(std::memory_order_acquire);
    }

  private:
    // Not std::atomic, whose objects begin with a constructor that writes: see zeroed_table.
    mutable std::uint64_t value_ = 0;
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
    atomic<std::uint64_t> value_{0};
};

/// A counter with several writers.
class shared_counter {
  public:
    /// With release at least: pairs with the acquire in value().
    void add(std::uint64_t count, std::memory_order order = std::memory_order_release) noexcept {
        atomic_ref<std::uint64_t>(value_).fetch_add(count, order);
    }

    [[nodiscard]] std::uint64_t value() const noexcept {
        return atomic_ref<std::uint64_t>(value_).load(std::memory_order_acquire);
    }

  private:
    mutable std::uint64_t value_ = 0;
};

/// A fixed number of records that begin as zeros, in pages that are taken from the system as
/// records are used, so that those that nobody uses cost address space only. Aligned to a page: a
/// record whose size divides 64 lies in one cache line.
///
/// Thread safety: that of the records.
template <class T>
class zeroed_table {
    // Memory from the system may be taken for such records without a constructor.
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  public:
    /// @throws std::bad_alloc
    // NOLINTNEXTLINE(bugprone-sizeof-expression): a record may be a pointer.
    explicit zeroed_table(std::size_t size) : bytes_(size * sizeof(T)) {
        // Not calloc, which gives memory that was in use before and clears it by writing to it.
        void* pages =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED) throw std::bad_alloc();
        records_ = static_cast<T*>(pages);
    }
    ~zeroed_table() { munmap(records_, bytes_); }
    zeroed_table(const zeroed_table&) = delete;
    zeroed_table& operator=(const zeroed_table&) = delete;

    [[nodiscard]] T& operator[](std::size_t number) noexcept { return records_[number]; }
    [[nodiscard]] const T& operator[](std::size_t number) const noexcept {
        return records_[number];
    }

  private:
    T* records_ = nullptr;
    const std::size_t bytes_;
};

/// What a worker has counted of one operation.
struct run_counts {
    own_counter executed;  ///< tokens whose callable it ran
    own_counter completed;
    own_counter failed;
    own_counter killed;
};

/// Tokens of a bulk that a worker has run, counted by those who have killed the rest of their
/// stretch while it is busy.
struct taken_counts {
    shared_counter completed;
    shared_counter failed;
};

/// What others than the worker that runs them, or would have run them, have ended of an operation.
struct outside_counts {
    shared_counter killed;
    shared_counter timed_out;
    shared_counter failed;

    /// That of one of these outcomes.
    [[nodiscard]] shared_counter& of(token_state outcome) noexcept {
        if (outcome == token_state::killed) return killed;
        return outcome == token_state::failed ? failed : timed_out;
    }
};

/// What a thread has counted of its calls of one operation.
struct call_counts {
    own_counter accepted;
    own_counter refused;
};

}  // namespace tokengate::detail
