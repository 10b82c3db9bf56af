// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate storm`: tokens of many sticky keys, each of which must stay in its key's domain.
#pragma once

#include <cstdint>

#include "options.hpp"

namespace tokengate::app {

/// The most tokens that the options may ask for, keys times tokens a key.
inline constexpr std::uint64_t most_storm_tokens = 100'000'000;

struct storm_options {
    runtime_options runtime;
    std::uint32_t keys = 10'000;  ///< of the storm
    std::uint32_t tokens = 100;   ///< for each key
    std::uint32_t bursts = 6;     ///< while the anchors of the first phase run
    std::uint64_t seed = 0;       ///< of the order of the keys
    bool broken = false;          ///< leaves the keys out, so that the checks must fail
    bool json = false;
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed.
/// @throws usage_error for more than `most_storm_tokens`; what the runtime throws
int run_storm(const storm_options& options);

}  // namespace tokengate::app
