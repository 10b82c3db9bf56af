// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate waves`: the main job, doubling waves of tokens against raw oneTBB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tokengate/stats.hpp>

#include "options.hpp"
#include "wave_run.hpp"

namespace tokengate::app {

struct waves_options {
    runtime_options runtime;
    int waves = 15;          ///< 1 to 20; wave k has 2^(k+1) tokens, counted from 1
    std::uint64_t seed = 0;  ///< moves the random numbers of strings, sorts and hash chains
    bool baseline = true;    ///< run each wave on raw oneTBB too
    bool json = false;
    std::optional<std::string> svg;  ///< file to draw into
};

/// One wave on both sides.
struct wave_result {
    int number = 0;
    std::size_t tokens = 0;
    wave_figures gate{};
    std::optional<wave_figures> baseline{};

    /// TokenGate's tokens per second over oneTBB's.
    [[nodiscard]] std::optional<double> tbb_ratio() const {
        if (!baseline) return std::nullopt;
        return ratio(gate.tokens_per_second, baseline->tokens_per_second);
    }
};

/// The whole job.
struct waves_result {
    std::vector<wave_result> waves;
    std::size_t tokens = 0;
    std::size_t ok = 0;
    std::size_t failed = 0;
    double seconds = 0.0;                    ///< sum over the waves
    std::optional<double> baseline_seconds;  ///< the same on raw oneTBB
    bool verified = false;  ///< every result of both sides is right, and the ledger agrees
    unsigned cores = 0;
    unsigned workers_per_core = 0;
    std::vector<domain_stats> domains;  ///< what each domain did during the waves

    [[nodiscard]] double tokens_per_second() const {
        return ratio(static_cast<double>(tokens), seconds);
    }
    [[nodiscard]] std::optional<double> tbb_ratio() const {
        if (!baseline_seconds) return std::nullopt;
        return ratio(*baseline_seconds, seconds);
    }
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed.
/// @throws usage_error, and what the runtime throws
int run_waves(const waves_options& options);

}  // namespace tokengate::app
