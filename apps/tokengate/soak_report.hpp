// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a soak found out, for people and for machines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "fidelity.hpp"
#include "report.hpp"
#include "soak_caller.hpp"
#include "soak_control.hpp"
#include "soak_field.hpp"

namespace tokengate::app {

/// What must be 0 when everything has ended.
struct soak_leftovers {
    std::uint64_t keys = 0;       ///< keys, pins and chains that are counted
    std::uint64_t chains = 0;     ///< chains that are listed
    std::uint64_t set_aside = 0;  ///< tokens
    std::uint64_t permits = 0;    ///< of storage, taken or waited for
    std::uint64_t objects = 0;    ///< arguments and results

    [[nodiscard]] std::uint64_t sum() const noexcept {
        return keys + chains + set_aside + permits + objects;
    }
};

struct soak_result {
    double seconds = 0.0;  ///< of load
    std::uint64_t seed = 0;
    std::uint32_t threads = 0;
    settings limits;
    soak_calls calls;
    soak_interference done;
    std::uint64_t deadlocks = 0;  ///< waits that could never have ended, and were refused
    std::uint64_t wrong = 0;
    std::uint64_t disorder = 0;
    std::uint64_t side_by_side = 0;
    soak_leftovers left;
    std::vector<expectation> ledger;  ///< all that must be so of the operations
    runtime_stats stats;              ///< after the stop in the end

    /// Compares what the runtime has counted of each operation with what the program has.
    void read_ledger(soak_field& field);

    [[nodiscard]] std::uint64_t retries() const;
    [[nodiscard]] std::uint64_t executions() const;

    /// What must be so.
    [[nodiscard]] std::vector<expectation> expectations() const;
    [[nodiscard]] bool verified() const { return all_hold(expectations()); }
};

void print_soak(const soak_result& result);
[[nodiscard]] json soak_json(const soak_result& result);

}  // namespace tokengate::app
