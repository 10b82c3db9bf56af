// SPDX-License-Identifier: Apache-2.0
#include "works.hpp"

#include <algorithm>
#include <bit>
#include <random>

#include <cryptopp/sha.h>

namespace tokengate::app {
namespace {

/// FNV-1a, a value at a time, with a rotation so that the high bits of values count as much as the
/// low ones.
template <class T>
std::uint64_t fold(std::span<const T> values) noexcept {
    std::uint64_t state = 0xcbf29ce484222325U ^ values.size();
    for (const T value : values) {
        state = std::rotl(state ^ static_cast<std::uint64_t>(value), 23) * 0x100000001b3U;
    }
    return state;
}

/// The standard fixes the sequence of mt19937 but not of the distributions, so numbers come
/// straight from it: the same results everywhere.
std::mt19937 generator_of(std::uint64_t seed) {
    return std::mt19937(static_cast<std::uint32_t>(seed ^ (seed >> 32)));
}

/// A number below `bound`, by multiplication rather than by division.
std::uint32_t below(std::uint32_t bound, std::mt19937& generator) {
    return static_cast<std::uint32_t>((std::uint64_t{generator()} * bound) >> 32);
}

bool is_prime(std::uint64_t number) noexcept {
    if (number < 2) return false;
    for (std::uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
        if (number % divisor == 0) return false;
    }
    return true;
}

}  // namespace

std::string_view name_of(work which) noexcept {
    switch (which) {
        case work::prime_sum: return "prime sum";
        case work::string_transform: return "string transform";
        case work::sort: return "sort";
        case work::hash_chain: return "hash chain";
    }
    return "unknown";
}

weight weight_of(work which) noexcept {
    switch (which) {
        case work::prime_sum:
        case work::string_transform: return weight::light;
        case work::sort: return weight::medium;
        case work::hash_chain: return weight::heavy;
    }
    return weight::medium;
}

std::uint64_t prime_sum(std::uint64_t limit) noexcept {
    std::uint64_t sum = 0;
    for (std::uint64_t number = 2; number <= limit; ++number) {
        if (is_prime(number)) sum += number;
    }
    return sum;
}

std::string transformed_letters(std::uint64_t seed) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    std::mt19937 generator = generator_of(seed);
    std::string text(300, ' ');
    for (char& each : text) each = letters[below(letters.size(), generator)];

    std::reverse(text.begin(), text.end());
    for (char& each : text) {
        if (each >= 'a') each = static_cast<char>(each - 'a' + 'A');
        if (each == 'A') each = '4';
        if (each == 'E') each = '3';
        if (each == 'I') each = '1';
    }
    return text;
}

std::vector<int> sorted_numbers(std::uint64_t seed, std::size_t count) {
    std::mt19937 generator = generator_of(seed);
    std::vector<int> numbers(count);
    for (int& each : numbers) each = static_cast<int>(below(1'000'000, generator));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

sha256_digest hash_chain(std::string_view text, unsigned rounds) {
    static_assert(sizeof(sha256_digest) == CryptoPP::SHA256::DIGESTSIZE);
    CryptoPP::SHA256 hash;
    sha256_digest digest{};
    for (unsigned round = 0; round < rounds; ++round) {
        if (round == 0) {
            hash.Update(reinterpret_cast<const CryptoPP::byte*>(text.data()), text.size());
        } else {
            hash.Update(digest.data(), digest.size());
        }
        hash.Final(digest.data());
    }
    return digest;
}

std::uint64_t fingerprint_of(std::span<const char> values) noexcept { return fold(values); }
std::uint64_t fingerprint_of(std::span<const int> values) noexcept { return fold(values); }
std::uint64_t fingerprint_of(std::span<const std::uint8_t> values) noexcept { return fold(values); }

std::uint64_t perform(work which, std::uint64_t index, std::uint64_t seed) {
    switch (which) {
        case work::prime_sum: return prime_sum(60 + index % 25);
        case work::string_transform:
            return fingerprint_of(std::span<const char>(transformed_letters(31 * index + seed)));
        case work::sort:
            return fingerprint_of(
                std::span<const int>(sorted_numbers(index + seed, 400 + index % 300)));
        case work::hash_chain:
            return fingerprint_of(std::span<const std::uint8_t>(
                hash_chain(std::to_string(index + seed), 120 + static_cast<unsigned>(index % 80))));
    }
    return 0;
}

}  // namespace tokengate::app
