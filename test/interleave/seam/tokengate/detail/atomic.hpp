// SPDX-License-Identifier: Apache-2.0
/// @file
/// In place of the library's header of this name: atomics whose every access is a step of a
/// schedule. They are as large as what they hold, and have what the protocols use.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "access.hpp"

namespace tokengate::detail {

/// The operations; Self says where the value lies.
template <class T, class Self>
class scheduled_operations {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
    using order = std::memory_order;

  public:
    [[nodiscard]] T load(order = order::seq_cst) const noexcept {
        interleave::step();
        return seen();
    }
    operator T() const noexcept { return load(); }

    void store(T value, order how = order::seq_cst) const noexcept {
        interleave::step();
        interleave::store(where(), &value, sizeof(T), how);
    }

    T exchange(T value, order how = order::seq_cst) const noexcept {
        return change(how, [&](T) { return value; });
    }

    bool compare_exchange_strong(T& expected, T desired, order how = order::seq_cst,
                                 order = order::seq_cst) const noexcept {
        interleave::step();
        const T before = seen();
        if (std::memcmp(&before, &expected, sizeof(T)) != 0) {
            expected = before;  // a plain load, which orders nothing
            return false;
        }
        interleave::settle(where(), how);
        std::memcpy(where(), &desired, sizeof(T));
        return true;
    }
    bool compare_exchange_weak(T& expected, T desired, order how = order::seq_cst,
                               order otherwise = order::seq_cst) const noexcept {
        if (!interleave::fails_for_no_reason()) {
            return compare_exchange_strong(expected, desired, how, otherwise);
        }
        expected = load();
        return false;
    }

    T fetch_add(T more, order how = order::seq_cst) const noexcept {
        return change(how, [&](T value) { return static_cast<T>(value + more); });
    }
    T fetch_sub(T less, order how = order::seq_cst) const noexcept {
        return change(how, [&](T value) { return static_cast<T>(value - less); });
    }
    T fetch_or(T bits, order how = order::seq_cst) const noexcept {
        return change(how, [&](T value) { return static_cast<T>(value | bits); });
    }
    T fetch_and(T bits, order how = order::seq_cst) const noexcept {
        return change(how, [&](T value) { return static_cast<T>(value & bits); });
    }

  private:
    [[nodiscard]] T* where() const noexcept { return static_cast<const Self&>(*this).place(); }

    [[nodiscard]] T seen() const noexcept {
        T value;
        interleave::load(where(), &value, sizeof(T));
        return value;
    }

    template <class Next>
    T change(order how, Next&& next) const noexcept {
        interleave::step();
        interleave::settle(where(), how);
        const T before = seen();
        const T after = next(before);
        std::memcpy(where(), &after, sizeof(T));
        return before;
    }
};

template <class T>
class atomic : public scheduled_operations<T, atomic<T>> {
  public:
    constexpr atomic() noexcept = default;
    // NOLINTNEXTLINE(google-explicit-constructor): as std::atomic
    constexpr atomic(T value) noexcept : value_(value) {}
    ~atomic() { interleave::forget(&value_); }
    atomic(const atomic&) = delete;
    atomic& operator=(const atomic&) = delete;

  private:
    friend class scheduled_operations<T, atomic<T>>;
    [[nodiscard]] T* place() const noexcept { return &value_; }

    mutable T value_{};
};

template <class T>
class atomic_ref : public scheduled_operations<T, atomic_ref<T>> {
  public:
    explicit atomic_ref(T& value) noexcept : value_(&value) {}

  private:
    friend class scheduled_operations<T, atomic_ref<T>>;
    [[nodiscard]] T* place() const noexcept { return value_; }

    T* value_;
};

/// Only ever sequentially consistent.
inline void atomic_thread_fence(std::memory_order) noexcept {
    interleave::step();
    interleave::fence();
}

}  // namespace tokengate::detail
