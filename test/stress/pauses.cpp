// SPDX-License-Identifier: Apache-2.0
// Tokens that are paused and go on while their place comes: they wait for an input or for their
// turn, and are in no lane before.
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t pauses = 500'000;

/// Calls make(), which returns a token that waits, pauses that token, and lets it go on while
/// whatever it waits for comes.
template <class Make>
void pause_while_its_place_comes(runtime& rt, seeded& random, Make&& make) {
    const std::size_t rounds = scaled(pauses);
    for (std::size_t round = 0; round < rounds; ++round) {
        const token<int> t = make();
        static_cast<void>(t.pause());
        for (std::uint64_t left = random.below(4000); left != 0; --left) {
            // An empty loop would be gone.
            __asm__ volatile("");
        }
        static_cast<void>(t.resume());
        REQUIRE(ends(t));
        REQUIRE(t.get() == 2);
    }
    settle_locality(rt);
    figure("tokens paused while their place came", rounds);
}

// Workers that look for work all the time, so that what comes into a lane is taken out at once.
const config quick{.cores = 2, .workers_per_core = 3, .spin_time = 50us};

}  // namespace

TEST_CASE("a_token_that_goes_on_while_its_inputs_come_runs_once") {
    seeded random;
    runtime rt(quick);
    const auto one = rt.operation("one", [] { return 1; });
    const auto next = rt.operation("next", [](int n) { return n + 1; });
    pause_while_its_place_comes(rt, random, [&] { return one().then(next); });
    CHECK(rt.stats().total().completed == 2 * scaled(pauses));
}

TEST_CASE("a_token_that_goes_on_while_its_turn_comes_runs_once") {
    seeded random;
    runtime rt(quick);
    const auto op = rt.operation("op", {.sticky = sticky::by_arguments(sticky::serial)},
                                 [](int n) { return n + 1; });
    pause_while_its_place_comes(rt, random, [&] {
        op.post(1);
        return op(1);
    });
    CHECK(rt.stats().total().completed == 2 * scaled(pauses));
}

}  // namespace tokengate::test
