// SPDX-License-Identifier: Apache-2.0
#include "resilience/breaker.hpp"

#include <chrono>
#include <cstdint>
#include <limits>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using detail::circuit_breaker;
using detail::outcome_window;
using change = circuit_breaker::change;

constexpr health_limits strict{.block = true,
                               .block_above = 0.5,
                               .attempts = 4,
                               .window = std::chrono::nanoseconds(1000),
                               .probe_after = std::chrono::nanoseconds(50)};

/// One that was opened at a time.
circuit_breaker opened(std::int64_t at, const health_limits& limits = strict) {
    circuit_breaker made(limits);
    for (int i = 0; i < 3; ++i) CHECK(made.fail(0, true, at) == change::none);
    CHECK(made.fail(0, true, at) == change::blocked);
    return made;
}

}  // namespace

TEST_CASE("a_breaker_opens_when_more_than_the_limit_has_failed_of_enough_attempts") {
    circuit_breaker breaker(strict);
    CHECK(breaker.fail(0, true, 0) == change::none);
    CHECK(breaker.fail(0, true, 0) == change::none);
    CHECK(breaker.succeed(0, 0) == change::none);
    CHECK(breaker.succeed(0, 0) == change::none);
    CHECK(breaker.succeed(0, 0) == change::none);
    // Just as many as the limit.
    CHECK(breaker.fail(0, true, 0) == change::none);
    CHECK(breaker.enter(0).in);
    CHECK(breaker.fail(0, true, 7) == change::blocked);
    CHECK(breaker.open());
    CHECK(breaker.since() == 7);
    CHECK(breaker.next_probe() == 57);
    CHECK(breaker.reason() == outcome_window::counts{.attempts = 7, .failures = 4});
}

TEST_CASE("a_breaker_forgets_what_is_older_than_its_window") {
    circuit_breaker breaker(strict);
    for (int i = 0; i < 3; ++i) CHECK(breaker.fail(0, true, 0) == change::none);
    CHECK(breaker.fail(0, true, 2000) == change::none);
    CHECK(breaker.look(2000) == outcome_window::counts{.attempts = 1, .failures = 1});
}

TEST_CASE("an_open_breaker_lets_one_probe_through_after_its_delay") {
    circuit_breaker breaker = opened(100);
    CHECK_FALSE(breaker.enter(149).in);
    const auto probe = breaker.enter(150);
    CHECK(probe.in);
    CHECK(probe.probe != 0);
    CHECK(breaker.probing());
    CHECK_FALSE(breaker.enter(1000).in);
    // Others decide nothing.
    CHECK(breaker.succeed(0, 200) == change::none);
    CHECK(breaker.fail(0, true, 200) == change::none);
    CHECK(breaker.probing());
    // It may be retried.
    CHECK(breaker.fail(probe.probe, false, 200) == change::none);
    CHECK(breaker.succeed(probe.probe, 300) == change::unblocked);
    CHECK_FALSE(breaker.open());
    CHECK(breaker.look(300).attempts == 0);
    CHECK(breaker.enter(300).in);
}

TEST_CASE("a_probe_that_fails_begins_the_delay_anew_and_a_lost_one_does_not") {
    circuit_breaker breaker = opened(100);
    const auto first = breaker.enter(150);
    CHECK(breaker.fail(first.probe, true, 160) == change::blocked);
    CHECK(breaker.since() == 100);
    CHECK_FALSE(breaker.enter(209).in);
    const auto second = breaker.enter(210);
    CHECK(second.in);
    CHECK(second.probe != first.probe);
    breaker.lose(first.probe);
    CHECK(breaker.probing());
    breaker.lose(second.probe);
    CHECK_FALSE(breaker.probing());
    CHECK(breaker.open());
    CHECK(breaker.enter(211).in);
}

TEST_CASE("a_probe_from_before_a_reset_decides_nothing") {
    circuit_breaker breaker = opened(100);
    const auto old = breaker.enter(150);
    CHECK(breaker.reset());
    CHECK_FALSE(breaker.reset());
    for (int i = 0; i < 3; ++i) CHECK(breaker.fail(0, true, 160) == change::none);
    CHECK(breaker.fail(0, true, 160) == change::blocked);
    CHECK(breaker.succeed(old.probe, 170) == change::none);
    CHECK(breaker.open());
    const auto next = breaker.enter(210);
    CHECK(breaker.fail(old.probe, true, 220) == change::none);
    CHECK(breaker.probing());
    CHECK(breaker.succeed(next.probe, 230) == change::unblocked);
}

TEST_CASE("a_delay_without_end_does_not_overflow") {
    health_limits patient = strict;
    patient.probe_after = std::chrono::nanoseconds::max();
    circuit_breaker breaker = opened(100, patient);
    CHECK(breaker.next_probe() == std::numeric_limits<std::int64_t>::max());
    CHECK_FALSE(breaker.enter(1'000'000'000).in);
}

TEST_CASE("a_breaker_that_must_not_block_only_counts") {
    health_limits mild = strict;
    mild.block = false;
    circuit_breaker breaker(mild);
    for (int i = 0; i < 100; ++i) CHECK(breaker.fail(0, true, 0) == change::none);
    CHECK(breaker.enter(0).in);
    CHECK(breaker.look(0).failures == 100);
}

}  // namespace tokengate::test
