// SPDX-License-Identifier: Apache-2.0
#include "gate/gate.hpp"

#include <chrono>
#include <new>
#include <string>
#include <utility>

#include <tokengate/error.hpp>

#include "domain/worker.hpp"
#include "gate/admitting.hpp"
#include "gate/calling.hpp"
#include "locality/chain.hpp"
#include "resilience/health.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"
#include "token/labels.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

gate::gate(crew& workers, const settings& chosen)
    : crew_(workers), placement_(chosen), submitters_(chosen.cores, chosen.operation_limit) {}

token_node* gate::begin(operation_core& operation, const frame_type& type, admission how,
                        call_key key) {
    if (crew_.current_phase() != phase::open) [[unlikely]]
        open_or_throw(operation);
    if (operation.special.load(std::memory_order_relaxed)) {
        // Keys and chains, most often, and nothing else.
        if (operation.only_anchors && !crew_.attention()) {
            return begin_anchored(operation, type, how, key);
        }
        return begin_special(operation, type, how, key);
    }
    return begin_free(operation, type, how);
}

// What most calls are.
token_node* gate::begin_free(operation_core& operation, const frame_type& type, admission how) {
    const auto [mine, self, outer] = calling();
    if (outer != nullptr) return begin_in_chain(operation, type, how, mine, *self, *outer);
    const weight weight_class = operation.weight_class;
    const lane which = lane_of(weight_class, false);
    token_node* node = nullptr;
    if (self != nullptr && !operation.staggered && self->keeps(weight_class)) {
        unsigned domain = self->domain_index();
        if (!placement_.contains(weight_class, domain)) [[unlikely]] {
            // A worker below the range, which may steal from it, keeps what it creates, too: as if
            // that had been placed by turns and stolen at once. It runs it when it is idle.
            domain = next_turn(mine, weight_class).domain;
            static_cast<void>(use_up_position(mine, weight_class));
        }
        node = admit(operation, type, how, mine,
                     {.where = {domain}, .which = which, .way = route::deque}, {});
    } else {
        node = admit(operation, type, how, mine,
                     {.where = next_place(mine, weight_class), .which = which}, {});
        if (node != nullptr && node->way == route::mailbox) [[likely]]
            node->position = use_up_position(mine, weight_class);
    }
    if (node != nullptr) [[likely]]
        node->runtime = operation.runtime;
    return node;
}

token_node* gate::begin_special(operation_core& operation, const frame_type& type, admission how,
                                call_key key) {
    if (operation.supervised) return begin_supervised(operation, type, how, key, 0, nullptr);
    if (!may_come_in(operation, how)) return nullptr;
    token_node* const node = operation.anchors ? begin_in_line(operation, type, how, key)
                                               : begin_free(operation, type, how);
    if (node != nullptr && type.prepare != nullptr) type.prepare(*node);
    return node;
}

// False: refused, and counted.
bool gate::may_come_in(const operation_core& operation, admission how) {
    if (operation.closed.load(std::memory_order_relaxed)) called_from_inside_or_throw(operation);
    if (!is_full(operation) || wait_for_backlog(operation, how)) return true;
    submitters_.mine().counts[operation.number].refused.add();
    return false;
}

token_node* gate::begin_supervised(operation_core& operation, const frame_type& type, admission how,
                                   call_key key, std::size_t bytes, const time_limits* own,
                                   placing when) {
    supervisor& watching = *operation.supervised_by;
    passage leave;
    if (watching.health() != nullptr) {
        if (const auto refusal = watching.health()->enter(leave)) {
            submitters_.mine().counts[operation.number].refused.add();
            throw operation_blocked(*refusal);
        }
    }
    if (!may_come_in(operation, how)) return nullptr;
    // The type of a generic operation's call is that of its callable.
    if (operation.type == nullptr) watching.check(operation.label->name, type);
    const frame_type& used = supervised_frame(type);
    call_limits::hold held(watching.limits(), node_sizes[used.size_class] + bytes);
    if (watching.limits().any() && !pass_limits(operation, how, held)) return nullptr;
    const auto begin_placed = [&] {
        return operation.anchors ? begin_in_line(operation, used, how, key)
                                 : begin_free(operation, used, how);
    };
    token_node* const node =
        when == placing::at_once ? begin_placed() : begin_unplaced(operation, used, how);
    if (node != nullptr) {
        if (type.prepare != nullptr) type.prepare(*node);
        watching.attach(*node, held.move_out(), own);
        leave.move_into(*node);
    }
    return node;
}

