// SPDX-License-Identifier: Apache-2.0
#include "fidelity.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "measure.hpp"
#include "report.hpp"

namespace tokengate::app {

unsigned thread_number() noexcept {
    static std::atomic<unsigned> next{0};
    // Relaxed: unique numbers, nothing else.
    thread_local const unsigned mine = next.fetch_add(1, std::memory_order_relaxed);
    return mine;
}

bool witness::saw(unsigned thread, unsigned domain) {
    if (thread >= domain_of_.size()) domain_of_.resize(thread + std::size_t{1}, -1);
    int& known = domain_of_[thread];
    if (known < 0) known = static_cast<int>(domain);
    return known == static_cast<int>(domain);
}

std::uint64_t witness::merge(const witness& other) {
    std::uint64_t disagreements = 0;
    for (std::size_t thread = 0; thread < other.domain_of_.size(); ++thread) {
        const int domain = other.domain_of_[thread];
        if (domain < 0) continue;
        if (!saw(static_cast<unsigned>(thread), static_cast<unsigned>(domain))) ++disagreements;
    }
    return disagreements;
}

std::size_t witness::threads() const {
    return static_cast<std::size_t>(std::count_if(domain_of_.begin(), domain_of_.end(),
                                                  [](int domain) { return domain >= 0; }));
}

bool all_hold(std::span<const expectation> all) noexcept {
    return std::all_of(all.begin(), all.end(), [](const expectation& one) { return one.holds(); });
}

void complain(std::span<const expectation> all, const std::string& note) {
    if (all_hold(all)) return;
    for (const expectation& one : all) {
        if (one.holds()) continue;
        std::fprintf(stderr, "tokengate: expected %llu %s, found %llu\n",
                     static_cast<unsigned long long>(one.expected), one.what.c_str(),
                     static_cast<unsigned long long>(one.found));
    }
    if (!note.empty()) std::fprintf(stderr, "tokengate: %s\n", note.c_str());
}

std::uint64_t escapes_of(const runtime_stats& stats) noexcept {
    std::uint64_t sum = 0;
    for (const domain_stats& each : stats.domains) sum += each.escapes;
    return sum;
}

std::uint64_t left_of(const locality_stats& stats) noexcept {
    return stats.pinned_keys + stats.pinned_tokens + stats.serial_keys + stats.open_chains;
}

void print_domains(const runtime_stats& stats, const std::string& tokens,
                   std::span<const std::uint64_t> in_each) {
    std::uint64_t workers = 0;
    for (const domain_stats& each : stats.domains) workers += each.workers;
    const spread load = spread_of(std::vector<double>(in_each.begin(), in_each.end()));
    std::printf("domains  %s with %s; %s in each: %s to %s, mean %s\n",
                count_text(stats.domains.size(), "domain").c_str(),
                count_text(workers, "worker").c_str(), tokens.c_str(),
                number_text(load.min).c_str(), number_text(load.max).c_str(),
                number_text(load.mean).c_str());
}

}  // namespace tokengate::app
