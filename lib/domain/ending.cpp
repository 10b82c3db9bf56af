// SPDX-License-Identifier: Apache-2.0
#include "domain/ending.hpp"

#include <new>
#include <optional>
#include <utility>

#include <tokengate/detail/inputs.hpp>

#include "dataflow/continuations.hpp"
#include "domain/backlog.hpp"
#include "domain/share.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"
#include "sleep/fence.hpp"

namespace tokengate::detail {

void tell_waiters(token_node& node, const state_word::finished& end) noexcept {
    if (end.wake()) futex_wake_all(node.state.futex());
    if (end.helper()) waiting_workers::notify(&node);
    if (end.followed()) continuations::tell(node);
}

namespace {

void drop_arguments(token_node& node) noexcept {
    if (!node.dependent) {
        node.type().drop_arguments(node);
        return;
    }
    inputs_of(node)->drop();
    if (node.supervised) node.operation->supervised_by->let_go(node);
}

}  // namespace

bool kill_begun(crew& owner, token_node& node, bool owns_reference, bool had_turn,
                end_reasons::prepared* why, token_state outcome,
                std::exception_ptr error) noexcept {
    strand* const line = node.serial ? node.line : nullptr;
    drop_arguments(node);
    release_anchor(owner, node);
    if (error != nullptr) keep_error(node, std::move(error));
    const state_word::finished end = end_for_reason(node, outcome, why, owns_reference);
    if (!end.won && owns_reference) drop_reference(node);
    if (end.last) recycle(node, outcome);
    wake_waiters(node, end);
    if (line != nullptr) {
        if (had_turn) owner.pass_turn(*line);
        owner.strands.leave(*line);
    }
    return end.won;
}

std::optional<end_reasons::prepared> prepare_reason(token_node& node,
                                                    std::string_view reason) noexcept {
    std::optional<end_reasons::prepared> why;
    try {
        if (!reason.empty()) why.emplace(node, reason);
    } catch (const std::bad_alloc&) {
        // Then the error says less.
    }
    return why;
}

unsigned home_of(const token_node& node) noexcept {
    if (node.chained) return node.calls->domain();
    if (node.serial) return node.line->domain();
    return node.pin.domain;
}

kill_result kill_popped(crew& owner, token_node& node, std::string_view reason) noexcept {
    // Beginning it makes the arguments ours: nobody else can run or drop them from now on. It may
    // be paused again at any time before that.
    for (;;) {
        static_cast<void>(node.state.resume());
        if (node.state.begin_execution()) break;
        if (is_pass(node)) {
            node.operation->aside->drop_pass(node);
        } else if (is_share(node)) {
            owner.outside[node.operation->number].killed.add(kill_unclaimed(owner, node, reason));
            drop_reference(node);
        } else if (!drop_if_husk(node)) {
            continue;
        }
        return kill_result::husk;
    }
    auto why = prepare_reason(node, reason);
    return kill_begun(owner, node, true, true, why ? &*why : nullptr) ? kill_result::killed
                                                                      : kill_result::too_late;
}

void crew::pass_turn(strand& line) noexcept {
    while (token_node* next = line.finish()) {
        if (begin_turn(*next)) return;
    }
}

bool crew::begin_turn(token_node& node) noexcept {
    const auto turn = node.state.admit();
    if (turn.done) {
        post(node);
        // Only compared: it may be gone. Who waits for it may be the only one who can run it.
        if (turn.helper) waiting_workers::notify(&node);
        return true;
    }
    const unsigned home = node.domain.load(std::memory_order_relaxed);
    give_back(at(home).box.credits(lane_of(node.weight_class, true)), 1);
    if (turn.aside) {
        if (node.way != route::here) give_back(in_flight, 1);
        keep(node);
        return true;
    }
    // Killed while it waited: what is left of it is a husk.
    drop_husk(node);
    return false;
}

void crew::kill_waiting() noexcept {
    const auto kill_one = [&](token_node& node) {
        outside_counts& counted = outside[node.operation->number];
        const bool has_credit = node.way != route::here;
        const kill_result came = kill_popped(*this, node);
        if (came == kill_result::husk) return;
        if (has_credit) give_back(in_flight, 1);
        if (came == kill_result::killed) counted.killed.add(1);
    };
    for (const auto& home : domains_) {
        for (unsigned l = 0; l < lane_count; ++l) {
            const auto which = static_cast<lane>(l);
            bool marked_again = false;
            source_rota rota;
            while (token_node* node = home->box.pop(which, rota, marked_again)) {
                give_back(home->box.credits(which), 1);
                kill_one(*node);
            }
        }
    }
    for_each_worker([&](worker& each) {
        for (const deque_kind kind : all_deques) {
            while (token_node* node = each.steal(kind)) kill_one(*node);
        }
    });
    full_fence();
    tell_quiet();
}

void crew::kill_executing() noexcept {
    // Workers wait for who looks at what they execute.
    const continuations::later afterwards;
    // A stretch that is not seen below sees the phase.
    heavy_fence();
    for_each_worker([&](worker& each) {
        each.executing.inspect([&](token_node& node) {
            if (is_share(node)) return;
            // Those who wait for its turn are to be killed too, whether it returns or not. Nothing
            // runs any more, so that two of them cannot meet.
            if (node.serial && node.state.end_turn()) pass_turn(*node.line);
            const auto end = node.state.finish(token_state::killed, false);
            if (!end.won) return;
            outside[node.operation->number].killed.add(1);
            wake_waiters(node, end);
        });
        kill_running_stretches(each);
        each.pass_stop_requests_on();
    });
    full_fence();
    tell_quiet();
}

namespace {

// Ends a token that executes, and asks its callable to stop. False if it was terminal already.
// Not counted yet, the token keeps its runtime alive, and its operation with it.
bool end_while_it_runs(token_node& node, token_state outcome, end_reasons::prepared* why) noexcept {
    const state_word::finished end = end_for_reason(node, outcome, why);
    if (!end.won) return false;
    wake_waiters(node, end);
    node.operation->runtime->workers().pass_stop_request_on(node);
    return true;
}

// Ends a token that the caller has marked as doomed: nobody else finishes it. Not counted yet, it
// keeps its runtime alive.
void end_waiting(token_node& node, state_word::condemned found, token_state outcome,
                 end_reasons::prepared* why, std::exception_ptr error = nullptr) noexcept {
    crew& owner = node.operation->runtime->workers();
    // One that ran beyond all limits comes back without a credit.
    if (!found.aside && node.way != route::here) owner.give_back(owner.in_flight, 1);
    const bool had_turn = found.aside || found.was == token_state::admitted;
    // In a child process its lock may be held for ever.
    if (found.aside && node.serial && owner.current_phase() != phase::forked) {
        node.operation->aside->let_line_go(node);
    }
    // Before anybody sees that it has ended, and asks what waits.
    if (found.listed) node.operation->aside->note_death();
    static_cast<void>(kill_begun(owner, node, false, had_turn, why, outcome, std::move(error)));
}

// Counts it. Once it is counted, the runtime may end; not before the list of runtimes is free.
void count_ended(crew& owner, shared_counter& counter) noexcept {
    const auto hold = hold_runtimes();
    counter.add(1, std::memory_order_seq_cst);
    owner.tell_quiet();
}

bool kill(token_node& node, end_reasons::prepared* why) noexcept {
    state_word::condemned found;
    for (;;) {
        found = node.state.begin_killing();
        if (is_terminal(found.was)) return false;
        if (found.was != token_state::executing) break;
        if (end_while_it_runs(node, token_state::killed, why)) break;
        // It has ended by itself, or is to run once more.
        if (is_terminal(node.state.phase())) return false;
    }
    // Not counted yet, the token keeps both alive.
    crew& owner = node.operation->runtime->workers();
    outside_counts& counted = owner.outside[node.operation->number];
    if (found.was != token_state::executing) end_waiting(node, found, token_state::killed, why);
    count_ended(owner, counted.killed);
    return true;
}

// False if it executes or has ended.
bool end_if_waiting(token_node& node, token_state outcome, end_reasons::prepared* why,
                    std::exception_ptr error = nullptr) noexcept {
    const state_word::condemned found = node.state.begin_killing();
    if (found.was >= token_state::executing) return false;
    crew& owner = node.operation->runtime->workers();
    outside_counts& counted = owner.outside[node.operation->number];
    end_waiting(node, found, outcome, why, std::move(error));
    count_ended(owner, counted.of(outcome));
    return true;
}

}  // namespace

bool kill(token_node& node) noexcept { return kill(node, nullptr); }

bool kill_if_waiting(token_node& node, end_reasons::prepared* why) noexcept {
    return end_if_waiting(node, token_state::killed, why);
}

void fail_waiting(token_node& node, std::exception_ptr error) noexcept {
    static_cast<void>(end_if_waiting(node, token_state::failed, nullptr, std::move(error)));
}

void time_out_waiting(token_node& node, std::string_view why) noexcept {
    auto reason = prepare_reason(node, why);
    static_cast<void>(end_if_waiting(node, token_state::timed_out, reason ? &*reason : nullptr));
}

bool kill(token_node& node, std::string_view reason) {
    if (reason.empty()) return kill(node, nullptr);
    end_reasons::prepared why(node, reason);
    return kill(node, &why);
}

std::size_t crew::kill_executing_of(operation_core& operation, std::string_view reason) noexcept {
    std::size_t dead = 0;
    const auto next = [&](worker& each) {
        token_node* found = nullptr;
        each.executing.inspect([&](token_node& node) {
            if (found != nullptr || node.operation != &operation ||
                is_terminal(node.state.phase()) || !operation.aside->condemns(node)) {
                return;
            }
            node.state.retain();
            found = &node;
        });
        return found;
    };
    // What was pushed before is seen.
    heavy_fence();
    for_each_worker([&](worker& each) {
        // One at a time: callbacks run while nothing is held.
        while (token_node* node = next(each)) {
            auto why = prepare_reason(*node, reason);
            end_reasons::prepared* const kept = why ? &*why : nullptr;
            if (is_share(*node)) {
                dead += kill_share(*node, kept).value_or(0);
            } else if (end_while_it_runs(*node, token_state::killed, kept)) {
                ++dead;
                outside[operation.number].killed.add(1, std::memory_order_seq_cst);
                tell_quiet();
            }
            drop_reference(*node);
        }
        // Of shares that somebody else has killed meanwhile, who came to one of their entries.
        if (const std::size_t more = kill_running_stretches_of(operation, each); more != 0) {
            dead += more;
            each.pass_stop_requests_on();
        }
    });
    return dead;
}

bool time_out(token_node& node, std::string_view why) noexcept {
    auto reason = prepare_reason(node, why);
    if (!end_while_it_runs(node, token_state::timed_out, reason ? &*reason : nullptr)) {
        return false;
    }
    crew& owner = node.operation->runtime->workers();
    owner.outside[node.operation->number].timed_out.add(1, std::memory_order_seq_cst);
    owner.tell_quiet();
    return true;
}

}  // namespace tokengate::detail
