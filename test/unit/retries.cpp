// SPDX-License-Identifier: Apache-2.0
// Which retry policies are allowed, and how long retries wait.
#include "resilience/retries.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using detail::complain;
using detail::delay_before;
using std::chrono::nanoseconds;

constexpr std::uint64_t least = 0;
constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

/// The delays of all retries, without what is random.
std::vector<nanoseconds> delays_of(const retry_policy& policy) {
    std::vector<nanoseconds> found;
    for (unsigned retry = 1; retry < policy.attempts; ++retry) {
        found.push_back(delay_before(policy, retry, least));
    }
    return found;
}

using delays = std::vector<nanoseconds>;

}  // namespace

TEST_CASE("each_retry_waits_longer_by_the_factor_up_to_the_most") {
    CHECK(delays_of({.attempts = 5, .initial_delay = 10ms}) == delays{10ms, 20ms, 40ms, 80ms});
    CHECK(delays_of({.attempts = 4, .initial_delay = 10ms, .factor = 1.5}) ==
          delays{10ms, 15ms, 22500us});
    CHECK(delays_of({.attempts = 4, .initial_delay = 7ms, .factor = 1}) == delays{7ms, 7ms, 7ms});
    CHECK(delays_of({.attempts = 5, .initial_delay = 10s}) == delays{10s, 20s, 30s, 30s});
    CHECK(delays_of({.attempts = 4, .initial_delay = 2ns, .factor = 1000, .max_delay = 1ms}) ==
          delays{2ns, 2us, 1ms});
    CHECK(delays_of({.attempts = 3}) == delays{0ns, 0ns});
    CHECK(delays_of({}).empty());
}

TEST_CASE("the_first_attempt_does_not_wait") {
    CHECK(delay_before({.attempts = 2, .initial_delay = 1s}, 0, least) == 0ns);
}

TEST_CASE("the_first_delay_is_exact_to_the_nanosecond") {
    const nanoseconds odd{(std::int64_t{1} << 62) + 1};
    CHECK(delay_before({.initial_delay = odd, .max_delay = nanoseconds::max()}, 1, least) == odd);
}

TEST_CASE("jitter_takes_up_to_its_part_from_a_delay") {
    retry_policy policy{.attempts = 2, .initial_delay = 1s, .jitter = 0.25};
    CHECK(delay_before(policy, 1, least) == 1s);
    CHECK(delay_before(policy, 1, most) == 750ms);
    CHECK(double(delay_before(policy, 1, most / 2 + 1).count()) == doctest::Approx(875e6));
    policy.jitter = 1;
    CHECK(delay_before(policy, 1, least) == 1s);
    CHECK(delay_before(policy, 1, most) == 0s);
    policy.jitter = 0;
    CHECK(delay_before(policy, 1, most) == 1s);
    // Of what is left by max_delay.
    CHECK(delay_before({.initial_delay = 1min, .max_delay = 10s, .jitter = 0.5}, 3, most) == 5s);
}

