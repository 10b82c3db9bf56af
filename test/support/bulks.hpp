// SPDX-License-Identifier: Apache-2.0
/// @file
/// What tests of bulks share.
#pragma once

#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"

namespace tokengate::test {

/// What std::views::iota gives, which clang 14 cannot compile.
template <class Number>
std::vector<Number> numbers(Number first, Number last) {
    std::vector<Number> all;
    for (; first < last; ++first) all.push_back(first);
    return all;
}

/// True if all tokens end; false only if one is stuck.
template <class R>
[[nodiscard]] bool ends(const bulk<R>& which) {
    return which.wait_for(hang_limit);
}

/// Calls body(config) for few domains, with one and two workers in each.
template <class Body>
void for_each_small_shape(Body&& body) {
    for (const int cores : {1, 2, 8}) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            body(config{.cores = cores, .workers_per_core = workers});
        }
    }
}

}  // namespace tokengate::test
