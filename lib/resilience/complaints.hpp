// SPDX-License-Identifier: Apache-2.0
/// @file
/// What is wrong with a set of values, all at once.
#pragma once

#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

namespace tokengate::detail {

/// A number as a user would write it, in the fewest digits that tell it from others.
[[nodiscard]] inline std::string text_of(double value) {
    std::array<char, 32> digits{};
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    return {digits.data(), written.ptr};
}

/// Collects what is wrong with the fields of one structure.
class complaints {
  public:
    explicit complaints(std::string_view structure) : structure_(structure) {}

    /// A field has a value that it must not have.
    void wrong(std::string_view field, std::string_view value, std::string_view allowed) {
        add(std::string(field) + " is " + std::string(value) + "; allowed are " +
            std::string(allowed));
    }

    /// A number outside of [low, high]; a NaN is outside of everything.
    void unless_within(std::string_view field, double value, double low, double high) {
        if (value >= low && value <= high) return;
        wrong(field, text_of(value), text_of(low) + " to " + text_of(high));
    }

    /// Something else is wrong; says so after the name of the structure.
    void add(std::string_view what) {
        text_ += (text_.empty() ? "" : "; and ") + structure_ + "." + std::string(what);
    }

    /// All of it, or nothing.
    [[nodiscard]] std::string text() && { return std::move(text_); }

  private:
    std::string structure_;
    std::string text_;
};

}  // namespace tokengate::detail
