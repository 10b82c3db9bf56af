// SPDX-License-Identifier: Apache-2.0
/// @file
/// How much work tests do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>

#include "sanitizers.hpp"

namespace tokengate::test {

/// Whether all takes ten times as long.
inline constexpr bool sanitized = finds_races || finds_bad_addresses;

/// Numbers of domains over which promises are held.
inline constexpr std::array<int, 5> widths{1, 2, 4, 8, 64};

/// What TOKENGATE_STRESS asks for; 0: nothing.
inline std::size_t stress_factor() {
    static const std::size_t factor = [] {
        const char* wanted = std::getenv("TOKENGATE_STRESS");
        return wanted == nullptr ? 0 : std::size_t{std::strtoul(wanted, nullptr, 10)};
    }();
    return factor;
}

/// A size of the short form, or TOKENGATE_STRESS times as much; a tenth under a sanitizer, if that
/// is not set.
inline std::size_t scaled(std::size_t size) {
    if (const std::size_t factor = stress_factor(); factor != 0) return size * factor;
    return sanitized && size >= 1000 ? size / 10 : size;
}

/// As scaled(), of rounds that each start a runtime: a fifth of them under the thread sanitizer,
/// which takes long to begin a thread.
inline std::size_t scaled_starts(std::size_t rounds) {
    if (const std::size_t factor = stress_factor(); factor != 0) return rounds * factor;
    return finds_races ? (rounds + 4) / 5 : rounds;
}

}  // namespace tokengate::test
