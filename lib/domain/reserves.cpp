// SPDX-License-Identifier: Apache-2.0
// Threads that stand in for blocked workers.
#include <algorithm>
#include <exception>

#include "domain/crew.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

bool crew::stand_in(unsigned domain_index) noexcept {
    domain& home = at(domain_index);
    const std::scoped_lock guard(home.reserve_lock);
    // Under the lock: see rest_all_reserves().
    if (current_phase() >= phase::stopped) return false;
    // Relaxed: the lock orders the writes; worker::loop only looks whether it should come here.
    const unsigned surplus = home.surplus.load(std::memory_order_relaxed);
    if (surplus > 0) {
        home.surplus.store(surplus - 1, std::memory_order_relaxed);
        return true;
    }
    const unsigned most = settings_.workers_per_core + settings_.reserve_workers;
    try {
        if (home.resting.empty() && home.worker_count() < most) {
            home.resting.push_back(&home.add_worker(*this, settings_));
        }
        if (!home.resting.empty()) {
            // Seq_cst: before the reserve announces itself for the first time.
            standing_in_.fetch_add(1, std::memory_order_seq_cst);
            if (home.resting.back()->stand_up()) {
                home.resting.pop_back();
                return true;
            }
            standing_in_.fetch_sub(1, std::memory_order_seq_cst);
        }
    } catch (const std::exception&) {
        // No memory, no thread: the worker blocks all the same.
    }
    // Relaxed: a number to look at.
    short_of_reserves.fetch_add(1, std::memory_order_relaxed);
    return false;
}

void crew::step_back(unsigned domain_index) noexcept {
    domain& home = at(domain_index);
    {
        const std::scoped_lock guard(home.reserve_lock);
        // Relaxed: as in stand_in().
        home.surplus.store(home.surplus.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
    }
    // One that is idle rests at once; it passes the claim on.
    const std::size_t reserves = settings_.reserve_workers;
    const std::size_t first = domain_index * reserves;
    if (const auto claimed = idle_reserve.claim(first, first + reserves)) {
        home.worker_at(settings_.workers_per_core + *claimed - first).wake.notify_one();
    }
}

bool crew::may_rest(worker& reserve) noexcept {
    domain& home = at(reserve.domain_index());
    const std::scoped_lock guard(home.reserve_lock);
    // Relaxed: as in stand_in().
    const unsigned surplus = home.surplus.load(std::memory_order_relaxed);
    if (surplus == 0 || current_phase() >= phase::stopped) return false;
    home.surplus.store(surplus - 1, std::memory_order_relaxed);
    home.resting.push_back(&reserve);
    reserve.lie_down();
    standing_in_.fetch_sub(1, std::memory_order_seq_cst);
    return true;
}

// All threads have ended, and the phase, which stand_in() sees under the lock, keeps new ones from
// being started.
void crew::rest_all_reserves() noexcept {
    for (const auto& home : domains_) {
        const std::scoped_lock guard(home->reserve_lock);
        home->resting.clear();
        for (unsigned w = settings_.workers_per_core; w < home->worker_count(); ++w) {
            home->worker_at(w).lie_down();
            home->resting.push_back(&home->worker_at(w));
        }
        home->surplus.store(0, std::memory_order_relaxed);
    }
    standing_in_.store(0, std::memory_order_seq_cst);
}

}  // namespace tokengate::detail
