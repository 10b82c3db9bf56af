// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which retry policies make sense, and how long a retry waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <tokengate/resilience.hpp>

namespace tokengate::detail {

/// What is wrong with a policy: every wrong field, with what is allowed. Empty: nothing.
[[nodiscard]] std::string complain(const retry_policy& policy);

/// How long the n-th retry waits, that is attempt n + 1; nothing for n = 0. The more of `random`,
/// the less: 0 gives the whole delay, the largest value what jitter leaves of it. For any policy,
/// also a wrong one, at least 0 and at most max_delay.
[[nodiscard]] std::chrono::nanoseconds delay_before(const retry_policy& policy, unsigned retry,
                                                    std::uint64_t random) noexcept;

}  // namespace tokengate::detail
