// SPDX-License-Identifier: Apache-2.0
// How a worker sleeps when there is nothing to do, and how it waits for a token.
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>

#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "domain/waiters.hpp"
#include "domain/worker.hpp"
#include "resilience/supervisor.hpp"

namespace tokengate::detail {

namespace {

// How often a spinning worker reads the clock, in pauses.
constexpr int pauses_per_look = 32;

}  // namespace

void worker::rest() noexcept {
    settle_all();
    const event_count::ticket ticket = wake.look();
    idle_.announce();
    if (token_node* node = find()) {
        withdraw();
        run(*node);
        return;
    }
    // It steps back rather than sleep, if that came before it announced itself.
    if (reserve_ && home_.surplus > 0) {
        withdraw();
        return;
    }
    tell_all();
    {
        const pause waiting(*this);
        if (!spin_until_woken(ticket) && crew_.current_phase() != phase::stopped) {
            parked.add();
            wake.park(ticket);
        }
    }
    withdraw();
}

// Between what this worker has counted and given back, and its sleep or end: those who wait for
// that look again.
void worker::tell_all() noexcept {
    full_fence();
    crew_.tell_quiet();
    crew_.tell_room();
}

// Leaves the idle set. If somebody has claimed this worker, it is counted on for a token that it
// may not be the one to take.
void worker::withdraw() noexcept {
    if (!idle_.withdraw()) owes_ = true;
}

// Whoever was claimed, or has set a mailbox's hint again, pays before it runs anything: others may
// sleep that were not woken because of it.
void worker::pay() noexcept {
    if (owes_) [[unlikely]] {
        owes_ = false;
        crew_.pass_on(home_.number);
    }
}

bool worker::spin_until_woken(event_count::ticket taken) const noexcept {
    const std::chrono::nanoseconds limit = crew_.chosen().spin_time;
    if (limit.count() == 0) return wake.happened_since(taken);
    const steady_ns until = steady_now() + limit.count();
    do {
        for (int i = 0; i < pauses_per_look; ++i) {
            if (wake.happened_since(taken)) return true;
            cpu_pause();
        }
        // A thread that has work may want this core, the submitter above all.
        std::this_thread::yield();
    } while (steady_now() < until);
    return wake.happened_since(taken);
}

bool worker::begin_blocking() noexcept {
    if (blocked_.fetch_add(1) == 0) replaced_ = crew_.stand_in(home_.number);
    return replaced_;
}

void worker::end_blocking() noexcept {
    if (blocked_.fetch_sub(1) == 1) crew_.step_back(home_.number);
}

deque_marks worker::marks() noexcept {
    deque_marks now;
    for (std::size_t i = 0; i < all_deques.size(); ++i) now.of[i] = at(all_deques[i]).mark();
    return now;
}

worker::isolation::~isolation() { owner_.isolation_ = outer_; }

bool worker::run_newest(token_node& awaited, bool alone) noexcept {
    // What is on this deque is this runtime's, has not begun, and may run here.
    const token_node::ties seen = awaited.glance();
    if (seen.way != route::deque || has_turn() || crew_.attention() ||
        !at(kind_of(awaited, seen)).pop_if(awaited)) {
        return false;
    }
    if (owes_) [[unlikely]]
        pay();
    if (alone && awaited.state.begin_alone()) {
        execute(awaited, grip::alone);
        return true;
    }
    run(awaited);
    return is_terminal(awaited.state.phase());
}

// What may wait in a backlog begins when its entry is taken; what may be put back had better.
bool worker::begins_in_place(const token_node& node, bool alone) const noexcept {
    return (alone || !node.operation->needs_entries) && !node.state.paused() &&
           !(crew_.attention() &&
             (node.operation->aside->attends() || node.operation->aside->condemns(node)));
}

bool worker::run_awaited(token_node& awaited, bool alone) noexcept {
    // The newest of its deque, most often: fork and join.
    if (!may_run(awaited)) return false;
    const token_node::ties seen = awaited.glance();
    if (seen.way == route::deque && at(kind_of(awaited, seen)).pop_if(awaited)) {
        run(awaited);
        return is_terminal(awaited.state.phase());
    }
    if (!begins_in_place(awaited, alone)) return run_claimed(awaited, alone, std::nullopt);
    // Its entry in a mailbox or deque becomes a husk.
    if (!awaited.state.begin_execution_leaving_husk()) return run_share(awaited, std::nullopt);
    if (crew_.current_phase() >= phase::killing) [[unlikely]] {
        run_counts& counted = counts_of(awaited);
        in_flight_purse.earn();
        if (kill_begun(crew_, awaited, false, true)) counted.killed.add();
    } else {
        execute(awaited, grip::husk);
    }
    return is_terminal(awaited.state.phase());
}

// With tokens beneath that wait.
void worker::sleep_on_stack(event_count::ticket taken, std::optional<steady_ns> deadline) noexcept {
    full_fence();
    crew_.tell_room();
    const pause waiting(*this);
    if (!spin_until_woken(taken)) wake.park(taken, deadline);
}

// About to sleep in a wait that stays isolated: it will take nothing out of lanes, whoever blocks.
// What it waits for may need somebody who does, here or in another domain. Alone is who tries what
// it can because there is none here.
void worker::count_token_wait(std::optional<crew::token_wait>& counted, bool& alone) noexcept {
    if (!counted) {
        counted.emplace(crew_);
    } else if (alone) {
        crew_.relieve();
    }
    alone = alone && crew_.is_deserted(home_.number);
}

wait_end worker::wait_for(token_node& awaited, std::optional<steady_ns> deadline) noexcept {
    const auto done = [&] { return is_terminal(awaited.state.phase()); };
    const auto late = [&] { return deadline && steady_now() >= *deadline; };
    // Too deep, or isolated: it sleeps, and somebody else does the work of its domain meanwhile. If
    // there is nobody, it goes deeper rather than wait for what it might have to do itself.
    std::optional<substitute> other;
    std::optional<crew::token_wait> counted;
    bool alone = false;
    while (!done() && !late()) {
        const bool open = isolation_ == nullptr && (may_nest() || alone);
        if (open ? run_one() : help()) continue;
        // Its turn may have come since: a token of a strand, above all.
        if (deadline && is_share(awaited)) {
            if (may_run(awaited) &&
                (begins_in_place(awaited, alone) ? run_share(awaited, deadline)
                                                 : run_claimed(awaited, alone, deadline))) {
                break;
            }
        } else if (run_awaited(awaited, alone)) {
            break;
        }
        settle_all();
        const auto ours = [&] { return runtime_of(awaited) == runtime(); };
        if (!open && crew_.attention() && ours() && kill_condemned(awaited)) break;
        if (!open && !other) {
            other.emplace(*this);
            alone = !other->found();
            if (alone) continue;
        }
        std::optional<waiting_workers::entry> listed(std::in_place, awaited, wake, executing,
                                                     deadline.has_value());
        const event_count::ticket ticket = wake.look();
        const token_state seen = state_word::phase_of(awaited.state.announce_helper());
        if (is_terminal(seen)) break;
        if (listed->closes_a_cycle()) return wait_end::deadlock;
        // Its turn has come since; from now on whoever brings that about notifies this worker.
        if (seen == token_state::admitted && may_run(awaited) && begins_in_place(awaited, alone)) {
            continue;
        }
        std::optional<backlog::claimant> claims;
        if (open) {
            idle_.announce();
            if (token_node* node = find()) {
                withdraw();
                listed.reset();
                run(*node);
                continue;
            }
        } else {
            if (!alone && crew_.is_deserted(home_.number)) {
                alone = true;
                continue;
            }
            if (ours()) {
                claims.emplace(*awaited.operation->aside, wake);
                if (may_go_on(awaited, alone)) continue;
            }
            if (isolation_ != nullptr) count_token_wait(counted, alone);
        }
        sleep_on_stack(ticket, deadline);
        if (open) withdraw();
    }
    pay();
    return done() ? wait_end::terminal : wait_end::late;
}

void worker::help_until(bool (*done)(const void*), const void* what,
                        const deque_marks& begun) noexcept {
    const bool stays_isolated = isolation_ != nullptr || has_turn();
    std::optional<isolation> limits(std::in_place, *this, begun);
    // Nobody stands in: better deeper than not at all. But nothing foreign runs on top of a turn.
    bool alone = false;
    const auto go_deeper = [&] {
        alone = true;
        if (!has_turn()) limits.reset();
    };
    std::optional<substitute> other;
    std::optional<crew::token_wait> counted;
    while (!done(what)) {
        const bool open = alone && isolation_ == nullptr;
        if (open ? run_one() : help()) continue;
        settle_all();
        if (!other) {
            other.emplace(*this);
            if (!other->found()) {
                go_deeper();
                continue;
            }
        }
        const event_count::ticket ticket = wake.look();
        if (done(what)) break;
        if (open) {
            idle_.announce();
            if (token_node* node = find()) {
                withdraw();
                run(*node);
                continue;
            }
        } else if (!alone && crew_.is_deserted(home_.number)) {
            go_deeper();
            continue;
        } else if (stays_isolated) {
            count_token_wait(counted, alone);
        }
        sleep_on_stack(ticket, std::nullopt);
        if (open) withdraw();
    }
    pay();
}

}  // namespace tokengate::detail
