// SPDX-License-Identifier: Apache-2.0
// Coroutines that begin to wait just when what they wait for ends.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "sleep/futex.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t rounds = 50'000;

/// Tokens that end after so many pauses of a CPU, some tens of nanoseconds each, and a worker that
/// is awake.
struct short_tokens {
    runtime rt{{.cores = 1, .spin_time = std::chrono::milliseconds(5)}};
    operation<int(int)> op = rt.operation("op", [](int pauses) {
        for (int i = 0; i < pauses; ++i) detail::cpu_pause();
        return pauses;
    });
};

}  // namespace

TEST_CASE("a_thread_that_waits_for_a_task_is_woken_whenever_its_token_ends") {
    seeded random;
    short_tokens some;
    for (std::size_t i = 0; i < scaled(rounds); ++i) {
        // About when the thread, which has spun for as long, goes to sleep.
        const auto pauses = static_cast<int>(random.below(2 * detail::pauses_before_sleep));
        const auto waits = [&]() -> task<int> { co_return co_await some.op(pauses); };
        REQUIRE(sync_wait(waits()) == pauses);
    }
    settle_locality(some.rt);
}

TEST_CASE("a_coroutine_that_waits_for_the_first_of_many_goes_on_whenever_that_ends") {
    seeded random;
    short_tokens some;
    for (std::size_t i = 0; i < scaled(rounds); ++i) {
        const std::vector<token<int>> all{some.op(static_cast<int>(random.below(100)))};
        for (std::uint64_t spins = random.below(100); spins > 0; --spins) detail::cpu_pause();
        const auto waits = [&]() -> task<std::size_t> { co_return co_await when_any(all); };
        REQUIRE(sync_wait(waits()) == 0);
    }
    settle_locality(some.rt);
}

}  // namespace tokengate::test
