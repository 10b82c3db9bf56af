// SPDX-License-Identifier: Apache-2.0
/// @file
/// The seeds of chains: a digest of the lead's id and of what it declares to call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tokengate/locality.hpp>

namespace tokengate::detail {

/// What an operation that opens chains contributes to their seeds.
struct lead_traits {
    std::string calls;  ///< its external calls, frozen: the names in declared order, joined by ','
    digest_policy policy = digest_policy::full;
};

/// The traits with these calls and this policy, one object for each, for the life of the process:
/// a token may be asked for its seed when its runtime is gone. Takes a lock; for registration.
/// @throws std::bad_alloc
[[nodiscard]] const lead_traits& lead_traits_for(const std::vector<std::string>& calls,
                                                 digest_policy policy);

/// The seed of the chain that a token opens: the digest of "<id in decimal>:<calls>", in lower-case
/// hexadecimal digits. Any thread; costs a few hundred nanoseconds.
/// @throws std::bad_alloc
[[nodiscard]] std::string seed_of(std::uint64_t token_id, const lead_traits& lead);

}  // namespace tokengate::detail
