// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the TokenGate contenders get their threads.
#pragma once

#include <tokengate/tokengate.hpp>

#include "support/work.hpp"

namespace tokengate::bench {

/// `threads` domains of one worker each. Everything else is as compiled in, or as TOKENGATE_* says,
/// so that a setting can be tried out without a build.
[[nodiscard]] inline config one_worker_a_core(const setting& given) {
    return {.cores = static_cast<int>(given.threads), .workers_per_core = 1};
}

/// Tokens that have run outside of the domain to which they are anchored: always 0.
[[nodiscard]] inline std::uint64_t escapes_of(const runtime& host) {
    std::uint64_t sum = 0;
    for (const domain_stats& each : host.stats().domains) sum += each.escapes;
    return sum;
}

/// @throws wrong_result unless the ledger of an idle runtime says that `tokens` more completed
inline void expect_completed(const runtime& idle, std::uint64_t& before, std::uint64_t tokens) {
    const token_counts counts = idle.stats().total();
    expect_equal("tokens in flight", static_cast<std::int64_t>(counts.in_flight()), 0);
    expect_equal("tokens completed", static_cast<std::int64_t>(counts.completed - before),
                 static_cast<std::int64_t>(tokens));
    before = counts.completed;
}

}  // namespace tokengate::bench
