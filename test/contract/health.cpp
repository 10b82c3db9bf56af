// SPDX-License-Identifier: Apache-2.0
// The reputation of operations.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "failing.hpp"
#include "locality.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

TEST_CASE("an_operation_is_judged_by_how_many_of_its_attempts_succeed") {
    struct expectation {
        int attempts;
        int failures;
        health_level level;
    };
    runtime rt({.cores = 2});
    int number = 0;
    for (const expectation& each :
         {expectation{0, 0, health_level::unknown}, expectation{4, 4, health_level::unknown},
          expectation{5, 0, health_level::excellent}, expectation{20, 1, health_level::excellent},
          expectation{20, 2, health_level::healthy}, expectation{20, 4, health_level::healthy},
          expectation{20, 5, health_level::at_risk}, expectation{20, 10, health_level::at_risk},
          expectation{20, 11, health_level::problematic},
          expectation{5, 5, health_level::problematic}}) {
        for (const bool timed : {false, true}) {
            INFO(each.failures, " of ", each.attempts, timed ? " timed" : " not timed");
            const auto op =
                rt.operation("op" + std::to_string(++number),
                             {.timed = timed, .health = {.window = long_time}}, fail_if);
            for (int i = 0; i < each.attempts; ++i) run(op, i < each.failures);
            settle(rt);
            const health_report seen = op.health();
            CHECK(seen.operation == op.name());
            CHECK(seen.level == each.level);
            CHECK(seen.attempts == static_cast<std::uint64_t>(each.attempts));
            CHECK(seen.failures == static_cast<std::uint64_t>(each.failures));
            if (each.attempts == 20)
                CHECK(seen.failure_rate * 20 == doctest::Approx(each.failures));
            CHECK(seen.window == (timed ? std::chrono::nanoseconds(long_time) : 0ns));
            CHECK(seen.run.has_value() == timed);
            CHECK(seen.wait.has_value() == timed);
            CHECK_FALSE(seen.blocked);
        }
    }
}

TEST_CASE("an_attempt_that_is_retried_has_failed") {
    runtime rt({.cores = 2});
    std::atomic<int> calls{0};
    for (const bool timed : {false, true}) {
        const auto op =
            rt.operation(timed ? "timed" : "counted", {.retry = {.attempts = 4}, .timed = timed},
                         [&] { fail_if(++calls % 4 != 0); });
        for (int i = 0; i < 5; ++i) run(op);
        settle(rt);
        CHECK(op.health().attempts == 20);
        CHECK(op.health().failures == 15);
    }
}

TEST_CASE("two_operations_never_share_a_reputation") {
    runtime rt({.cores = 2});
    runtime other({.cores = 1});
    const operation_traits traits{
        .health = {.block = true, .block_above = 0.5, .attempts = 2, .probe_after = long_time}};
    const auto bad = rt.operation("one", traits, fail_if);
    const auto good = rt.operation("two", traits, fail_if);
    const auto same_name = other.operation("one", traits, fail_if);
    for (int i = 0; i < 2; ++i) run(bad, true);
    CHECK(bad.health().blocked);
    CHECK(is_refused(bad, false));
    CHECK(good.health().attempts == 0);
    CHECK(same_name.health().attempts == 0);
    CHECK_FALSE(is_refused(good, false));
    CHECK_FALSE(is_refused(same_name, false));
    settle(rt);
    settle(other);
}

TEST_CASE("without_block_nothing_is_ever_blocked") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.timed = true, .health = {.attempts = 1}}, fail_if);
    for (int i = 0; i < 20; ++i) CHECK_FALSE(is_refused(op, true));
    CHECK(op.health().level == health_level::problematic);
    CHECK_FALSE(op.unblock());
    CHECK_FALSE(rt.operation("plain", [] {}).unblock());
    settle(rt);
}

TEST_CASE("traits_that_make_no_sense_are_refused_all_at_once") {
    runtime rt({.cores = 1});
    try {
        static_cast<void>(rt.operation(
            "op",
            {.health = {.block_above = 1, .attempts = 0, .window = 0s, .probe_after = -1ns},
             .spikes = {.factor = 0.5, .samples = 0}},
            [] {}));
        CHECK(false);
    } catch (const operation_error& why) {
        const std::string text = why.what();
        for (const char* part :
             {"health.block_above is 1; allowed are 0 to less than 1",
              "health.attempts is 0; allowed are 1 to 1000000",
              "health.window is 0 ns; allowed are 1 and more",
              "health.probe_after is -1 ns; allowed are 0, which is the next call, and more",
              "spikes.factor is 0.5; allowed are 0 (no spikes) and 1 to 1e+09",
              "spikes.samples is 0; allowed are 1 to 1000000"}) {
            INFO(std::string(part));
            CHECK(text.find(part) != std::string::npos);
        }
    }
    CHECK_THROWS_AS(static_cast<void>(rt.operation("op", {.spikes = {.quarantine = true}}, [] {})),
                    operation_error);
}

}  // namespace tokengate::test
