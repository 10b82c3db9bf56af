// SPDX-License-Identifier: Apache-2.0
// Calls that wait for other tokens, and the places of those. Protocol: lib/dataflow/README.md.
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include <tokengate/detail/inputs.hpp>

#include "domain/ending.hpp"
#include "domain/worker.hpp"
#include "gate/admitting.hpp"
#include "gate/calling.hpp"
#include "gate/gate.hpp"
#include "locality/chain.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

token_node* gate::begin_dependent(operation_core& operation, const frame_type& type, admission how,
                                  std::size_t bytes) {
    if (crew_.current_phase() != phase::open) open_or_throw(operation);
    if (operation.supervised) {
        return begin_supervised(operation, type, how, {}, bytes, nullptr, placing::by_its_inputs);
    }
    if (operation.special.load(std::memory_order_relaxed) && !may_come_in(operation, how)) {
        return nullptr;
    }
    token_node* const node = begin_unplaced(operation, type, how);
    if (node != nullptr && type.prepare != nullptr) type.prepare(*node);
    return node;
}

// It has room in the runtime, and is in the chain of its caller; a lead has its domain, too.
token_node* gate::begin_unplaced(operation_core& operation, const frame_type& type, admission how) {
    const caller who = calling();
    const auto [mine, self, outer] = who;
    const bool leads = operation.lead != nullptr;
    const unsigned domain =
        outer != nullptr ? outer->domain() : next_turn(mine, operation.weight_class).domain;
    const reservation room{.where = {domain}, .way = route::deque};
    token_node* const node =
        admit(operation, type, how, mine, room, {.chained = leads || outer != nullptr});
    if (node == nullptr) return nullptr;
    // What goes beyond all limits is not run here and now.
    node->domain.store(static_cast<std::uint16_t>(domain), std::memory_order_relaxed);
    join_chain(*node, operation, who, room, type.size_class);
    if (leads && outer == nullptr) {
        static_cast<void>(use_up_position(mine, operation.weight_class));
    }
    return node;
}

void gate::commit_dependent(token_node& node, holders held_by, std::unique_ptr<inputs> waits_for) {
    own_counter& accepted = submitters_.mine().counts[node.operation->number].accepted;
    if (!crew_.count_call(accepted)) {
        try {
            stay_or_retract(*node.operation, accepted, 1);
        } catch (...) {
            abandon(node);
            throw;
        }
    }
    const bool supervised = node.supervised;
    // As in commit_supervised().
    const unsigned more = supervised ? 2 : 0;
    node.dependent = true;
    inputs& record = *(inputs_of(node) = waits_for.release());
    supervisor& watching = *node.operation->supervised_by;
    node.state.start(token_state::waiting, static_cast<std::uint32_t>(held_by) + more);
    record.await(node);
    if (supervised) watching.commit(node);
}

void gate::place_dependent(token_node& node, inputs& record) noexcept {
    landing where;
    anchorage anchor(crew_);
    anchorage until_it_is_in_line(crew_);
    std::exception_ptr error;
    bool built = false;
    try {
        record.build(node);
        built = true;
        where = find_landing(node, record, anchor, until_it_is_in_line);
    } catch (...) {
        error = std::current_exception();
    }
    if (error == nullptr) {
        record.let_go();
        land(node, anchor, where);
    } else {
        give_up_placing(node, record, built, std::move(error));
    }
}

