// SPDX-License-Identifier: Apache-2.0
#include "storm_report.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "measure.hpp"

namespace tokengate::app {
namespace {

template <class Member>
std::uint64_t sum_of(const std::vector<storm_phase>& phases, Member member) {
    std::uint64_t sum = 0;
    for (const storm_phase& each : phases) sum += each.*member;
    return sum;
}

double rate_of(const storm_phase& phase) {
    return ratio(static_cast<double>(phase.tokens), phase.seconds);
}

/// "1: 9021, 2: 979", from four on in groups that double.
std::string spread_text(const std::vector<std::uint64_t>& keys_by_domains) {
    std::string text;
    for (std::size_t low = 1; low <= keys_by_domains.size();) {
        const std::size_t high = std::min(low < 3 ? low : low * 2 - 2, keys_by_domains.size());
        std::uint64_t keys = 0;
        for (std::size_t i = low; i <= high; ++i) keys += keys_by_domains[i - 1];
        if (keys > 0) {
            text += (text.empty() ? "" : ", ") + std::to_string(keys) + " in " +
                    std::to_string(low) +
                    (high > low ? " to " + std::to_string(high) : std::string());
        }
        low = high + 1;
    }
    return text;
}

}  // namespace

std::uint64_t storm_result::tokens() const { return sum_of(phases, &storm_phase::tokens); }
std::uint64_t storm_result::bound() const { return sum_of(phases, &storm_phase::bound); }
std::uint64_t storm_result::disorder() const { return sum_of(phases, &storm_phase::disorder); }
std::uint64_t storm_result::misses() const { return sum_of(phases, &storm_phase::misses) + strays; }

double storm_result::seconds() const {
    double sum = 0.0;
    for (const storm_phase& each : phases) sum += each.seconds;
    return sum;
}

std::vector<expectation> storm_result::expectations() const {
    const token_counts counts = stats.total();
    std::uint64_t astray = 0;
    for (std::size_t i = 0; i < tokens_by_domain.size(); ++i) {
        const auto [low, high] = std::minmax({tokens_by_domain[i], stats.domains[i].anchored});
        astray += high - low;
    }
    return {
        {.what = "misses", .found = misses()},
        {.what = "escapes", .found = escapes_of(stats)},
        {.what = "keys, pins and chains left in the end", .found = left_of(stats.locality)},
        {.what = "tokens out of order or side by side on a serial key", .found = disorder()},
        {.what = "anchored tokens counted in another domain than their own", .found = astray},
        {.what = "tokens failed, killed or left", .found = counts.accepted - counts.completed},
        {.what = "tokens completed", .expected = tokens(), .found = counts.completed},
    };
}

void print_storm(const storm_result& result) {
    const table phases({{"phase", -7},
                        {"keys", 7},
                        {"tokens", 9},
                        {"wall", 8},
                        {"tokens/s", 10},
                        {"bound", 9},
                        {"misses", 7},
                        {"disorder", 8}});
    phases.print_header();
    for (const storm_phase& each : result.phases) {
        phases.print_row({std::string(each.name), std::to_string(each.keys),
                          std::to_string(each.tokens), duration_text(each.seconds),
                          number_text(rate_of(each)), std::to_string(each.bound),
                          std::to_string(each.misses), std::to_string(each.disorder)});
    }
    std::printf(
        "\nbound: tokens that had one domain to go to, since their key was held or another of "
        "its tokens\nwas in flight all the time between. Every other key is held.\n");

    std::printf("\nanchors  %llu of %llu tokens ran beside the anchor of their key\n",
                static_cast<unsigned long long>(result.beside),
                static_cast<unsigned long long>(result.burst_tokens));
    std::printf("storm    keys by the number of domains that they used: %s\n",
                spread_text(result.keys_by_domains).c_str());
    print_domains(result.stats, "tokens", result.tokens_by_domain);
    std::printf("gate     %llu tokens redirected to the domain of their key\n",
                static_cast<unsigned long long>(result.stats.locality.redirected));
    std::printf("\n%llu tokens, %llu misses, %llu escapes, %llu leaked: %s\n",
                static_cast<unsigned long long>(result.tokens()),
                static_cast<unsigned long long>(result.misses()),
                static_cast<unsigned long long>(escapes_of(result.stats)),
                static_cast<unsigned long long>(left_of(result.stats.locality)),
                result.verified() ? "every key kept its domain" : "NOT verified");
}

json storm_json(const storm_result& result) {
    json phases = json::array();
    for (const storm_phase& each : result.phases) {
        phases.push_back({{"phase", std::string(each.name)},
                          {"keys", each.keys},
                          {"tokens", each.tokens},
                          {"bound", each.bound},
                          {"misses", each.misses},
                          {"disorder", each.disorder},
                          {"seconds", each.seconds},
                          {"tokens_per_second", rate_of(each)}});
    }
    json domains = json::array();
    for (std::size_t i = 0; i < result.tokens_by_domain.size(); ++i) {
        domains.push_back({{"domain", i},
                           {"tokens", result.tokens_by_domain[i]},
                           {"anchored", result.stats.domains[i].anchored},
                           {"workers", result.stats.domains[i].workers}});
    }
    json spread = json::array();
    std::uint64_t keys = 0;
    for (std::size_t i = 0; i < result.keys_by_domains.size(); ++i) {
        keys += result.keys_by_domains[i];
        if (result.keys_by_domains[i] == 0) continue;
        spread.push_back({{"domains", i + 1}, {"keys", result.keys_by_domains[i]}});
    }
    const token_counts counts = result.stats.total();
    const double rate = ratio(static_cast<double>(result.tokens()), result.seconds());
    return {{"tokens", result.tokens()},
            {"completed", counts.completed},
            {"failed", counts.accepted - counts.completed},
            {"keys", keys},
            {"bound", result.bound()},
            {"misses", result.misses()},
            {"escapes", escapes_of(result.stats)},
            {"leaked", left_of(result.stats.locality)},
            {"disorder", result.disorder()},
            {"redirected", result.stats.locality.redirected},
            {"short_of_reserves", result.stats.locality.short_of_reserves},
            {"beside_anchors", result.beside},
            {"keys_by_domains", std::move(spread)},
            {"seconds", result.seconds()},
            {"tokens_per_second", rate},
            {"verified", result.verified()},
            {"phases", std::move(phases)},
            {"domains", std::move(domains)}};
}

}  // namespace tokengate::app
