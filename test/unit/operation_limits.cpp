// SPDX-License-Identifier: Apache-2.0
// Which limits of an operation are allowed, and the names of what they do.
#include "resilience/limits.hpp"

#include <cstddef>
#include <limits>
#include <string>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::complain;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr auto no_policy = static_cast<when_full>(9);

}  // namespace

TEST_CASE("enumerations_have_names") {
    CHECK(to_string(storage::none) == "none");
    CHECK(to_string(storage::slow) == "slow");
    CHECK(to_string(storage::moderate) == "moderate");
    CHECK(to_string(storage::fast) == "fast");
    CHECK(to_string(storage::insane) == "insane");
    CHECK(to_string(duplicates::allow) == "allow");
    CHECK(to_string(duplicates::coalesce) == "coalesce");
    CHECK(to_string(when_full::block) == "block");
    CHECK(to_string(when_full::refuse) == "refuse");
    CHECK(to_string(when_full::drop_oldest) == "drop_oldest");
    CHECK(to_string(no_policy) == "unknown");
}

TEST_CASE("each_kind_of_storage_bears_so_many_at_once") {
    CHECK(most_at_once(storage::none) == 0);
    CHECK(most_at_once(storage::slow) == 10);
    CHECK(most_at_once(storage::moderate) == 25);
    CHECK(most_at_once(storage::fast) == 50);
    CHECK(most_at_once(storage::insane) == 70);
}

TEST_CASE("a_number_without_a_name_is_no_kind_of_storage_or_duplicates") {
    CHECK(complain(storage::none).empty());
    CHECK(complain(storage::insane).empty());
    CHECK(complain(static_cast<storage>(5)) ==
          "storage is number 5; allowed are none, slow, moderate, fast and insane");
    CHECK(complain(duplicates::allow).empty());
    CHECK(complain(duplicates::coalesce).empty());
    CHECK(complain(static_cast<duplicates>(2)) ==
          "duplicates is number 2; allowed are allow and coalesce");
}

TEST_CASE("rate_limits_are_0_or_in_their_range") {
    CHECK(complain(rate_limit{}).empty());
    CHECK(complain(rate_limit{.per_second = 1e-6, .burst = 1}).empty());
    CHECK(complain(rate_limit{.per_second = 1e9, .burst = 1e9, .policy = when_full::drop_oldest})
              .empty());
    const std::string allowed = "; allowed are 0 (no limit) and 1e-06 to 1e+09";
    CHECK(complain(rate_limit{.per_second = -1}) == "rate_limit.per_second is -1" + allowed);
    CHECK(complain(rate_limit{.per_second = 1e-7}) == "rate_limit.per_second is 1e-07" + allowed);
    CHECK(complain(rate_limit{.per_second = 2e9}) == "rate_limit.per_second is 2e+09" + allowed);
    CHECK(complain(rate_limit{.per_second = nan}) == "rate_limit.per_second is nan" + allowed);
    CHECK(complain(rate_limit{.per_second = infinity}) == "rate_limit.per_second is inf" + allowed);
    CHECK(complain(rate_limit{.burst = 0.5}) == "rate_limit.burst is 0.5; allowed are 1 to 1e+09");
    CHECK(complain(rate_limit{.burst = nan}) == "rate_limit.burst is nan; allowed are 1 to 1e+09");
    CHECK(complain(rate_limit{.policy = no_policy}) ==
          "rate_limit.policy is number 9; allowed are block, refuse and drop_oldest");
    CHECK(complain(rate_limit{.per_second = -1, .burst = 0, .policy = no_policy}) ==
          "rate_limit.per_second is -1" + allowed +
              "; and rate_limit.burst is 0; allowed are 1 to 1e+09" +
              "; and rate_limit.policy is number 9; allowed are block, refuse and drop_oldest");
}

TEST_CASE("in_flight_limits_are_at_most_what_a_runtime_can_have") {
    CHECK(complain(in_flight_limit{}).empty());
    CHECK(complain(in_flight_limit{.tokens = std::size_t{1} << 40U}).empty());
    CHECK(complain(in_flight_limit{.tokens = (std::size_t{1} << 40U) + 1, .policy = no_policy}) ==
          "in_flight_limit.tokens is 1099511627777; allowed are 0 (no limit) to 1099511627776"
          "; and in_flight_limit.policy is number 9; allowed are block, refuse and drop_oldest");
}

}  // namespace tokengate::test
