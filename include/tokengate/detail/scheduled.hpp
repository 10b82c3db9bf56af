// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens that a scheduler makes. Protocol: lib/senders/README.md.
#pragma once

#include <cstdint>
#include <exception>
#include <utility>

#include <tokengate/detail/node.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

class runtime;

namespace detail {

struct submission;

/// Part of an operation state that is to go on inside a token. It is over once.
struct schedulable {
    enum class outcome : std::uint8_t {
        runs,     ///< inside the token
        dropped,  ///< the token was killed
        refused,  ///< there is no token: the error says why
    };
    /// It may be gone when this returns.
    void (*over)(schedulable&, outcome, const std::exception_ptr& error) noexcept;
};

/// The argument of such a token. Whichever way the token ends, its arguments are destroyed: so
/// nothing is forgotten.
class scheduled {
  public:
    scheduled(schedulable& what, submission& by) noexcept : what_(&what), by_(&by) {}
    scheduled(scheduled&& other) noexcept
        : what_(std::exchange(other.what_, nullptr)), by_(other.by_) {}
    scheduled(const scheduled&) = delete;
    scheduled& operator=(const scheduled&) = delete;
    scheduled& operator=(scheduled&&) = delete;
    ~scheduled() {
        if (what_ != nullptr) drop();
    }

    /// For the callable: goes on with it.
    void run() const noexcept;

  private:
    void drop() noexcept;

    mutable schedulable* what_;  ///< null: over, or elsewhere
    submission* by_;             ///< only compared
};

/// The callable of such tokens.
struct run_scheduled {
    void operator()(const scheduled& what) const noexcept { what.run(); }
};

/// Makes a token of an operation with that callable.
void submit(operation_core& operation, schedulable& what) noexcept;

/// The operation of a runtime's own schedulers; declared when it is first needed.
/// @throws operation_error if there is no room for it, or its name is taken; runtime_forked
[[nodiscard]] operation_core& scheduler_operation(runtime& rt, weight weight_class);

}  // namespace detail

}  // namespace tokengate
