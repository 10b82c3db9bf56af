// SPDX-License-Identifier: Apache-2.0
#include "resilience/limits.hpp"

#include <utility>

#include "resilience/complaints.hpp"

namespace tokengate::detail {

namespace {

// One call in twelve days, and one in a nanosecond: the times between them are exact enough.
constexpr double slowest_rate = 1e-6;
constexpr double fastest_rate = 1e9;
constexpr double largest_burst = 1e9;
// As much as the whole runtime may be given.
constexpr std::size_t most_tokens = std::size_t{1} << 40U;

/// True for one of the names of an enumeration.
template <class T>
bool is_named(T value) {
    return to_string(value) != "unknown";
}

template <class T>
std::string number(T value) {
    return "number " + std::to_string(static_cast<unsigned>(value));
}

void check(complaints& found, when_full policy) {
    if (!is_named(policy)) {
        found.wrong("policy", number(policy), "block, refuse and drop_oldest");
    }
}

}  // namespace

std::string complain(const rate_limit& limit) {
    complaints found("rate_limit");
    const double rate = limit.per_second;
    if (rate != 0 && !(rate >= slowest_rate && rate <= fastest_rate)) {
        found.wrong("per_second", text_of(rate),
                    "0 (no limit) and " + text_of(slowest_rate) + " to " + text_of(fastest_rate));
    }
    found.unless_within("burst", limit.burst, 1, largest_burst);
    check(found, limit.policy);
    return std::move(found).text();
}

std::string complain(const in_flight_limit& limit) {
    complaints found("in_flight_limit");
    if (limit.tokens > most_tokens) {
        found.wrong("tokens", std::to_string(limit.tokens),
                    "0 (no limit) to " + std::to_string(most_tokens));
    }
    check(found, limit.policy);
    return std::move(found).text();
}

std::string complain(storage kind) {
    if (is_named(kind)) return {};
    return "storage is " + number(kind) + "; allowed are none, slow, moderate, fast and insane";
}

std::string complain(duplicates how) {
    if (is_named(how)) return {};
    return "duplicates is " + number(how) + "; allowed are allow and coalesce";
}

}  // namespace tokengate::detail
