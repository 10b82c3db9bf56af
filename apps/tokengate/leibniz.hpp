// SPDX-License-Identifier: Apache-2.0
/// @file
/// The Leibniz series pi = 4/1 - 4/3 + 4/5 - ... in decimal arithmetic, numbers as text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <boost/multiprecision/cpp_dec_float.hpp>

namespace tokengate::app {

/// The digits on which two decimal texts of one magnitude agree from the start: "3.14159" for
/// "3.141591..." and "3.141593...". Empty if they differ at once; never ends in a point.
[[nodiscard]] inline std::string common_digits(std::string_view a, std::string_view b) {
    const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
    std::string digits(a.begin(), end);
    if (!digits.empty() && digits.back() == '.') digits.pop_back();
    return digits;
}

/// Arithmetic with `Digits` decimal digits and a few guard digits behind them.
template <unsigned Digits>
struct leibniz {
    using decimal = boost::multiprecision::number<boost::multiprecision::cpp_dec_float<Digits>,
                                                  boost::multiprecision::et_off>;

    /// The term of a given index, counted from 0: 4 / (2 index + 1), with alternating sign.
    [[nodiscard]] static decimal term(std::uint64_t index) {
        const decimal magnitude = decimal(4) / (2 * index + 1);
        return index % 2 == 0 ? magnitude : -magnitude;
    }

    /// All digits that a number holds, so that parse() gives back the same number.
    [[nodiscard]] static std::string text_of(const decimal& number) {
        return number.str(std::numeric_limits<decimal>::max_digits10, std::ios_base::scientific);
    }

    [[nodiscard]] static decimal parse(const std::string& text) { return decimal(text); }

    [[nodiscard]] static std::string term_text(std::uint64_t index) { return text_of(term(index)); }

    /// The sum from first to last.
    [[nodiscard]] static std::string sum_text(const std::vector<std::string>& summands) {
        decimal sum = 0;
        for (const std::string& each : summands) sum += parse(each);
        return text_of(sum);
    }

    /// A sum as people write it, with `Digits` digits.
    [[nodiscard]] static std::string plain(const std::string& text) {
        return parse(text).str(Digits - 1, std::ios_base::fixed);
    }

    /// The digits of pi that a sum of the first `terms` terms gives. The series alternates and its
    /// terms shrink, so pi lies between the sum and the sum with one more term.
    [[nodiscard]] static std::string digits_of_pi(const std::string& sum, std::uint64_t terms) {
        return common_digits(plain(sum), plain(text_of(parse(sum) + term(terms))));
    }
};

}  // namespace tokengate::app
