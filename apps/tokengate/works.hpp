// SPDX-License-Identifier: Apache-2.0
/// @file
/// The four operations of the main job, as pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/weight.hpp>

namespace tokengate::app {

/// Which of the four.
enum class work : std::uint8_t { prime_sum, string_transform, sort, hash_chain };

/// All four, in the order in which the job cycles through them.
inline constexpr std::array all_works{work::prime_sum, work::string_transform, work::sort,
                                      work::hash_chain};

/// The one that task `index` of a wave does.
[[nodiscard]] constexpr work work_of(std::size_t index) noexcept {
    return all_works[index % all_works.size()];
}

[[nodiscard]] std::string_view name_of(work which) noexcept;
[[nodiscard]] weight weight_of(work which) noexcept;

/// The sum of the primes up to `limit`, each found by trial division.
[[nodiscard]] std::uint64_t prime_sum(std::uint64_t limit) noexcept;

/// 300 random letters of `seed`, reversed, upper-cased, with 4, 3 and 1 for A, E and I.
[[nodiscard]] std::string transformed_letters(std::uint64_t seed);

/// `count` random numbers of `seed`, in ascending order.
[[nodiscard]] std::vector<int> sorted_numbers(std::uint64_t seed, std::size_t count);

/// SHA-256 of `text`, then of the digest before it, `rounds` times in all.
using sha256_digest = std::array<std::uint8_t, 32>;
[[nodiscard]] sha256_digest hash_chain(std::string_view text, unsigned rounds);

/// 64 bits that depend on every value and on its position.
[[nodiscard]] std::uint64_t fingerprint_of(std::span<const char> values) noexcept;
[[nodiscard]] std::uint64_t fingerprint_of(std::span<const int> values) noexcept;
[[nodiscard]] std::uint64_t fingerprint_of(std::span<const std::uint8_t> values) noexcept;

/// Does one piece of work with the parameters of task `index` and returns the fingerprint of its
/// result. Equal arguments give equal results, on any thread.
[[nodiscard]] std::uint64_t perform(work which, std::uint64_t index, std::uint64_t seed);

}  // namespace tokengate::app
