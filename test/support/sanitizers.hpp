// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which sanitizers a test has been compiled for.
#pragma once

namespace tokengate::test {

#if defined(__has_feature)
inline constexpr bool finds_races = __has_feature(thread_sanitizer);
inline constexpr bool finds_bad_addresses = __has_feature(address_sanitizer);
inline constexpr bool finds_undefined_behavior = __has_feature(undefined_behavior_sanitizer);
#else
#if defined(__SANITIZE_THREAD__)
inline constexpr bool finds_races = true;
#else
inline constexpr bool finds_races = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool finds_bad_addresses = true;
#else
inline constexpr bool finds_bad_addresses = false;
#endif
/// As far as is known: g++ 12 does not tell.
inline constexpr bool finds_undefined_behavior = false;
#endif

}  // namespace tokengate::test
