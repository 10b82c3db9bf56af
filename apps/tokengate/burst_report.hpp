// SPDX-License-Identifier: Apache-2.0
/// @file
/// The burst job's figures as tables and as JSON.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <tokengate/stats.hpp>

#include "chores.hpp"
#include "measure.hpp"
#include "report.hpp"

namespace tokengate::app {

/// Tokens of one burst, and the threads that submit them.
inline constexpr int burst_size = 8;

/// One burst. Times in seconds; durations run from a caller's submission to its result.
struct burst_figures {
    chore kind{};
    std::size_t ok = 0;
    std::size_t failed = 0;
    double jitter = 0.0;  ///< first submission to last submission
    double wall = 0.0;    ///< first submission to last result
    spread durations;
    double overlap = 0.0;      ///< sum of durations over wall
    double parallelism = 0.0;  ///< sum of the tasks' CPU times over wall
};

/// The mixed window. Latencies run from submission to completion.
struct window_figures {
    std::size_t ok = 0;
    std::size_t failed = 0;
    std::size_t batches = 0;
    std::array<std::size_t, all_chores.size()> by_chore{};
    bool log_whole = true;
    double seconds = 0.0;
    double p50 = 0.0;
    double p95 = 0.0;
    double max = 0.0;
    double overlap = 0.0;      ///< sum of latencies over wall
    double parallelism = 0.0;  ///< sum of the tasks' CPU times over wall
};

struct burst_result {
    burst_figures warm_up;  ///< all warm-up bursts together; only counts and wall
    std::vector<burst_figures> bursts;
    std::optional<window_figures> window;
    bool log_whole = false;  ///< the bursts' log held every line that was reported
    token_counts counts;     ///< the runtime's own ledger

    [[nodiscard]] std::size_t ok() const;
    [[nodiscard]] std::size_t failed() const;
    [[nodiscard]] double seconds() const;
    [[nodiscard]] bool verified() const;
};

void print_burst(const burst_result& result);
[[nodiscard]] json burst_json(const burst_result& result);

}  // namespace tokengate::app
