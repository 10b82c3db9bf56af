// SPDX-License-Identifier: Apache-2.0
/// @file
/// How much work tests do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>

namespace tokengate::test {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

/// Numbers of domains over which promises are held.
inline constexpr std::array<int, 5> widths{1, 2, 4, 8, 64};

/// A size of the short form, or TOKENGATE_STRESS times as much; a tenth under a sanitizer, if that
/// is not set.
inline std::size_t scaled(std::size_t size) {
    static const std::size_t factor = [] {
        const char* wanted = std::getenv("TOKENGATE_STRESS");
        return wanted == nullptr ? 0 : std::size_t{std::strtoul(wanted, nullptr, 10)};
    }();
    if (factor != 0) return size * factor;
    return sanitized && size >= 1000 ? size / 10 : size;
}

}  // namespace tokengate::test
