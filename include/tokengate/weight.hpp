// SPDX-License-Identifier: Apache-2.0
/// @file
/// Weight classes: which domains may run a token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tokengate {

/// How much of the machine an operation may use.
///
/// With N domains, numbered from 0 in the order that the topology ranks them, `heavy` tokens may
/// run on 0..N-1, `medium` ones on 1..N-1 and `light` ones on 2..N-1. Smaller machines fall back:
/// with two domains medium and light share domain 1, with one domain all share domain 0. The
/// first domain of each class can be configured (`config::first_core`).
enum class weight : std::uint8_t {
    heavy,   ///< all domains; takes the lowest-numbered one that has a free worker
    medium,  ///< the default; dealt round-robin from domain 1 up
    light,   ///< dealt round-robin from the last domain, down to domain 2
};

/// Number of weight classes.
inline constexpr std::size_t weight_count = 3;

/// All weight classes, heaviest first.
inline constexpr std::array<weight, weight_count> all_weights{weight::heavy, weight::medium,
                                                              weight::light};

/// The name of a class as users write it: "heavy", "medium" or "light".
[[nodiscard]] constexpr std::string_view to_string(weight value) noexcept {
    switch (value) {
        case weight::heavy: return "heavy";
        case weight::medium: return "medium";
        case weight::light: return "light";
    }
    return "unknown";
}

/// Zero-based index of a class, for arrays of `weight_count`.
[[nodiscard]] constexpr std::size_t index_of(weight value) noexcept {
    return static_cast<std::size_t>(value);
}

}  // namespace tokengate
