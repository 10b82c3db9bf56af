// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate soak`: everything that the library can do, at random and all at once, and whether the
/// books balance in the end.
#pragma once

#include <cstdint>

#include "options.hpp"

namespace tokengate::app {

struct soak_options {
    runtime_options runtime;
    double seconds = 10.0;      ///< for which there is load
    std::uint32_t threads = 4;  ///< that submit
    std::uint64_t seed = 0;     ///< of limits, operations and what the threads do
    bool broken = false;        ///< leaves one execution uncounted, so that a check must fail
    bool json = false;
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed. If something does not end
/// for a minute, it says what, and ends the process with exit_check_failed.
/// @throws what the runtime's constructor throws
int run_soak(const soak_options& options);

}  // namespace tokengate::app