// A member of the caller's chain that is nothing else.
token_node* gate::begin_in_chain(operation_core& operation, const frame_type& type, admission how,
                                 submitter& mine, worker& self, chain& outer) {
    const unsigned domain = outer.domain();
    token_node* node = admit(operation, type, how, mine,
                             {.where = {domain},
                              .which = lane_of(operation.weight_class, true),
                              .way = may_stay(&self, domain) ? route::deque : route::mailbox,
                              .fixed = true},
                             {.chained = true});
    if (node == nullptr) return nullptr;
    self.memberships.take(outer);
    node->calls = &outer;
    return node;
}

// Precedence: the chain that it is created in, then its key, then its position.
token_node* gate::begin_anchored(operation_core& operation, const frame_type& type, admission how,
                                 call_key key) {
    const bool sticky = operation.keys != call_keys::none;
    // The line of its slot comes while the rest is prepared.
    if (sticky && !operation.serial) {
        crew_.sticky_keys.prefetch(crew_.sticky_keys.slot_of(key.hash));
    }
    const caller who = calling();
    const auto [mine, self, outer] = who;
    const weight weight_class = operation.weight_class;
    anchorage anchor(crew_);
    reservation room{.which = lane_of(weight_class, true)};
    bool by_position = false;
    if (outer != nullptr) {
        room.where.domain = outer->domain();
    } else {
        room.where = next_place_with_room(mine, weight_class, room.which);
        by_position = true;
    }
    if (sticky) {
        const unsigned candidate = room.where.domain;
        const unsigned shared = anchor.take(operation, key, candidate, outer != nullptr);
        if (outer == nullptr) {
            room.where.domain = shared;
            by_position = anchor.first();
            if (shared != candidate) mine.redirected.add();
        }
    }
    room.fixed = sticky || outer != nullptr;
    room.line = anchor.line();
    if (operation.serial && crew_.attention() &&
        fills_up(operation, *room.line, room.where.domain, room.which) &&
        !wait_for_line(operation, how, *room.line, room.where.domain, room.which)) [[unlikely]] {
        mine.counts[operation.number].refused.add();
        return nullptr;
    }
    if (room.line == nullptr && !by_position && may_stay(self, room.where.domain)) {
        room.way = route::deque;
    }
    token_node* node = admit(operation, type, how, mine, room,
                             {.chained = operation.lead != nullptr || outer != nullptr,
                              .serial = room.line != nullptr,
                              .pinned = anchor.pinned()});
    if (node == nullptr) return nullptr;
    join_chain(*node, operation, who, room, type.size_class);
    anchor.move_into(*node);
    // Tokens that ran meanwhile on this thread may have used the block up.
    if (by_position && node->way == route::mailbox) use_up_position(mine, weight_class);
    return node;
}

// An anchored token whose domain is that of the worker that creates it stays there.
bool gate::may_stay(const worker* self, unsigned domain) noexcept {
    return self != nullptr && domain == self->domain_index() &&
           self->has_room(deque_kind::anchored);
}

