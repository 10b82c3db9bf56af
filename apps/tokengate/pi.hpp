// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate pi`: the Leibniz series in layers of tokens.
#pragma once

#include <array>
#include <cstdint>

#include "options.hpp"

namespace tokengate::app {

/// The precisions that can be asked for: each is an instance of its own of the arithmetic.
inline constexpr std::array<unsigned, 4> pi_precisions{30, 50, 100, 200};

struct pi_options {
    runtime_options runtime;
    std::uint64_t terms = 1'000'000;  ///< at least 1
    std::uint64_t chunk = 1'000;      ///< terms that one chunk token sums; at least 1
    unsigned digits = 50;             ///< one of pi_precisions
    bool json = false;
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed.
/// @throws what the runtime throws
int run_pi(const pi_options& options);

}  // namespace tokengate::app
