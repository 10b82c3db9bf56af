// SPDX-License-Identifier: Apache-2.0
/// @file
/// Random numbers that can be had again: the seed is printed, and TOKENGATE_SEED sets it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

#include <doctest/doctest.h>

namespace tokengate::test {

/// The seed of this run.
inline std::uint64_t run_seed() {
    static const std::uint64_t seed = [] {
        const char* wanted = std::getenv("TOKENGATE_SEED");
        if (wanted != nullptr && *wanted != '\0') return std::strtoull(wanted, nullptr, 10);
        return static_cast<unsigned long long>(std::random_device{}());
    }();
    return seed;
}

/// A generator of its own for one test.
class seeded {
  public:
    seeded() : engine_(run_seed()) { MESSAGE("TOKENGATE_SEED=", run_seed()); }

    /// Another generator for one of several threads.
    seeded(const seeded& parent, std::uint64_t number)
        : engine_(run_seed() + (number + 1) * 0x9E3779B97F4A7C15U) {
        static_cast<void>(parent);
    }

    /// A number in [0, below).
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }

    /// True once in so many.
    [[nodiscard]] bool one_in(std::uint64_t count) { return below(count) == 0; }

  private:
    std::mt19937_64 engine_;
};

/// Numbers from a plan, so that a token does the same wherever it runs.
class dice {
  public:
    explicit dice(std::uint64_t plan) : state_(plan) {}
    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15U;
        std::uint64_t mixed = (state_ ^ (state_ >> 30U)) * 0xBF58476D1CE4E5B9U;
        mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
        return mixed ^ (mixed >> 31U);
    }
    std::uint64_t below(std::uint64_t limit) { return next() % limit; }
    bool one_in(std::uint64_t count) { return below(count) == 0; }

  private:
    std::uint64_t state_;
};

}  // namespace tokengate::test
