// SPDX-License-Identifier: Apache-2.0
/// @file
/// What one run of a wave has measured, and the figures that follow from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "measure.hpp"

namespace tokengate::app {

/// The raw measurements of one wave on one side.
struct wave_run {
    explicit wave_run(std::size_t tasks) : submitted(tasks), reports(tasks) {}

    steady::time_point begun;                         ///< just before the first submission
    steady::time_point finished;                      ///< when the submitter has the last result
    std::vector<steady::time_point> submitted;        ///< by task
    std::vector<std::optional<task_report>> reports;  ///< by task; none if it failed
};

/// The figures of one wave on one side. Times in seconds.
struct wave_figures {
    std::size_t ok = 0;      ///< delivered the same result as the serial run
    std::size_t failed = 0;  ///< threw, or delivered something else
    double seconds = 0.0;    ///< first submission to last result
    double tokens_per_second = 0.0;
    double mean_latency = 0.0;  ///< submission to completion of a token
    double p99_latency = 0.0;
    double overlap = 0.0;      ///< sum of the tasks' wall times over the wave's
    double parallelism = 0.0;  ///< sum of the tasks' CPU times over the wave's wall time
};

/// Compares each result with the serial one and computes the figures.
[[nodiscard]] wave_figures figures_of(const wave_run& run, std::span<const std::uint64_t> expected);

}  // namespace tokengate::app
