// SPDX-License-Identifier: Apache-2.0
/// @file
/// How much a test has done, so that figures in the documentation are measured ones.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace tokengate::test {

/// Prints "figure: anchored tokens 10,012,345" on standard output, where test/rows finds it. Any
/// thread; printed whether the test passes or not.
inline void figure(std::string_view what, std::uint64_t count) {
    std::string digits = std::to_string(count);
    for (std::size_t end = digits.size(); end > 3; end -= 3) digits.insert(end - 3, ",");
    std::string line = "figure: ";
    line.append(what).append(" ").append(digits).append("\n");
    std::fputs(line.c_str(), stdout);
    std::fflush(stdout);
}

}  // namespace tokengate::test
