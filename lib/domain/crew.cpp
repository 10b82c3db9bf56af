// SPDX-License-Identifier: Apache-2.0
#include "domain/crew.hpp"

#include <algorithm>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include <tokengate/error.hpp>

#include "domain/worker.hpp"

namespace tokengate::detail {

crew::crew(const runtime_core* runtime, const settings& chosen, const topology& machine)
    : in_flight(static_cast<std::int64_t>(chosen.in_flight_limit)),
      idle(std::size_t{chosen.cores} * chosen.workers_per_core),
      idle_reserve(std::size_t{chosen.cores} * chosen.reserve_workers),
      idle_beyond(std::size_t{chosen.cores} * most_beyond),
      sticky_keys(chosen.sticky_slots),
      strands(chosen.sticky_slots),
      outside(chosen.operation_limit),
      runtime_(runtime),
      settings_(chosen),
      pins_(chosen.binding && machine.binds()),
      wide_arenas_(*this, machine, pins_) {
    for (const weight each : all_weights) {
        first_allowed_[index_of(each)] =
            chosen.strict_stealing ? chosen.first_core[index_of(each)] : 0;
        may_take_[static_cast<std::size_t>(lane_of(each, false))] =
            idle_set::from(std::size_t{first_allowed_[index_of(each)]} * chosen.workers_per_core);
    }
    try {
        for (unsigned d = 0; d < chosen.cores; ++d) {
            domains_.push_back(std::make_unique<domain>(*this, d, chosen, machine));
            for (const weight each : all_weights) {
                if (d >= first_allowed_[index_of(each)]) {
                    domains_.back()->stealable |= bit_of(lane_of(each, false));
                }
            }
        }
        for (const auto& home : domains_) {
            for (unsigned w = 0; w < chosen.workers_per_core; ++w) home->add_worker(*this, chosen);
        }
    } catch (const std::bad_alloc&) {
        throw resource_error("the lanes of " + std::to_string(chosen.cores) +
                             " mailboxes with room for " + std::to_string(chosen.mailbox_capacity) +
                             " tokens each do not fit into memory: set a smaller "
                             "mailbox_capacity or operation_limit, or fewer cores");
    }
}

crew::~crew() = default;

void crew::start() {
    {
        const std::scoped_lock guard(bind_lock_);
        bind_failures_.clear();
    }
    // Calls are admitted when all workers are there, so that a failure leaves no token behind.
    enter(phase::draining);
    muster present;
    std::size_t started = 0;
    // What to say is put together when all threads have ended: that may throw, too.
    std::error_code refusal;
    const char* reason = nullptr;
    const std::size_t all = std::size_t{settings_.cores} * settings_.workers_per_core;
    try {
        for (; started < all; ++started) {
            at(static_cast<unsigned>(started / settings_.workers_per_core))
                .worker_at(started % settings_.workers_per_core)
                .start(present);
        }
    } catch (const std::system_error& refused) {
        refusal = refused.code();
    } catch (const std::bad_alloc&) {
        reason = "no memory left";
    }
    for (std::size_t i = 0; i < started; ++i) present.arrived.acquire();
    if (present.failed) reason = "no memory left for it to begin";
    if (refusal || reason != nullptr) {
        enter(phase::stopped);
        join();
        throw resource_error("worker thread " + std::to_string(std::min(started + 1, all)) +
                             " of " + std::to_string(all) + " could not be started: " +
                             (reason != nullptr ? reason : refusal.message()) +
                             ". Ask for fewer cores or workers_per_core, or raise the limits on "
                             "threads (ulimit -u, pids.max) and memory (ulimit -v)");
    }
    if (std::exchange(was_out_of_time_, false)) attend_no_more();
    // Nobody sleeps who would have to know.
    phase_.set(phase::open);
}

void crew::join() noexcept {
    // Whoever is raising a reserve, for a callable that has outlived the end, is done with that
    // first; others see the phase.
    for (const auto& home : domains_) const std::scoped_lock guard(home->reserve_lock);
    for_each_worker([](worker& each) { each.join(); });
    rest_all_reserves();
    // Acquire: what they have done comes before what is done to the runtime now.
    while (visitors_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

void crew::advance(phase expected, phase next) noexcept {
    if (phase_.advance(expected, next)) wake_everybody();
}

void crew::enter(phase next) noexcept {
    // Who is out of time stays so until it is open again; nothing runs in between.
    if (next == phase::killing) {
        attend();
        was_out_of_time_ = true;
    }
    phase_.enter(next);
    wake_everybody();
}

void crew::collect(unsigned domain_index, lane which) noexcept {
    // Purses of small pools are always empty.
    if (at(domain_index).box.credits(which).block() == 1) return;
    std::int64_t found = 0;
    for_each_worker([&](worker& each) { found += each.lane_purse(domain_index, which).empty(); });
    if (found > 0) give_back(at(domain_index).box.credits(which), found);
}

void crew::collect_finished() noexcept {
    if (in_flight.block() == 1) return;
    std::int64_t found = 0;
    for_each_worker([&](worker& each) { found += each.in_flight_purse.empty(); });
    if (found > 0) give_back(in_flight, found);
}

// The notifications are read-modify-writes on the words that sleepers look at, so that a sleeper
// sees the phase or is woken.
void crew::wake_everybody() noexcept {
    room.notify_all();
    quiet.notify_all();
    for_each_worker([](worker& each) {
        each.wake.notify_all();
        each.resumed.notify_all();
    });
}

bool crew::all_pause_but(const worker& self) const noexcept {
    bool pause = true;
    for_each_worker(
        [&](const worker& each) { pause = pause && (&each == &self || !each.moves()); });
    return pause;
}

bool crew::all_wait_but(const worker& self) const noexcept {
    bool wait = true;
    for_each_worker([&](const worker& each) { wait = wait && (&each == &self || each.waits()); });
    return wait;
}

void crew::record_binding(unsigned domain_index, const bind_result& result) {
    if (result.bound) return;
    const std::scoped_lock guard(bind_lock_);
    bind_failures_.push_back({.domain = domain_index, .error = result.error});
}

std::vector<crew::bind_failure> crew::bind_failures() const {
    const std::scoped_lock guard(bind_lock_);
    std::vector<bind_failure> sorted = bind_failures_;
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.domain < b.domain; });
    return sorted;
}

}  // namespace tokengate::detail
