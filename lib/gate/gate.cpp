// SPDX-License-Identifier: Apache-2.0
#include "gate/gate.hpp"

#include <chrono>
#include <new>
#include <string>
#include <utility>

#include <tokengate/error.hpp>

#include "domain/worker.hpp"
#include "token/labels.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// Ids and positions are taken from the shared counters in blocks of this size, so that threads
// meet there once in so many tokens.
constexpr std::uint64_t number_block = 64;

// Credit pools wake blocked threads when a quarter is free, since waking them for every place would
// cost far more than the place. Should the rest depend on a blocked thread, a quarter may never
// come free; so it looks again after this time at the latest.
constexpr std::chrono::milliseconds look_again{1};

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
    const operation_label* label = find_label(*operation.label, type);
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
        release(weight_class, room);
        throw;
    }
    if (mine.next_id == mine.end_id) {
        // Relaxed: unique numbers, nothing else.
        mine.next_id = next_id_.fetch_add(number_block, std::memory_order_relaxed);
        mine.end_id = mine.next_id + number_block;
    }
    node->id = mine.next_id++;
    node->operation = &operation;
    node->label = label;
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

void gate::commit(token_node& node) {
    submitter& mine = submitters_.mine();
    const weight weight_class = node.weight_class;
    own_counter& accepted = mine.accepted[index_of(weight_class)];
    // Counted first, then the phase: stop() writes the phase first and then counts. So either it
    // counts this token, and its workers stay, or this sees that the runtime has closed.
    accepted.announce();
    if (crew_.current_phase() != phase::open) [[unlikely]] {
        try {
            open_or_throw(*node.operation);
        } catch (...) {
            accepted.retract();
            full_fence();
            crew_.tell_quiet();
            node.type().drop_arguments(node);
            abandon(node);
            throw;
        }
    }
    node.state.start(token_state::admitted, 2);
    if (node.position == no_position) [[unlikely]] {
        static_cast<void>(node.state.begin_execution());
        worker::current()->execute(node, worker::origin::overflow);
        return;
    }
    const unsigned hint = crew_.chosen().workers_per_core == 1
                              ? 0
                              : placement_.of(weight_class, node.position).worker_hint;
    crew_.post(node, lane_of(weight_class), node.domain.load(std::memory_order_relaxed), hint);
}

void gate::abandon(token_node& node) noexcept {
    release(node.weight_class, {.where = {.domain = node.domain.load(std::memory_order_relaxed)},
                                .run_here = node.position == no_position});
    free_node(node);
}

// The lane first: whoever finds it full has not even for a moment held an in-flight credit, which
// another class could use. The other way round nobody is hurt: without in-flight credits all wait.
bool gate::reserve(submitter& mine, weight weight_class, reservation& room) noexcept {
    if (!reserve_lane(mine, weight_class, room)) return false;
    if (take_in_flight_credit(mine)) return true;
    crew_.give_back(crew_.at(room.where.domain).box.credits(lane_of(weight_class)), 1);
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
    if (mine.in_flight_credits > 0) {
        crew_.give_back(crew_.in_flight, std::exchange(mine.in_flight_credits, 0));
    }
    for (;;) {
        if (self != nullptr) {
            if (self->may_nest() && self->run_one()) {
                if (reserve(mine, weight_class, room)) return true;
                continue;
            }
            if (reserve_beyond(mine, weight_class, room, *self)) return true;
            self->settle_all();
        }
        const event_count::ticket ticket = crew_.room.prepare();
        try {
            open_or_throw(operation);
        } catch (...) {
            crew_.room.cancel();
            throw;
        }
        if (reserve(mine, weight_class, room)) {
            crew_.room.cancel();
            return true;
        }
        crew_.room.wait(ticket, steady_after(look_again));
    }
}

// For a worker that is at the limit and has found nothing to run first: everything in flight may
// be waiting for this very call, so that it must go on somehow.
bool gate::reserve_beyond(submitter& mine, weight weight_class, reservation& room,
                          const worker& self) noexcept {
    // Beyond the in-flight limit, into a lane that has room: a debt, which this thread's next
    // credits pay. One for each token on its stack.
    if (-mine.in_flight_credits < static_cast<std::int64_t>(self.depth()) &&
        reserve_lane(mine, weight_class, room)) {
        --mine.in_flight_credits;
        return true;
    }
    // At once, as a plain call would. It takes no credit and gives none.
    if (self.may_run_class(weight_class)) {
        room = {.where = {.domain = self.domain_index()}, .run_here = true};
        return true;
    }
    return false;
}

void gate::release(weight weight_class, const reservation& room) noexcept {
    if (room.run_here) return;
    crew_.give_back(crew_.at(room.where.domain).box.credits(lane_of(weight_class)), 1);
    crew_.give_back(crew_.in_flight, 1);
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
    if (inside && (now == phase::draining || now == phase::closing)) return;
    throw runtime_stopped(call +
                          (now != phase::stopped ? "while its runtime was stopping"
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
