// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the record of a token holds for whoever watches how its operation is doing.
#pragma once

#include <cstdint>

#include "sleep/futex.hpp"

namespace tokengate::detail {

class worker;

/// Belongs to the worker that runs the token, but for what is said otherwise; set before the token
/// is committed, else.
struct observation {
    steady_ns begun_at = 0;    ///< the last attempt
    steady_ns ended_at = 0;    ///< the last attempt
    std::uint32_t probe = 0;   ///< its number, if it is a probe of a circuit breaker
    std::uint32_t judged = 0;  ///< under the monitor's lock: attempts whose outcome is counted
    bool weighed = false;      ///< the size of its arguments is known
    bool steps_aside = false;  ///< its run was no attempt: its operation is in quarantine now
    const worker* slow_on = nullptr;  ///< who runs it; the thread of the timers alone
    std::int64_t slow_thread = 0;     ///< the system's number of that; the thread of the timers
    steady_ns slow_since = 0;         ///< when it has begun; the thread of the timers
};

}  // namespace tokengate::detail
