// SPDX-License-Identifier: Apache-2.0
#include "resilience/health_traits.hpp"

#include <utility>

#include "resilience/complaints.hpp"

namespace tokengate::detail {

namespace {

constexpr std::size_t most_attempts = 1'000'000;
constexpr std::size_t most_samples = 1'000'000;
constexpr double largest_factor = 1e9;

void unless_counted(complaints& found, std::string_view field, std::size_t value,
                    std::size_t most) {
    if (value >= 1 && value <= most) return;
    found.wrong(field, std::to_string(value), "1 to " + std::to_string(most));
}

}  // namespace

std::string complain(const health_limits& limits) {
    complaints found("health");
    if (!(limits.block_above >= 0 && limits.block_above < 1)) {
        found.wrong("block_above", text_of(limits.block_above), "0 to less than 1");
    }
    unless_counted(found, "attempts", limits.attempts, most_attempts);
    if (limits.window.count() <= 0) {
        found.wrong("window", std::to_string(limits.window.count()) + " ns", "1 and more");
    }
    if (limits.probe_after.count() < 0) {
        found.wrong("probe_after", std::to_string(limits.probe_after.count()) + " ns",
                    "0, which is the next call, and more");
    }
    return std::move(found).text();
}

std::string complain(const spike_limits& limits) {
    complaints found("spikes");
    const double factor = limits.factor;
    if (factor != 0 && !(factor >= 1 && factor <= largest_factor)) {
        found.wrong("factor", text_of(factor), "0 (no spikes) and 1 to " + text_of(largest_factor));
    }
    unless_counted(found, "samples", limits.samples, most_samples);
    if (limits.quarantine && factor == 0) {
        found.wrong("quarantine", "true without a factor", "false, or a factor of 1 and more");
    }
    return std::move(found).text();
}

}  // namespace tokengate::detail
