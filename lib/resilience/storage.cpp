// SPDX-License-Identifier: Apache-2.0
// The storage tiers of the process.
#include <array>
#include <atomic>
#include <memory>
#include <string>

#include <tokengate/error.hpp>
#include <tokengate/resilience.hpp>

#include "domain/tier.hpp"
#include "fork.hpp"
#include "resilience/supervisor.hpp"
#include "token/fork_lock.hpp"

namespace tokengate {

namespace detail {

namespace {

constexpr std::size_t most_permits = 1'000'000;

struct all_tiers {
    all_tiers() {
        // A token of a storage is resumed with the list of runtimes locked.
        survive_forks();
        for (tier& each : of) hold_over_fork(each.lock());
    }

    std::array<tier, tier_count> of{
        tier(most_at_once(storage::slow)), tier(most_at_once(storage::moderate)),
        tier(most_at_once(storage::fast)), tier(most_at_once(storage::insane))};
};

// Null until somebody asks. Never destroyed: static destructors may end a runtime.
constinit std::atomic<all_tiers*> made{nullptr};

all_tiers& tiers() {
    static all_tiers& the_tiers = []() -> all_tiers& {
        all_tiers* const all = std::make_unique<all_tiers>().release();
        // Release: for a child process, which the thread that forks may have heard nothing of.
        made.store(all, std::memory_order_release);
        return *all;
    }();
    return the_tiers;
}

tier& tier_or_throw(storage kind, const char* question) {
    if (tier* const found = supervisor::tier_of(kind)) return *found;
    throw config_error(std::string(question) + "() was asked of storage '" +
                       std::string(to_string(kind)) +
                       "', which has no limit: ask of slow, moderate, fast or insane");
}

}  // namespace

tier* supervisor::tier_of(storage kind) {
    const auto number = static_cast<std::size_t>(kind);
    if (number == 0 || number > tiers().of.size()) return nullptr;
    return &tiers().of[number - 1];
}

void forget_permits_after_fork() noexcept {
    all_tiers* const all = made.load(std::memory_order_acquire);
    if (all == nullptr) return;
    for (tier& each : all->of) each.forget_all();
}

}  // namespace detail

void set_storage_limit(storage kind, std::size_t limit) {
    detail::tier& changed = detail::tier_or_throw(kind, "set_storage_limit");
    if (limit == 0 || limit > detail::most_permits) {
        throw config_error("the limit of storage '" + std::string(to_string(kind)) +
                           "' was to be " + std::to_string(limit) + "; allowed are 1 to " +
                           std::to_string(detail::most_permits));
    }
    changed.resize(limit);
}

storage_stats stats_of(storage kind) {
    const auto seen = detail::tier_or_throw(kind, "stats_of").look();
    return {.limit = seen.limit,
            .executing = seen.executing,
            .waiting = seen.waiting,
            .executed = seen.executed};
}

}  // namespace tokengate
