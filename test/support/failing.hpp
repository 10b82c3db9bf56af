// SPDX-License-Identifier: Apache-2.0
/// @file
/// Operations whose calls fail as they are told to, and are refused when that was too often.
#pragma once

#include <chrono>
#include <stdexcept>

#include <tokengate/tokengate.hpp>

namespace tokengate::test {

/// Longer than any test takes.
constexpr std::chrono::hours long_time{1};

inline void fail_if(bool bad) {
    if (bad) throw std::runtime_error("on purpose");
}

/// A call that is joined: what comes of it is in the books.
template <class Operation, class... A>
void run(const Operation& op, A... args) {
    op(args...).join();
}

template <class Operation, class... A>
[[nodiscard]] bool is_refused(const Operation& op, A... args) {
    try {
        op(args...).join();
        return false;
    } catch (const operation_blocked&) {
        return true;
    }
}

}  // namespace tokengate::test
