// SPDX-License-Identifier: Apache-2.0
/// @file
/// What tests of limits share.
#pragma once

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <tokengate/tokengate.hpp>

namespace tokengate::test {

inline constexpr std::array<int, 3> small_widths{1, 2, 4};

inline constexpr std::array<when_full, 3> all_policies{when_full::block, when_full::refuse,
                                                       when_full::drop_oldest};

/// Runs body(number) on so many threads at once.
void from_threads(int count, const auto& body) {
    std::vector<std::thread> all;
    for (int i = 0; i < count; ++i) all.emplace_back([&body, i] { body(i); });
    for (std::thread& each : all) each.join();
}

/// What a call says that is refused.
std::string message_of(const auto& call) {
    try {
        call();
    } catch (const call_refused& why) {
        return why.what();
    }
    return "it was not refused";
}

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace tokengate::test
