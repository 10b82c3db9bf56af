// SPDX-License-Identifier: Apache-2.0
/// @file
/// The books of a runtime: every token that was accepted has ended in exactly one way.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include <doctest/doctest.h>

#include <tokengate/runtime.hpp>

namespace tokengate::test {

/// Long enough for anything that is not stuck; no test measures time with it.
inline constexpr std::chrono::seconds hang_limit{60};

/// Tokens that ran, over all domains.
inline std::uint64_t executed_in(const runtime_stats& seen) {
    std::uint64_t sum = 0;
    for (const domain_stats& each : seen.domains) {
        for (const std::uint64_t count : each.executed) sum += count;
    }
    return sum;
}

/// Checks the books of an idle or stopped runtime: nothing is in flight, of no operation and no
/// class, and only tokens that completed, failed or were killed half-way have run.
inline void check_ledger(const runtime& rt) {
    const runtime_stats seen = rt.stats();
    std::array<token_counts, weight_count> sums;
    std::uint64_t executions = 0;
    std::uint64_t not_run = 0;
    for (const operation_stats& each : seen.operations) {
        INFO("operation ", std::string(each.name));
        CHECK(each.counts.in_flight() == 0);
        not_run += each.without_inputs;
        CHECK(each.counts.failed >= each.without_inputs);
        CHECK(each.executions + each.without_inputs >= each.counts.completed + each.counts.failed);
        CHECK(each.executions <= each.counts.accepted + each.retries);
        sums[index_of(each.weight_class)] += each.counts;
        executions += each.executions;
    }
    CHECK(executions == executed_in(seen));
    for (const weight each : all_weights) {
        const token_counts& sum = sums[index_of(each)];
        const token_counts& counts = seen.by_weight[index_of(each)];
        INFO("class ", std::string(to_string(each)));
        CHECK(counts.accepted ==
              counts.completed + counts.failed + counts.killed + counts.timed_out);
        CHECK(sum.accepted == counts.accepted);
        CHECK(sum.completed == counts.completed);
        CHECK(sum.failed == counts.failed);
        CHECK(sum.killed == counts.killed);
        CHECK(sum.timed_out == counts.timed_out);
        CHECK(sum.refused == counts.refused);
    }
    const token_counts total = seen.total();
    CHECK(total.in_flight() == 0);
    CHECK(executed_in(seen) + not_run >= total.completed + total.failed);
    std::uint64_t retries = 0;
    for (const operation_stats& each : seen.operations) retries += each.retries;
    CHECK(executed_in(seen) <= total.accepted + retries);
}

/// Waits until the runtime is idle, then checks its books.
inline void settle(runtime& rt) {
    REQUIRE(rt.wait_idle_for(hang_limit));
    check_ledger(rt);
}

/// True if the token ends; false only if it is stuck.
template <class R>
[[nodiscard]] bool ends(const token<R>& which) {
    return which.wait_for(hang_limit);
}

/// The result; fails the test instead of hanging if the token is stuck.
template <class R>
decltype(auto) result_of(const token<R>& which) {
    REQUIRE(ends(which));
    return which.get();
}

/// Asks for the result and drops it: throws what the token threw.
template <class R>
void demand(const token<R>& which) {
    static_cast<void>(which.get());
}

}  // namespace tokengate::test