// Where it goes. As for any call from here on: begin_free(), begin_anchored().
gate::landing gate::find_landing(token_node& node, const inputs& record, anchorage& anchor,
                                 anchorage& second) {
    const operation_core& operation = *node.operation;
    const weight weight_class = operation.weight_class;
    submitter& mine = submitters_.mine();
    worker* const self = worker::current_of(crew_);
    const bool sticky = operation.keys != call_keys::none;
    const bool anchored = node.chained || sticky;
    landing found{.which = lane_of(weight_class, anchored)};
    bool by_position = false;
    if (node.chained) {
        found.domain = node.domain.load(std::memory_order_relaxed);
    } else if (!anchored && self != nullptr && !operation.staggered && self->keeps(weight_class)) {
        const unsigned here = self->domain_index();
        by_position = !placement_.contains(weight_class, here);
        found.domain = by_position ? next_turn(mine, weight_class).domain : here;
        if (by_position) static_cast<void>(use_up_position(mine, weight_class));
        found.on_deque = true;
        return found;
    } else {
        found.domain = next_place(mine, weight_class).domain;
        by_position = true;
    }
    if (sticky) {
        const call_key key = record.key(node);
        const unsigned candidate = found.domain;
        const unsigned shared = anchor.take(operation, key, candidate, node.chained);
        if (!node.chained) {
            found.domain = shared;
            by_position = anchor.first();
            if (shared != candidate) mine.redirected.add();
        }
        if (operation.serial) static_cast<void>(second.take(operation, key, shared, true));
    }
    found.on_deque = anchored && anchor.line() == nullptr && may_stay(self, found.domain);
    if (by_position && !found.on_deque) {
        const std::uint64_t position = use_up_position(mine, weight_class);
        if (!anchored) found.position = position;
    }
    return found;
}

// Nobody else touches it, until the state word says so.
void gate::land(token_node& node, anchorage& anchor, const landing& where) noexcept {
    node.domain.store(static_cast<std::uint16_t>(where.domain), std::memory_order_relaxed);
    strand* const line = anchor.line();
    anchor.settle(node, where.position);
    credit_pool& credits = crew_.at(where.domain).box.credits(where.which);
    const bool counted = node.way != route::here;
    const auto turn = node.state.end_placing(line != nullptr);
    if (line != nullptr) {
        if (!turn.done) {
            clear_away(node);
            return;
        }
        credits.take_beyond(1);
        if (line->submit(node) && !crew_.begin_turn(node)) crew_.pass_turn(*line);
        return;
    }
    if (turn.aside) {
        if (counted) crew_.give_back(crew_.in_flight, 1);
        crew_.keep(node);
        return;
    }
    if (!turn.done) {
        clear_away(node);
        return;
    }
    worker* const self = worker::current_of(crew_);
    if (!where.on_deque || !self->keep(node)) {
        credits.take_beyond(1);
        crew_.post(node);
    }
    // As in readmit().
    if (turn.helper) waiting_workers::notify(&node);
}

// Somebody has ended it, and counted it, while it was placed.
void gate::clear_away(token_node& node) noexcept {
    if (node.way != route::here) crew_.give_back(crew_.in_flight, 1);
    static_cast<void>(kill_begun(crew_, node, true, false));
}

// There are no arguments, or no place for it: it fails.
void gate::give_up_placing(token_node& node, inputs& record, bool built,
                           std::exception_ptr error) noexcept {
    // From here on it has arguments, or nothing instead.
    if (built) node.type().drop_arguments(node);
    if (!built && node.supervised) node.operation->supervised_by->let_go(node);
    node.settle(false, false, no_position);
    record.let_go();
    if (node.way != route::here) crew_.give_back(crew_.in_flight, 1);
    shared_counter& failed = crew_.outside[node.operation->number].failed;
    release_anchor(crew_, node);
    keep_error(node, std::move(error));
    const state_word::finished end = node.state.finish(token_state::failed, true);
    if (!end.won) {
        // Whoever killed it has counted it.
        node.type().drop_outcome(node, token_state::failed);
        drop_reference(node);
        return;
    }
    if (end.last) recycle(node, token_state::failed);
    wake_waiters(node, end);
    failed.add(1, std::memory_order_seq_cst);
    crew_.tell_quiet();
}

token_node* begin_dependent_call(operation_core& operation, const frame_type& type, admission how,
                                 std::size_t bytes) {
    return operation.runtime->entrance().begin_dependent(operation, type, how, bytes);
}

void commit_dependent_call(token_node& node, holders held_by, std::unique_ptr<inputs> waits_for) {
    node.operation->runtime->entrance().commit_dependent(node, held_by, std::move(waits_for));
}

}  // namespace tokengate::detail
