// SPDX-License-Identifier: Apache-2.0
#include "domain/crew.hpp"

#include <algorithm>
#include <new>
#include <system_error>

#include <tokengate/error.hpp>

#include "domain/kill.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

namespace {

unsigned extra_slots(const settings& chosen, const domain_info& info) {
    if (chosen.arena_slots >= 0) return static_cast<unsigned>(chosen.arena_slots);
    const auto cpus = static_cast<unsigned>(info.cpus.size());
    return cpus > chosen.workers_per_core ? cpus - chosen.workers_per_core : 0;
}

}  // namespace

domain::domain(unsigned number, const settings& chosen, const topology& machine)
    : info(machine.domain(number)),
      box(chosen.mailbox_capacity, std::size_t{chosen.cores} * chosen.workers_per_core),
      arena(chosen.workers_per_core, extra_slots(chosen, info), info,
            chosen.binding && machine.binds()),
      neighbours(machine.neighbours(number)) {}

crew::crew(const runtime_core* runtime, const settings& chosen, const topology& machine)
    : in_flight(static_cast<std::int64_t>(chosen.in_flight_limit)),
      idle(std::size_t{chosen.cores} * chosen.workers_per_core),
      runtime_(runtime),
      settings_(chosen),
      pins_(chosen.binding && machine.binds()) {
    for (const weight each : all_weights) {
        first_allowed_[index_of(each)] =
            chosen.strict_stealing ? chosen.first_core[index_of(each)] : 0;
    }
    try {
        for (unsigned d = 0; d < chosen.cores; ++d) {
            domains_.push_back(std::make_unique<domain>(d, chosen, machine));
            for (const weight each : all_weights) {
                if (d >= first_allowed_[index_of(each)]) {
                    domains_.back()->stealable |= bit_of(lane_of(each));
                }
            }
            for (unsigned w = 0; w < chosen.workers_per_core; ++w) {
                workers_.push_back(std::make_unique<worker>(*this, d, workers_.size()));
            }
        }
    } catch (const std::bad_alloc&) {
        throw resource_error("the lanes of " + std::to_string(chosen.cores) +
                             " mailboxes with room for " + std::to_string(chosen.mailbox_capacity) +
                             " tokens each do not fit into memory: set a smaller "
                             "mailbox_capacity, or fewer cores");
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
    std::string refusal;
    try {
        for (const auto& each : workers_) {
            each->start(present);
            ++started;
        }
    } catch (const std::system_error& refused) {
        refusal = refused.code().message();
    } catch (const std::bad_alloc&) {
        refusal = "no memory left";
    }
    for (std::size_t i = 0; i < started; ++i) present.arrived.acquire();
    if (present.failed) refusal = "no memory left for it to begin";
    if (!refusal.empty()) {
        enter(phase::stopped);
        join();
        throw resource_error("worker thread " +
                             std::to_string(std::min(started + 1, workers_.size())) + " of " +
                             std::to_string(workers_.size()) + " could not be started: " + refusal +
                             ". Ask for fewer cores or workers_per_core, or raise the limits on "
                             "threads (ulimit -u, pids.max) and memory (ulimit -v)");
    }
    // Nobody sleeps who would have to know.
    phase_.store(phase::open, std::memory_order_seq_cst);
}

void crew::join() noexcept {
    for (const auto& each : workers_) each->join();
}

void crew::advance(phase expected, phase next) noexcept {
    if (phase_.compare_exchange_strong(expected, next, std::memory_order_seq_cst)) wake_everybody();
}

void crew::enter(phase next) noexcept {
    phase_.store(next, std::memory_order_seq_cst);
    wake_everybody();
}

// The notifications are read-modify-writes on the words that sleepers look at, so that a sleeper
// sees the phase or is woken.
void crew::wake_everybody() noexcept {
    full_fence();
    room.notify_all();
    quiet.notify_all();
    for (const auto& each : workers_) each->wake.notify_all();
}

void crew::post(token_node& node, lane which, unsigned home, unsigned worker_hint) noexcept {
    const weight weight_class = node.weight_class;
    at(home).box.push(which, node);
    wake_for(weight_class, home, worker_hint);
}

void crew::wake_for(weight weight_class, unsigned home, unsigned worker_hint) noexcept {
    const std::size_t width = settings_.workers_per_core;
    const unsigned first = first_allowed_[index_of(weight_class)];
    const std::size_t home_first = home * width;
    const auto claimed = [&]() -> std::optional<std::size_t> {
        if (!idle.any(std::min<std::size_t>(first * width, home_first), workers_.size())) {
            return std::nullopt;
        }
        if (const auto w = idle.claim(home_first + worker_hint, home_first + width)) return w;
        if (const auto w = idle.claim(home_first, home_first + worker_hint)) return w;
        for (const unsigned d : at(home).neighbours) {
            if (d < first) continue;
            if (const auto w = idle.claim(d * width, (d + 1) * width)) return w;
        }
        return std::nullopt;
    }();
    if (claimed) workers_[*claimed]->wake.notify_one();
}

void crew::pass_on(unsigned domain_index) noexcept {
    // Each lane, not only the first: those that sleep differ in what they may take.
    const auto wake_for_lanes = [&](unsigned home, lane_mask allowed) {
        for (const weight each : all_weights) {
            const lane which = lane_of(each);
            if ((allowed & bit_of(which)) != 0 && at(home).box.holds(which))
                wake_for(each, home, 0);
        }
    };
    wake_for_lanes(domain_index, fresh_lanes);
    if (at(domain_index).box.holds(lane::retry)) wake_sibling(domain_index);
    for (const unsigned d : at(domain_index).neighbours) {
        wake_for_lanes(d, at(domain_index).stealable);
    }
}

void crew::wake_sibling(unsigned domain_index) noexcept {
    const std::size_t width = settings_.workers_per_core;
    const std::size_t first = domain_index * width;
    if (const auto w = idle.claim(first, first + width)) workers_[*w]->wake.notify_one();
}

void crew::kill_waiting() noexcept {
    for (const auto& each : domains_) {
        for (unsigned l = 0; l < lane_count; ++l) {
            const auto which = static_cast<lane>(l);
            bool marked_again = false;
            while (token_node* node = each->box.pop(which, marked_again)) {
                const std::size_t index = index_of(node->weight_class);
                give_back(each->box.credits(which), 1);
                if (kill_popped(*node)) {
                    give_back(in_flight, 1);
                    // Release: pairs with the acquire of whoever adds the counters up.
                    killed_outside[index].fetch_add(1, std::memory_order_release);
                }
            }
        }
    }
    full_fence();
    tell_quiet();
}

void crew::kill_executing() noexcept {
    for (const auto& each : workers_) {
        each->executing.inspect([&](token_node& node) {
            const std::size_t index = index_of(node.weight_class);
            const auto end = node.state.finish(token_state::killed, false);
            if (!end.won) return;
            // Release: as above.
            killed_outside[index].fetch_add(1, std::memory_order_release);
            wake_waiters(node, end);
        });
    }
    full_fence();
    tell_quiet();
}

std::optional<unsigned> crew::lowest_free(unsigned first) const noexcept {
    const std::size_t width = settings_.workers_per_core;
    const auto found = idle.lowest(first * width, workers_.size());
    if (!found) return std::nullopt;
    return static_cast<unsigned>(*found / width);
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