void gate::commit(token_node& node, holders held_by) {
    submitter& mine = submitters_.mine();
    own_counter& accepted = mine.counts[node.operation->number].accepted;
    if (!crew_.count_call(accepted)) [[unlikely]]
        commit_or_throw(node, accepted);
    if (node.commits_specially()) [[unlikely]] {
        if (node.supervised) {
            commit_supervised(node, held_by, mine);
        } else {
            commit_serial(node, static_cast<std::uint32_t>(held_by));
        }
        return;
    }
    node.state.start(token_state::admitted, static_cast<std::uint32_t>(held_by));
    put(node, mine);
}

// Where it is to be taken from. It may be gone afterwards.
void gate::put(token_node& node, submitter& mine) {
    if (node.way == route::mailbox) {
        const weight weight_class = node.weight_class;
        const bool anchored = node.anchored();
        const unsigned hint = crew_.chosen().workers_per_core == 1 || anchored
                                  ? 0
                                  : placement_.of(weight_class, node.position).worker_hint;
        const unsigned home = node.domain.load(std::memory_order_relaxed);
        const lane which = lane_of(weight_class, anchored);
        crew_.post(node, home, which, *mine.at(home, which).box, hint);
        return;
    }
    worker& self = *worker::current();
    if (node.way == route::deque && self.keep(node)) [[likely]]
        return;
    // Beyond the limits; or what its arguments' constructors have called has filled the deque.
    self.run(node);
}

// The runtime is closing, or has closed since begin().
void gate::commit_or_throw(token_node& node, own_counter& accepted) {
    try {
        stay_or_retract(*node.operation, accepted, 1);
    } catch (...) {
        drop_uncommitted(node);
        throw;
    }
}

// So many tokens have been counted, and the runtime was not open afterwards: counts them back,
// unless they may come in all the same.
void gate::stay_or_retract(const operation_core& operation, own_counter& accepted,
                           std::uint64_t count) {
    // For the look at what this thread executes, which kill() ends without a heavy fence.
    full_fence();
    try {
        open_or_throw(operation);
    } catch (...) {
        retract(accepted, count);
        throw;
    }
}

void gate::retract(own_counter& accepted, std::uint64_t count) noexcept {
    accepted.retract(count);
    full_fence();
    crew_.tell_quiet();
}

void gate::commit_serial(token_node& node, std::uint32_t references) {
    node.state.start(token_state::waiting, references);
    // Nobody has a handle yet who could have killed it.
    if (node.line->submit(node) && node.state.admit().done) crew_.post(node);
}

void gate::commit_supervised(token_node& node, holders held_by, submitter& mine) {
    supervisor& watching = *node.operation->supervised_by;
    // One for its supervisor, and one for the step that tells it.
    const auto references = static_cast<std::uint32_t>(held_by) + 2;
    if (node.serial) {
        commit_serial(node, references);
    } else {
        node.state.start(token_state::admitted, references);
        put(node, mine);
    }
    watching.commit(node);
}

// Apart, so that put() is compiled into commit() alone.
void gate::put_started(token_node& node) { put(node, submitters_.mine()); }

void gate::abandon(token_node& node) noexcept {
    if (node.supervised) node.operation->supervised_by->give_up(node);
    if (node.chained) node.calls->leave_and_release();
    if (node.serial) crew_.strands.leave(*node.line);
    if (node.pinned) crew_.sticky_keys.release(node.pin.slot);
    release(node.domain.load(std::memory_order_relaxed),
            lane_of(node.weight_class, node.anchored()), node.way);
    free_node(node, node.type().size_class);
}

held_key gate::hold(operation_core& operation, call_key key) {
    if (operation.keys == call_keys::none) {
        throw operation_error("hold() was asked of operation '" + operation.label->name +
                              "', which has no keys to hold: declare it with .sticky");
    }
    if (crew_.current_phase() != phase::open) open_or_throw(operation);
    submitter& mine = submitters_.mine();
    // By position for heavy keys too: nothing is queued, so that the lowest idle domain would get
    // them all.
    const unsigned candidate = next_turn(mine, operation.weight_class).domain;
    anchorage anchor(crew_);
    const unsigned domain = anchor.take(operation, key, candidate, false);
    if (anchor.first()) use_up_position(mine, operation.weight_class);
    return anchor.move_into_hold(*operation.runtime, domain);
}

