// SPDX-License-Identifier: Apache-2.0
/// @file
/// The operations of a soak: a table, to be extended when the library learns something new.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

namespace tokengate::app {

/// Random numbers of one thread, or of one token.
class soak_random {
  public:
    explicit soak_random(std::uint64_t seed) : state_(seed) {}

    /// The next 64 bits.
    std::uint64_t next() noexcept {
        // SplitMix64: a counter, scattered.
        state_ += 0x9E37'79B9'7F4A'7C15U;
        std::uint64_t bits = state_;
        bits = (bits ^ (bits >> 30U)) * 0xBF58'476D'1CE4'E5B9U;
        bits = (bits ^ (bits >> 27U)) * 0x94D0'49BB'1331'11EBU;
        return bits ^ (bits >> 31U);
    }
    std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
    bool one_in(std::uint64_t count) noexcept { return below(count) == 0; }

    template <class T, std::size_t n>
    T one_of(const T (&values)[n]) noexcept {
        return values[below(n)];
    }

  private:
    std::uint64_t state_;
};

/// What the callable of an operation does. Numbers n mean: in one call of n; 0: never.
struct soak_body {
    std::uint32_t fails = 0;    ///< throws, in the first attempts or in all
    std::uint32_t dawdles = 0;  ///< goes on until it is told to stop, or for some milliseconds
    std::uint32_t blocks = 0;   ///< sleeps inside tokengate::blocking()
    std::uint32_t parents = 0;  ///< calls others and waits for some of them
    bool picky = false;         ///< only failures of even orders are retried
};

struct soak_kind {
    std::string name;
    soak_body body;
    operation_traits traits;
    std::string line = {};  ///< of a serial one: operations with equal ones share their keys
};

/// How many keys there are.
inline constexpr std::uint32_t soak_keys = 24;

/// All operations: one for each thing, and some with mixed traits, drawn by the seed.
[[nodiscard]] std::vector<soak_kind> soak_kinds(std::uint64_t seed);

/// What the program asks of the runtime: limits that are reached, drawn by the seed, but for those
/// that the options or the environment give.
[[nodiscard]] config soak_config(config wanted, std::uint64_t seed);

}  // namespace tokengate::app
