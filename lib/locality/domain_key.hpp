// SPDX-License-Identifier: Apache-2.0
/// @file
/// Keys for what belongs to a certain domain.
#pragma once

#include <cstddef>
#include <cstdint>

#include "locality/sticky_table.hpp"

namespace tokengate::detail {

/// A key, and its pin, which the caller releases.
struct pinned_key {
    std::uint64_t hash = 0;
    pin where;
};

/// Keeps the keys of those without a name apart. Thread-safe.
[[nodiscard]] std::uint64_t next_key_seed() noexcept;

/// A key of this seed and number for a domain. Its slot is free, or in that domain: each attempt
/// fails as often as slots are pinned elsewhere; after the last one the slot is where it is.
[[nodiscard]] pinned_key pin_in_domain(sticky_table& keys, std::uint64_t seed, std::size_t number,
                                       unsigned domain, unsigned attempts) noexcept;

}  // namespace tokengate::detail
