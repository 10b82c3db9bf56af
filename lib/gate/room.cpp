// SPDX-License-Identifier: Apache-2.0
// Room for a token: how a call gets it, and what it does while there is none.
#include <cstdint>
#include <optional>
#include <utility>

#include "domain/worker.hpp"
#include "gate/gate.hpp"
#include "locality/strands.hpp"
#include "resilience/supervisor.hpp"

namespace tokengate::detail {

// Credit pools wake blocked threads when a quarter is free, since waking them for every place would
// cost far more than the place. Should the rest depend on a blocked thread, a quarter may never
// come free; so here they look again by themselves.

// The lane first: whoever finds it full has not even for a moment held an in-flight credit, which
// another class could use. The other way round nobody is hurt: without in-flight credits all wait.
bool gate::reserve(submitter& mine, weight weight_class, reservation& room) {
    if (room.way == route::deque) return take_in_flight_credit(mine);
    // Looked at first, because a lane's credit that is given back wakes those who wait for room: a
    // caller who waits for one in flight would wake itself, again and again.
    if (mine.in_flight_credits <= 0 && !crew_.in_flight.seems_to_have_room()) return false;
    if (!reserve_lane(mine, weight_class, room)) return false;
    if (take_in_flight_credit(mine)) return true;
    crew_.give_back(crew_.at(room.where.domain).box.credits(room.which), 1);
    return false;
}

bool gate::reserve_lane(submitter& mine, weight weight_class, reservation& room) {
    if (take_lane_credit(mine, room.where.domain, room.which)) return true;
    if (room.fixed) return false;
    // The lane is full: the next one of the class that is not.
    for (place next = placement_.after(weight_class, room.where); next.domain != room.where.domain;
         next = placement_.after(weight_class, next)) {
        if (take_lane_credit(mine, next.domain, room.which)) {
            room.where = next;
            return true;
        }
    }
    return false;
}

bool gate::reserve_slowly(const operation_core& operation, reservation& room, admission how) {
    const weight weight_class = operation.weight_class;
    submitter& mine = submitters_.mine();
    worker* const self = worker::current_of(crew_);
    if (room.way == route::mailbox) open_box(mine, room.where.domain, room.which);
    if (reserve(mine, weight_class, room)) return true;
    // What workers have collected and not given back may do: that of this lane, or of another one
    // of the class.
    const auto collect_and_reserve = [&] {
        crew_.collect_finished();
        if (room.way == route::mailbox) crew_.collect(room.where.domain, room.which);
        if (reserve(mine, weight_class, room)) return true;
        if (room.way != route::mailbox || room.fixed) return false;
        const core_range& cores = placement_.range(weight_class);
        const unsigned tried = room.where.domain;
        for (unsigned d = cores.first; d < cores.last; ++d) {
            if (d == tried) continue;
            crew_.collect(d, room.which);
            if (reserve(mine, weight_class, room)) return true;
        }
        return false;
    };
    if (collect_and_reserve()) return true;
    if (how == admission::refuse) return false;
    if (mine.in_flight_credits > 0) {
        crew_.give_back(crew_.in_flight, std::exchange(mine.in_flight_credits, 0));
    }
    std::optional<blocking_section> blocked;
    std::optional<worker::isolation> limits;
    if (self != nullptr && self->has_turn()) limits.emplace(*self);
    bool stalled = false;  // a millisecond has passed without room
    for (;;) {
        if (self != nullptr) {
            if (self->help()) {
                if (reserve(mine, weight_class, room)) return true;
                continue;
            }
            if (collect_and_reserve()) return true;
            if (reserve_beyond(mine, weight_class, room, *self, stalled)) return true;
            self->settle_all();
        }
        if (!blocked) blocked.emplace();
        if (collect_and_reserve()) return true;
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
        std::optional<worker::pause> waiting;
        if (self != nullptr) waiting.emplace(*self);
        stalled = !crew_.room.wait(ticket, steady_after(look_again));
    }
}

// Of tokens that have no room of the runtime's: those that are aside, and those that back off.
bool gate::is_full(const operation_core& operation) const noexcept {
    return operation.aside->size() + operation.supervised_by->between_attempts() >=
           crew_.chosen().in_flight_limit;
}

// Those that wait for the turn of a paused token keep their room: so they get half of what there is
// at most, never the last place, and the rest is for others.
bool gate::fills_up(const operation_core& operation, const strand& line, unsigned domain,
                    lane which, std::int64_t taken) noexcept {
    if (!operation.aside->paused() && !line.held_up()) return false;
    const auto half_gone = [&](const credit_pool& pool) {
        const std::int64_t left = pool.available() + taken;
        return left <= 1 || 2 * left <= pool.total();
    };
    return half_gone(crew_.in_flight) || half_gone(crew_.at(domain).box.credits(which));
}

// So many tokens of this operation wait that no more are taken. False: refused.
template <class Full>
bool gate::wait_while(const operation_core& operation, admission how, Full&& is_so) {
    if (how == admission::refuse) return false;
    worker* const self = worker::current_of(crew_);
    std::optional<blocking_section> blocked;
    for (;;) {
        if (!is_so()) return true;
        if (self != nullptr) {
            self->settle_all();
            // What the worker could do for those that wait nobody else may do: then rather beyond
            // the limit.
            if (crew_.all_pause_but(*self)) return true;
        }
        if (!blocked) blocked.emplace();
        const event_count::ticket ticket = crew_.room.prepare();
        try {
            open_or_throw(operation);
        } catch (...) {
            crew_.room.cancel();
            throw;
        }
        std::optional<worker::pause> waiting;
        if (self != nullptr) waiting.emplace(*self);
        // A backlog tells nobody that it has shrunk.
        static_cast<void>(crew_.room.wait(ticket, steady_after(look_again)));
    }
}

bool gate::wait_for_backlog(const operation_core& operation, admission how) {
    return wait_while(operation, how, [&] { return is_full(operation); });
}

bool gate::wait_for_line(const operation_core& operation, admission how, const strand& line,
                         unsigned domain, lane which) {
    return wait_while(operation, how, [&] { return fills_up(operation, line, domain, which); });
}

// An anchored token, which may have to wait behind a paused one.
token_node* gate::begin_in_line(operation_core& operation, const frame_type& type, admission how,
                                call_key key) {
    for (;;) {
        token_node* const node = begin_anchored(operation, type, how, key);
        // What workers call may go beyond.
        if (node == nullptr || !node->serial || worker::current_of(crew_) != nullptr) return node;
        // Several may have come in at once.
        const unsigned home = node->domain.load(std::memory_order_relaxed);
        if (!fills_up(operation, *node->line, home, lane_of(node->weight_class, true), 1)) {
            return node;
        }
        abandon(*node);
    }
}

// For a worker that is at the limit and has found nothing to run first: everything in flight may
// be waiting for this very call, so that it must go on somehow.
bool gate::reserve_beyond(submitter& mine, weight weight_class, reservation& room,
                          const worker& self, bool stalled) {
    // Beyond the in-flight limit: a debt, which this thread's next credits pay. One for each token
    // on its stack; likewise for the lane, where no other will do.
    const auto most_debt = static_cast<std::int64_t>(self.depth());
    std::int64_t& lane_credits = mine.at(room.where.domain, room.which).credits;
    if (-mine.in_flight_credits < most_debt) {
        bool placed = room.way == route::deque || reserve_lane(mine, weight_class, room);
        if (!placed && room.fixed && -lane_credits < most_debt) {
            --lane_credits;
            placed = true;
        }
        if (placed) {
            --mine.in_flight_credits;
            return true;
        }
    }
    // At once, as a plain call would. It takes no credit and gives none.
    const bool may_run_here =
        room.fixed ? room.where.domain == self.domain_index() : self.may_run_class(weight_class);
    if (may_run_here && room.line == nullptr) {
        room.where = {.domain = self.domain_index()};
        room.way = route::here;
        return true;
    }
    // Beyond both limits: what fills them waits for the turn that this worker has, or for whoever
    // waits for this call. (That all others pause may also be because one that was woken does not
    // run yet; so this is not the first thing to be tried.)
    if ((room.line != nullptr && self.executing.holds_turn_of(*room.line)) ||
        (stalled && crew_.all_pause_but(self))) {
        if (room.way == route::mailbox) --lane_credits;
        --mine.in_flight_credits;
        return true;
    }
    return false;
}

void gate::release(unsigned domain, lane which, route way) noexcept {
    if (way == route::here) return;
    if (way == route::mailbox) crew_.give_back(crew_.at(domain).box.credits(which), 1);
    crew_.give_back(crew_.in_flight, 1);
}

// Whoever has room in a lane has an outbox there.
void gate::open_box(submitter& mine, unsigned domain, lane which) {
    mailbox::source*& box = mine.at(domain, which).box;
    if (box == nullptr) box = &crew_.at(domain).box.open(which);
}

bool gate::take_lane_credit(submitter& mine, unsigned domain, lane which) {
    std::int64_t& credits = mine.at(domain, which).credits;
    if (credits <= 0) {
        open_box(mine, domain, which);
        credit_pool& pool = crew_.at(domain).box.credits(which);
        credits += pool.take(pool.block(submitters_.size()) - credits);
        if (credits <= 0) return false;
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

}  // namespace tokengate::detail