TEST_CASE("no_policy_makes_a_delay_below_0_or_above_the_most") {
    seeded random;
    const std::vector<std::int64_t> times{std::numeric_limits<std::int64_t>::min(),
                                          -1,
                                          0,
                                          1,
                                          1'000'000'007,
                                          (std::int64_t{1} << 53) + 1,
                                          (std::int64_t{1} << 62) + 3,
                                          std::numeric_limits<std::int64_t>::max() - 1,
                                          std::numeric_limits<std::int64_t>::max()};
    const std::vector<double> numbers{nan, -infinity, -1, -0.0,  0,       1e-300,
                                      0.3, 1,         2,  1e300, infinity};
    int wrong = 0;
    for (const std::int64_t initial : times) {
        for (const std::int64_t limit : times) {
            for (const double factor : numbers) {
                for (const double jitter : numbers) {
                    const retry_policy policy{.initial_delay = nanoseconds(initial),
                                              .factor = factor,
                                              .max_delay = nanoseconds(limit),
                                              .jitter = jitter};
                    for (const unsigned retry :
                         {0U, 1U, 2U, 64U, 999U, std::numeric_limits<unsigned>::max()}) {
                        for (const std::uint64_t chance : {least, most, random.below(most)}) {
                            const nanoseconds delay = delay_before(policy, retry, chance);
                            const nanoseconds upper{limit > 0 ? limit : 0};
                            if (delay < 0ns || delay > upper) ++wrong;
                        }
                    }
                }
            }
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("delays_that_would_not_fit_are_the_most") {
    const retry_policy policy{.initial_delay = 1h, .factor = 1000, .max_delay = nanoseconds::max()};
    CHECK(delay_before(policy, 1000, least) == nanoseconds::max());
    CHECK(delay_before({.initial_delay = 1h, .factor = 1000}, 1000, least) == 30s);
}

TEST_CASE("presets_are_what_they_say") {
    CHECK(delays_of(retry_policy::trivial()) == delays{1ms, 2ms, 4ms, 8ms, 16ms});
    CHECK(delays_of(retry_policy::simple()) == delays{10ms, 20ms, 40ms, 80ms});
    CHECK(delays_of(retry_policy::moderate()) == delays{100ms, 200ms, 400ms});
    CHECK(delays_of(retry_policy::complex()) == delays{1s, 2s});
    CHECK(delays_of(retry_policy::extreme()) == delays{10s, 20s});
    for (const retry_policy& each :
         {retry_policy::trivial(), retry_policy::simple(), retry_policy::moderate(),
          retry_policy::complex(), retry_policy::extreme()}) {
        CHECK(complain(each).empty());
        CHECK(delay_before(each, 1, most) == each.initial_delay / 2);
        CHECK(each.idempotent);
        CHECK_FALSE(each.when);
    }
}

TEST_CASE("policies_at_the_ends_of_what_is_allowed_are_right") {
    CHECK(complain(retry_policy{}).empty());
    CHECK(complain({.attempts = 1000,
                    .initial_delay = nanoseconds::max(),
                    .factor = 1000,
                    .max_delay = nanoseconds::max(),
                    .jitter = 1})
              .empty());
    CHECK(complain({.factor = 1, .max_delay = 0ns}).empty());
    CHECK(complain({.idempotent = false}).empty());
    CHECK(complain({.attempts = 2,
                    .when = [](const std::exception_ptr&) { return true; },
                    .idempotent = false})
              .empty());
}

TEST_CASE("each_wrong_field_is_named_with_what_is_allowed") {
    CHECK(complain({.attempts = 0}) == "retry.attempts is 0; allowed are 1 to 1000");
    CHECK(complain({.attempts = 1001}) == "retry.attempts is 1001; allowed are 1 to 1000");
    CHECK(complain({.initial_delay = -1ns}) ==
          "retry.initial_delay is -1 ns; allowed are 0 to max_delay, which is 30000000000 ns");
    CHECK(complain({.initial_delay = 2ns, .max_delay = 1ns}) ==
          "retry.initial_delay is 2 ns; allowed are 0 to max_delay, which is 1 ns");
    CHECK(complain({.factor = 0.5}) == "retry.factor is 0.5; allowed are 1 to 1000");
    CHECK(complain({.factor = 1000.5}) == "retry.factor is 1000.5; allowed are 1 to 1000");
    CHECK(complain({.factor = nan}) == "retry.factor is nan; allowed are 1 to 1000");
    CHECK(complain({.factor = infinity}) == "retry.factor is inf; allowed are 1 to 1000");
    CHECK(complain({.max_delay = -5ns}) == "retry.max_delay is -5 ns; allowed are 0 and more");
    CHECK(complain({.jitter = -0.25}) == "retry.jitter is -0.25; allowed are 0 to 1");
    CHECK(complain({.jitter = 1.25}) == "retry.jitter is 1.25; allowed are 0 to 1");
    CHECK(complain({.jitter = nan}) == "retry.jitter is nan; allowed are 0 to 1");
    CHECK(complain({.attempts = 2, .idempotent = false}).starts_with("retry.when is empty"));
}

TEST_CASE("all_wrong_fields_of_a_policy_are_named_at_once") {
    const std::string found = complain({.attempts = 5000,
                                        .initial_delay = -1ns,
                                        .factor = 0,
                                        .max_delay = -1ns,
                                        .jitter = 2,
                                        .idempotent = false});
    for (const char* field :
         {"retry.attempts is", "; and retry.initial_delay is", "; and retry.factor is",
          "; and retry.max_delay is", "; and retry.jitter is", "; and retry.when is"}) {
        INFO(found);
        CHECK(found.find(field) != std::string::npos);
    }
}

}  // namespace tokengate::test
