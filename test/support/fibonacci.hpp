// SPDX-License-Identifier: Apache-2.0
/// @file
/// The usual recursion: each token makes two others and waits for them.
#pragma once

#include <tokengate/runtime.hpp>

#include "ledger.hpp"

namespace tokengate::test {

/// The n-th Fibonacci number by tokens of `rt`, without a cut-off; the runtime is idle afterwards.
inline int fibonacci_by_tokens(runtime& rt, int n) {
    const operation<int(int)>* self = nullptr;
    const auto fib = rt.operation("fib", [&](int k) -> int {
        if (k < 2) return k;
        const token<int> a = (*self)(k - 1);
        const token<int> b = (*self)(k - 2);
        return a.get() + b.get();
    });
    self = &fib;
    const int result = result_of(fib(n));
    settle(rt);
    return result;
}

}  // namespace tokengate::test
