// SPDX-License-Identifier: Apache-2.0
#include "gate/gate.hpp"

#include <new>
#include <string>

#include <tokengate/error.hpp>

#include "domain/worker.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// Ids and positions are taken from the shared counters in blocks of this size, so that threads
// meet there once in so many tokens.
constexpr std::uint64_t number_block = 64;

}  // namespace

gate::gate(crew& workers, const settings& chosen)
    : crew_(workers), placement_(chosen), submitters_(chosen.cores) {}

token_node* gate::begin(operation_core& operation, const frame_type& type, admission how) {
    if (crew_.current_phase() != phase::open) [[unlikely]]
        open_or_throw(operation);
    submitter& mine = submitters_.mine();
    const weight weight_class = operation.weight_class;
    submitter::position_block& positions = mine.positions[index_of(weight_class)];
    if (positions.next == positions.end) renew_positions(mine, weight_class);

    place wanted = positions.where;
    if (weight_class == weight::heavy) {
        // Front-back fill: the lowest domain that has a free worker; the position if none has.
        if (const auto free = crew_.lowest_free(placement_.range(weight_class).first)) {
            wanted.domain = *free;
        }
    }
    reservation room{.where = wanted};
    if (!reserve(mine, weight_class, room)) [[unlikely]] {
        if (!reserve_slowly(operation, mine, room, how)) {
            mine.refused[index_of(weight_class)].add();
            return nullptr;
        }
    }

    token_node* node = nullptr;
    try {
        node = allocate_node(size_class_of(type.size));
    } catch (const std::bad_alloc&) {
        release(mine, weight_class, room);
        throw;
    }
    if (mine.next_id == mine.end_id) {
        // Relaxed: unique numbers, nothing else.
        mine.next_id = next_id_.fetch_add(number_block, std::memory_order_relaxed);
        mine.end_id = mine.next_id + number_block;
    }
    node->id = mine.next_id++;
    node->type = &type;
    node->operation = &operation;
    node->label = operation.label;
    node->runtime = operation.runtime;
    node->weight_class = weight_class;
    // Relaxed: published with the node.
    node->domain.store(static_cast<std::uint16_t>(room.where.domain), std::memory_order_relaxed);
    if (room.run_here) {
        node->position = no_position;
    } else {
        // Tokens that ran meanwhile on this thread may have used the block up.
        if (positions.next == positions.end) [[unlikely]]
            renew_positions(mine, weight_class);
        node->position = positions.next++;
        positions.where = placement_.after(weight_class, positions.where);
    }
    return node;
}

void gate::commit(token_node& node) noexcept {
    submitter& mine = submitters_.mine();
    const weight weight_class = node.weight_class;
    node.state.start(token_state::admitted, 2);
    mine.accepted[index_of(weight_class)].add();
    if (node.position == no_position) [[unlikely]] {
        static_cast<void>(node.state.begin_execution());
        worker::current()->execute(node, true);
        return;
    }
    const unsigned hint = crew_.chosen().workers_per_core == 1
                              ? 0
                              : placement_.of(weight_class, node.position).worker_hint;
    crew_.post(node, lane_of(weight_class), node.domain.load(std::memory_order_relaxed), hint);
    // The push ended with a full fence, and so did the step to `stopped`: either the sweep that
    // follows that step sees this token, or this sees the step.
    if (crew_.current_phase() == phase::stopped) [[unlikely]]
        crew_.kill_waiting();
}

void gate::abandon(token_node& node) noexcept {
    release(submitters_.mine(), node.weight_class,
            {.where = {.domain = node.domain.load(std::memory_order_relaxed)},
             .run_here = node.position == no_position});
    free_node(node);
}

bool gate::reserve(submitter& mine, weight weight_class, reservation& room) noexcept {
    if (!take_in_flight_credit(mine)) return false;
    if (reserve_lane(mine, weight_class, room)) return true;
    ++mine.in_flight_credits;
    return false;
}

bool gate::reserve_lane(submitter& mine, weight weight_class, reservation& room) noexcept {
    const lane which = lane_of(weight_class);
    if (take_lane_credit(mine, room.where.domain, which)) return true;
    // The lane is full: the next one of the class that is not.
    for (place next = placement_.after(weight_class, room.where); next.domain != room.where.domain;
         next = placement_.after(weight_class, next)) {
        if (take_lane_credit(mine, next.domain, which)) {
            room.where = next;
            return true;
        }
    }
    return false;
}

bool gate::reserve_slowly(const operation_core& operation, submitter& mine, reservation& room,
                          admission how) {
    if (how == admission::refuse) return false;
    const weight weight_class = operation.weight_class;
    worker* self = worker::current();
    if (self != nullptr && &self->owner() != &crew_) self = nullptr;
    for (;;) {
        if (self != nullptr) {
            if (self->may_nest() && self->run_one()) {
                if (reserve(mine, weight_class, room)) return true;
                continue;
            }
            // Nothing left to run first. All that is in flight may wait for this very call, so it
            // goes on beyond the limit: a debt, which the next credits pay.
            if (self->may_run_class(weight_class)) {
                --mine.in_flight_credits;
                room = {.where = {.domain = self->domain_index()}, .run_here = true};
                return true;
            }
            if (reserve_lane(mine, weight_class, room)) {
                --mine.in_flight_credits;
                return true;
            }
        }
        const event_count::ticket ticket = crew_.room.prepare();
        if (crew_.current_phase() != phase::open) {
            crew_.room.cancel();
            open_or_throw(operation);
            if (reserve(mine, weight_class, room)) return true;
            continue;
        }
        if (reserve(mine, weight_class, room)) {
            crew_.room.cancel();
            return true;
        }
        crew_.room.wait(ticket);
    }
}

void gate::release(submitter& mine, weight weight_class, const reservation& room) noexcept {
    ++mine.in_flight_credits;
    if (room.run_here) return;
    ++mine.lane_credits[room.where.domain][static_cast<std::size_t>(lane_of(weight_class))];
}

bool gate::take_lane_credit(submitter& mine, unsigned domain, lane which) noexcept {
    std::int64_t& credits = mine.lane_credits[domain][static_cast<std::size_t>(which)];
    if (credits == 0) {
        credit_pool& pool = crew_.at(domain).box.credits(which);
        credits = pool.take(pool.block(submitters_.size()));
        if (credits == 0) return false;
    }
    --credits;
    return true;
}

bool gate::take_in_flight_credit(submitter& mine) noexcept {
    if (mine.in_flight_credits <= 0) {
        credit_pool& pool = crew_.in_flight;
        mine.in_flight_credits +=
            pool.take(pool.block(submitters_.size()) - mine.in_flight_credits);
        if (mine.in_flight_credits <= 0) return false;
    }
    --mine.in_flight_credits;
    return true;
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
    const worker* self = worker::current();
    const bool inside = self != nullptr && &self->owner() == &crew_;
    // What was admitted may finish, with all that it needs.
    if (now == phase::draining && inside) return;
    throw runtime_stopped(call +
                          (now == phase::draining ? "while its runtime was stopping"
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

void gate::count(std::array<std::uint64_t, weight_count>& accepted,
                 std::array<std::uint64_t, weight_count>& refused) const {
    submitters_.for_each([&](const submitter& each) {
        for (std::size_t i = 0; i < weight_count; ++i) {
            accepted[i] += each.accepted[i].value();
            refused[i] += each.refused[i].value();
        }
    });
}

}  // namespace tokengate::detail
