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

/// @throws wrong_result unless the ledger of an idle runtime says that `tokens` more completed, and
/// no anchored one outside its domain
inline void expect_completed(const runtime& idle, std::uint64_t& before, std::uint64_t tokens) {
    const runtime_stats seen = idle.stats();
    const token_counts counts = seen.total();
    expect_equal("tokens in flight", static_cast<std::int64_t>(counts.in_flight()), 0);
    expect_equal("tokens completed", static_cast<std::int64_t>(counts.completed - before),
                 static_cast<std::int64_t>(tokens));
    for (const domain_stats& each : seen.domains) {
        expect_equal("escapes", static_cast<std::int64_t>(each.escapes), 0);
    }
    before = counts.completed;
}

}  // namespace tokengate::bench
