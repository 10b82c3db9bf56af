// SPDX-License-Identifier: Apache-2.0
// Threads that stand in for blocked workers.
#include <algorithm>
#include <exception>

#include "domain/crew.hpp"
#include "domain/worker.hpp"
#include "sleep/fence.hpp"

namespace tokengate::detail {

bool crew::is_deserted(unsigned domain_index) const noexcept {
    // Relaxed: who has not heard of it yet, will.
    return at(domain_index).surplus.load(std::memory_order_relaxed) <=
           -static_cast<int>(settings_.workers_per_core);
}

bool crew::stand_in(unsigned domain_index) noexcept {
    // In a child process the lock may be held for ever.
    if (current_phase() == phase::forked) return false;
    domain& home = at(domain_index);
    if (find_stand_in(home)) return true;
    if (!is_deserted(domain_index)) return false;
    // Between what find_stand_in() has counted and the look; pairs with begin_token_wait().
    full_fence();
    if (token_waits_.load(std::memory_order_relaxed) > 0 && stand_in_beyond(home)) return true;
    // Those of them that count on others must not any more.
    const unsigned count = home.worker_count();
    for (unsigned i = 0; i < count; ++i) home.worker_at(i).wake.notify_all();
    return false;
}

void crew::begin_token_wait() noexcept {
    // Relaxed: ordered by the fence. Whoever leaves a domain deserted sees this wait, or this
    // thread sees the domain.
    token_waits_.fetch_add(1, std::memory_order_relaxed);
    full_fence();
    relieve();
}

// Relaxed: a wait that is seen for too long costs a thread at most.
void crew::end_token_wait() noexcept { token_waits_.fetch_sub(1, std::memory_order_relaxed); }

void crew::relieve() noexcept {
    if (current_phase() == phase::forked) return;
    for (const auto& home : domains_) {
        if (is_deserted(home->number)) static_cast<void>(stand_in_beyond(*home));
    }
}

// True if the domain is not deserted any more.
bool crew::stand_in_beyond(domain& home) noexcept {
    const std::scoped_lock guard(home.reserve_lock);
    // Somebody else may have done it.
    if (!is_deserted(home.number)) return true;
    // Under the lock: see join().
    if (current_phase() >= phase::stopped) return false;
    if (!raise_reserve(home, settings_.reserve_workers + most_beyond)) return false;
    // Relaxed: as in find_stand_in().
    home.surplus.fetch_add(1, std::memory_order_relaxed);
    return true;
}

// Under the domain's reserve_lock.
std::size_t crew::standing_in(const domain& home) const noexcept {
    return home.worker_count() - settings_.workers_per_core - home.resting.size();
}

bool crew::find_stand_in(domain& home) noexcept {
    const std::scoped_lock guard(home.reserve_lock);
    // Relaxed: the lock orders the writes; worker::loop only looks whether it should come here.
    const int surplus = home.surplus.load(std::memory_order_relaxed);
    // Under the lock: see join().
    const bool over = current_phase() >= phase::stopped;
    // Not counted down meanwhile: to start a thread takes time, in which others who look would take
    // the domain for deserted.
    if (surplus <= 0 && !over && raise_reserve(home, settings_.reserve_workers)) return true;
    // Who blocks is counted, whether anybody stands in or not: then no surplus appears when it goes
    // on that is not there.
    home.surplus.store(surplus - 1, std::memory_order_relaxed);
    if (surplus > 0) return true;
    // Relaxed: a number to look at.
    if (!over) short_of_reserves.fetch_add(1, std::memory_order_relaxed);
    return false;
}

// Under the domain's reserve_lock. False if `most` stand in already, or there is no memory or
// thread to be had: the worker blocks all the same.
bool crew::raise_reserve(domain& home, unsigned most) noexcept {
    try {
        if (standing_in(home) >= most) return false;
        if (home.resting.empty()) home.resting.push_back(&home.add_worker(*this, settings_));
        // The lowest: those beyond `reserve_workers` only while they are needed.
        std::iter_swap(std::ranges::min_element(home.resting, {}, &worker::index),
                       home.resting.end() - 1);
        worker& reserve = *home.resting.back();
        count_standing(reserve, 1);
        if (reserve.stand_up()) {
            home.resting.pop_back();
            return true;
        }
        count_standing(reserve, -1);
    } catch (const std::exception&) {
        // Nothing has changed.
    }
    return false;
}

void crew::count_standing(const worker& reserve, int change) noexcept {
    // Seq_cst: before the reserve announces itself for the first time, and after the last.
    if (is_beyond(reserve)) beyond_.fetch_add(change, std::memory_order_seq_cst);
    standing_in_.fetch_add(change, std::memory_order_seq_cst);
}

bool crew::is_beyond(const worker& reserve) const noexcept {
    return reserve.index() >= settings_.workers_per_core + settings_.reserve_workers;
}

worker* crew::claim_reserve(domain& home) noexcept {
    const auto claim_in = [&](idle_set& set, unsigned width, unsigned before) -> worker* {
        const std::size_t first = std::size_t{home.number} * width;
        const auto claimed = set.claim(first, first + width);
        return claimed ? &home.worker_at(before + *claimed - first) : nullptr;
    };
    const unsigned workers = settings_.workers_per_core;
    const unsigned reserves = settings_.reserve_workers;
    // Seq_cst: as in anybody_idle().
    if (beyond_.load(std::memory_order_seq_cst) != 0) {
        worker* const claimed = claim_in(idle_beyond, most_beyond, workers + reserves);
        if (claimed != nullptr) return claimed;
    }
    return claim_in(idle_reserve, reserves, workers);
}

void crew::step_back(unsigned domain_index) noexcept {
    if (current_phase() == phase::forked) return;
    domain& home = at(domain_index);
    {
        const std::scoped_lock guard(home.reserve_lock);
        // Relaxed: as in stand_in().
        home.surplus.store(home.surplus.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
    }
    // One that is idle rests at once; it passes the claim on.
    if (worker* const claimed = claim_reserve(home)) claimed->wake.notify_one();
}

bool crew::may_rest(worker& reserve) noexcept {
    domain& home = at(reserve.domain_index());
    const std::scoped_lock guard(home.reserve_lock);
    // Relaxed: as in stand_in().
    const int surplus = home.surplus.load(std::memory_order_relaxed);
    if (surplus <= 0 || current_phase() >= phase::stopped) return false;
    home.surplus.store(surplus - 1, std::memory_order_relaxed);
    home.resting.push_back(&reserve);
    reserve.lie_down();
    count_standing(reserve, -1);
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
    beyond_.store(0, std::memory_order_seq_cst);
}

}  // namespace tokengate::detail
