// SPDX-License-Identifier: Apache-2.0
/// @file
/// `tokengate chain`: leads whose children, and theirs, must share their domain and their seed.
#pragma once

#include <cstdint>

#include "options.hpp"

namespace tokengate::app {

struct chain_options {
    runtime_options runtime;
    std::uint32_t leads = 1'000;  ///< of the second phase, each with up to 84 tokens below it
    std::uint64_t seed = 0;       ///< of who is killed, who throws, who waits for whom
    bool broken = false;          ///< leads open no chains, so that the checks must fail
    bool json = false;
};

/// Runs the job and reports it. Returns exit_fine or exit_check_failed.
/// @throws what the runtime throws
int run_chain(const chain_options& options);

}  // namespace tokengate::app
