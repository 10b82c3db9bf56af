// SPDX-License-Identifier: Apache-2.0
#include "resilience/retries.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "resilience/complaints.hpp"

namespace tokengate {

namespace {

constexpr unsigned most_attempts = 1000;
constexpr double largest_factor = 1000;
constexpr double half = 0.5;

retry_policy preset(unsigned retries, std::chrono::nanoseconds first) {
    retry_policy made;
    made.attempts = retries + 1;
    made.initial_delay = first;
    made.jitter = half;
    return made;
}

}  // namespace

retry_policy retry_policy::trivial() { return preset(5, std::chrono::milliseconds(1)); }
retry_policy retry_policy::simple() { return preset(4, std::chrono::milliseconds(10)); }
retry_policy retry_policy::moderate() { return preset(3, std::chrono::milliseconds(100)); }
retry_policy retry_policy::complex() { return preset(2, std::chrono::seconds(1)); }
retry_policy retry_policy::extreme() { return preset(2, std::chrono::seconds(10)); }

namespace detail {

namespace {

std::string in_ns(std::chrono::nanoseconds time) { return std::to_string(time.count()) + " ns"; }

/// Without jitter.
std::chrono::nanoseconds whole_delay(const retry_policy& policy, unsigned retry) noexcept {
    using std::chrono::nanoseconds;
    const nanoseconds most = std::max(policy.max_delay, nanoseconds::zero());
    if (retry == 0 || policy.initial_delay <= nanoseconds::zero()) return nanoseconds::zero();
    // As it was given, to the nanosecond.
    if (retry == 1) return std::min(policy.initial_delay, most);
    const double grown = static_cast<double>(policy.initial_delay.count()) *
                         std::pow(policy.factor, static_cast<double>(retry - 1));
    // So that infinity and NaN are the most, too. What is below it as a double fits an integer.
    if (!(grown < static_cast<double>(most.count()))) return most;
    return nanoseconds(static_cast<std::int64_t>(std::max(grown, 0.0)));
}

}  // namespace

std::string complain(const retry_policy& policy) {
    complaints found("retry");
    if (policy.attempts < 1 || policy.attempts > most_attempts) {
        found.wrong("attempts", std::to_string(policy.attempts),
                    "1 to " + std::to_string(most_attempts));
    }
    const std::chrono::nanoseconds nothing{};
    if (policy.initial_delay < nothing ||
        (policy.initial_delay > policy.max_delay && policy.max_delay >= nothing)) {
        found.wrong("initial_delay", in_ns(policy.initial_delay),
                    "0 to max_delay, which is " + in_ns(policy.max_delay));
    }
    found.unless_within("factor", policy.factor, 1, largest_factor);
    if (policy.max_delay < nothing) {
        found.wrong("max_delay", in_ns(policy.max_delay), "0 and more");
    }
    found.unless_within("jitter", policy.jitter, 0, 1);
    if (!policy.idempotent && policy.attempts > 1 && !policy.when) {
        found.add(
            "when is empty, although running the callable again may do harm (idempotent is "
            "false); give a function that is true for exceptions after which nothing has happened, "
            "or leave out the retries");
    }
    return std::move(found).text();
}

std::chrono::nanoseconds delay_before(const retry_policy& policy, unsigned retry,
                                      std::uint64_t random) noexcept {
    const std::chrono::nanoseconds whole = whole_delay(policy, retry);
    // A double has 53 digits; so 0 and 1 are both reached.
    constexpr unsigned digits = 53;
    constexpr auto largest = static_cast<double>((std::uint64_t{1} << digits) - 1);
    const double part = static_cast<double>(random >> (64 - digits)) / largest;
    const double jitter = policy.jitter > 0 ? std::min(policy.jitter, 1.0) : 0.0;
    const auto all = static_cast<double>(whole.count());
    const double less = all * jitter * part;
    // The double may have been rounded up; what is below it is not above the integer.
    if (!(less < all)) return {};
    return whole - std::chrono::nanoseconds(static_cast<std::int64_t>(less));
}

}  // namespace detail

}  // namespace tokengate
