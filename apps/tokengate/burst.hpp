// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate burst`: tasks released together, then mixed batches for a while.
#pragma once

#include <cstdint>

#include "options.hpp"

namespace tokengate::app {

struct burst_options {
    runtime_options runtime;
    double seconds = 5.0;    ///< length of the mixed window; 0 leaves it out
    std::uint64_t seed = 0;  ///< of sizes and mixes
    bool json = false;
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed.
/// @throws what the runtime throws, and std::system_error if there is nowhere to write
int run_burst(const burst_options& options);

}  // namespace tokengate::app
