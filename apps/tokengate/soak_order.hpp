// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a token of a soak gets and delivers.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <utility>

#include <tokengate/tokengate.hpp>

namespace tokengate::app {

/// Counts its objects: arguments and results that are left in the end have leaked.
class soak_object {
  public:
    // Relaxed, all: a plain counter.
    soak_object() noexcept { alive_now.fetch_add(1, std::memory_order_relaxed); }
    soak_object(const soak_object& /*other*/) noexcept : soak_object() {}
    soak_object& operator=(const soak_object&) noexcept = default;
    ~soak_object() { alive_now.fetch_sub(1, std::memory_order_relaxed); }

    [[nodiscard]] static std::int64_t alive() noexcept {
        return alive_now.load(std::memory_order_relaxed);
    }

  private:
    inline static std::atomic<std::int64_t> alive_now{0};
};

/// The argument of all operations. Its key is what equal ones have in common.
struct soak_order {
    std::uint32_t key = 0;
    std::uint32_t depth = 0;   ///< tokens of which it is a child, one of another
    std::uint64_t fate = 0;    ///< decides what happens in its callable
    std::uint32_t source = 0;  ///< the thread that has submitted it; 0: a token
    std::uint64_t number = 0;  ///< ascends in what the thread submits
    soak_object counted = {};

    template <class H>
    // NOLINTNEXTLINE(readability-identifier-naming): Abseil's name.
    friend H AbslHashValue(H state, const soak_order& order) {
        return H::combine(std::move(state), order.key);
    }
};

/// The result.
struct soak_value {
    std::uint64_t value = 0;
    soak_object counted = {};
};

using soak_operation = operation<soak_value(soak_order)>;
using soak_token = token<soak_value>;
using soak_bulk = bulk<soak_value>;

/// What an order must deliver.
[[nodiscard]] constexpr std::uint64_t value_of(const soak_order& order) noexcept {
    return (order.fate ^ order.number) * 0xD6E8'FEB8'6659'FD93U + order.key;
}

/// What callables throw on purpose.
class soak_failure : public std::runtime_error {
  public:
    explicit soak_failure(std::uint64_t fate)
        : std::runtime_error("a token of the soak throws, as planned"), fate_(fate) {}

    [[nodiscard]] std::uint64_t fate() const noexcept { return fate_; }

    /// What picky operations try again.
    [[nodiscard]] static bool is_passing(std::uint64_t fate) noexcept { return fate % 2 == 0; }
    [[nodiscard]] static bool is_passing(const std::exception_ptr& error) noexcept {
        try {
            std::rethrow_exception(error);
        } catch (const soak_failure& failure) {
            return is_passing(failure.fate());
        } catch (...) {
            return false;
        }
    }

  private:
    std::uint64_t fate_;
};

}  // namespace tokengate::app
