// SPDX-License-Identifier: Apache-2.0
/// @file
/// The thread of a soak that interferes: pauses, kills, cancels, stops, changes limits.
#pragma once

#include <atomic>
#include <cstdint>

#include <tokengate/tokengate.hpp>

#include "soak_field.hpp"

namespace tokengate::app {

constexpr storage all_storage[] = {storage::slow, storage::moderate, storage::fast,
                                   storage::insane};

struct soak_interference {
    std::uint64_t pauses = 0;
    std::uint64_t resumes = 0;
    std::uint64_t kills = 0;          ///< calls of kill() by operation or of the runtime
    std::uint64_t killed = 0;         ///< tokens that these have killed
    std::uint64_t cancels = 0;        ///< calls of cancel()
    std::uint64_t cancelled = 0;      ///< tokens that these have killed
    std::uint64_t stops = 0;          ///< of which the runtime has started again after each
    std::uint64_t stop_kills = 0;     ///< tokens that the deadlines of stops have killed
    std::uint64_t late_starts = 0;    ///< a callable of before still ran
    std::uint64_t limit_changes = 0;  ///< of storage
};

/// Interferes until it is over, then leaves everything as it was: running, resumed, with the
/// limits that storage has by default. One thread.
void interfere(runtime& rt, soak_field& field, std::uint64_t seed, const std::atomic<bool>& over,
               soak_interference& done);

}  // namespace tokengate::app