// For what will stay where it is put: the first place, from the next position on, whose lane seems
// to have room.
place gate::next_place_with_room(submitter& mine, weight weight_class, lane which) noexcept {
    const place wanted = next_place(mine, weight_class);
    place here = wanted;
    do {
        if (mine.at(here.domain, which).credits > 0 ||
            crew_.at(here.domain).box.credits(which).available() > 0) {
            return here;
        }
        here = placement_.after(weight_class, here);
    } while (here.domain != wanted.domain);
    return wanted;
}

// What was admitted may finish, with all that it needs; what was killed while it executes may not.
// (The call has been counted before this look, the kill is counted after its own step: so stop()
// counts the call, or this sees the kill.)
bool gate::called_from_inside() const noexcept {
    const worker* self = worker::current();
    return self != nullptr && &self->owner() == &crew_ && self->executes_live();
}

void gate::called_from_inside_or_throw(const operation_core& operation) const {
    if (called_from_inside()) return;
    throw operation_drained("operation '" + operation.label->name +
                            "' was called after drain(). Nothing was accepted: call resume() on it "
                            "first");
}

void gate::open_or_throw(const operation_core& operation) const {
    const phase now = crew_.current_phase();
    if (now == phase::open) return;
    const std::string call = "operation '" + operation.label->name + "' was called ";
    if (now == phase::forked) {
        throw runtime_forked(call +
                             "in a child process after fork(), where the runtime has no workers. "
                             "Nothing was accepted: create a new runtime in the child");
    }
    if (called_from_inside() && (now == phase::draining || now == phase::closing)) return;
    throw runtime_stopped(call +
                          (now != phase::stopped ? "while its runtime was stopping or draining"
                                                 : "after its runtime had stopped") +
                          ". Nothing was accepted: call start() first, or keep the runtime running "
                          "until the last call");
}

void gate::renew_positions(submitter& mine, weight weight_class) noexcept {
    submitter::position_block& block = mine.positions[index_of(weight_class)];
    // Relaxed: unique numbers, nothing else.
    block.next =
        next_position_[index_of(weight_class)].fetch_add(number_block, std::memory_order_relaxed);
    block.end = block.next + number_block;
    block.where = placement_.of(weight_class, block.next);
}

std::uint64_t gate::accepted(std::uint32_t operations) const {
    std::uint64_t sum = 0;
    submitters_.for_each([&](const submitter& each) {
        for (std::uint32_t i = 0; i < operations; ++i) sum += each.counts[i].accepted.value();
    });
    return sum;
}

void gate::count(std::uint32_t first, std::span<operation_stats> operations) const {
    submitters_.for_each([&](const submitter& each) {
        for (std::size_t i = 0; i < operations.size(); ++i) {
            const call_counts& calls = each.counts[first + i];
            operations[i].counts.accepted += calls.accepted.value();
            operations[i].counts.refused += calls.refused.value();
        }
    });
}

id_horizon gate::horizon() const {
    id_horizon before;
    // Acquire: see submitter::in_store().
    before.next = next_id_.load(std::memory_order_acquire);
    submitters_.for_each([&](const submitter& each) {
        const auto numbers = each.in_store();
        if (numbers.first != numbers.second) before.in_store.push_back(numbers);
    });
    return before;
}

std::uint64_t gate::redirected() const {
    std::uint64_t sum = 0;
    submitters_.for_each([&](const submitter& each) { sum += each.redirected.value(); });
    return sum;
}

token_node* begin_call(operation_core& operation, const frame_type& type, admission how,
                       call_key key) {
    return operation.runtime->entrance().begin(operation, type, how, key);
}

void commit_call(token_node& node, holders held_by) {
    node.operation->runtime->entrance().commit(node, held_by);
}

}  // namespace tokengate::detail
