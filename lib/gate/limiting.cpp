// SPDX-License-Identifier: Apache-2.0
// Calls that are watched: room in the limits of their operation, and equal calls in flight.
#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <tokengate/detail/calls.hpp>
#include <tokengate/error.hpp>

#include "domain/worker.hpp"
#include "gate/gate.hpp"
#include "resilience/memory_budget.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

// A worker that waits for room in a limit looks from time to time whether it is the only one that
// can bring anything on. That all others wait may also be because one that was woken does not run
// yet: so it believes that only after so many looks; and after more of them, that nobody will run
// what lies in lanes.
constexpr unsigned looks_at_others = 50;
constexpr unsigned looks_at_lanes = 500;

[[noreturn]] void refuse(const operation_core& operation, const call_limits& limits,
                         call_limits::answer why) {
    std::string what = "a call of operation '" + operation.label->name + "' was refused at " +
                       limits.describe(why.lacking);
    if (why.never) {
        what +=
            ", which is less than the call takes by itself: pass smaller arguments, or set "
            "memory_limit (TOKENGATE_MEMORY_LIMIT) higher";
    } else {
        what += why.policy == when_full::drop_oldest
                    ? ", and none of its tokens waits that could be dropped"
                    : "";
        what += ". Nothing was accepted: call later, raise the limit, or choose when_full::block";
    }
    throw call_refused(what);
}

// What the token that is dropped will say; nothing without memory.
std::string reason_to_drop(const call_limits& limits, limit_kind lacking) noexcept {
    try {
        return "dropped for a newer call, at " + limits.describe(lacking);
    } catch (const std::bad_alloc&) {
        return {};
    }
}

}  // namespace

bool gate::pass_limits(const operation_core& operation, admission how, call_limits::hold& held) {
    supervisor& watching = *operation.supervised_by;
    call_limits& limits = watching.limits();
    worker* const self = worker::current_of(crew_);
    std::optional<blocking_section> blocked;
    std::optional<worker::isolation> isolated;
    unsigned looks = 0;
    for (;;) {
        const call_limits::answer found = held.take(how == admission::wait);
        if (found.lacking == limit_kind::none) return true;
        if (!found.never && found.policy == when_full::drop_oldest &&
            watching.drop_oldest(reason_to_drop(limits, found.lacking))) {
            held.inherit_turn();
            continue;
        }
        if (how == admission::refuse || found.never || found.policy != when_full::block) {
            submitters_.mine().counts[operation.number].refused.add();
            if (how == admission::refuse) return false;
            refuse(operation, limits, found);
        }
        if (self != nullptr) {
            if (!isolated && self->has_turn()) isolated.emplace(*self);
            if (self->help()) {
                looks = 0;
                continue;
            }
            self->settle_all();
            if (nobody_else_goes_on(operation, found.lacking, *self, looks)) {
                held.take_beyond();
                return true;
            }
            if (!blocked) blocked.emplace();
        }
        const event_count::ticket ticket = crew_.room.prepare();
        std::optional<steady_ns> until;
        try {
            open_or_throw(operation);
            const call_limits::answer again = held.take(true);
            if (again.lacking != found.lacking) {
                crew_.room.cancel();
                if (again.lacking == limit_kind::none) return true;
                continue;
            }
            if (again.lacking == limit_kind::rate) until = again.when;
        } catch (...) {
            crew_.room.cancel();
            throw;
        }
        if (!until && self != nullptr) until = steady_after(look_again);
        std::optional<worker::pause> waiting;
        if (self != nullptr) waiting.emplace(*self);
        looks = crew_.room.wait(ticket, until) ? 0 : looks + 1;
    }
}

// For a worker that has found nothing to run.
bool gate::nobody_else_goes_on(const operation_core& operation, limit_kind lacking,
                               const worker& self, unsigned looks) const noexcept {
    // Its turn comes by itself.
    if (lacking == limit_kind::rate) return false;
    const call_limits& limits = operation.supervised_by->limits();
    const bool by_memory = lacking == limit_kind::memory;
    // All that there is may be held by what executes on this stack, and by calls of those tokens:
    // none of that can end before this call returns.
    limit_share own;
    std::size_t places = call_limits::hold::places_of_thread(limits);
    for (const execution_stack::frame* each = self.executing.innermost_frame(); each != nullptr;
         each = each->outer) {
        if (!each->node->supervised) continue;
        const limit_share& share = supervision_of(*each->node).limits;
        own.bytes += share.bytes;
        if (share.place && each->node->operation == &operation) ++places;
    }
    if (by_memory) {
        const memory_budget& memory = limits.memory();
        if (own.bytes + call_limits::hold::bytes_of_thread(memory) >= memory.held()) return true;
    } else if (places >= limits.places()) {
        return true;
    }
    if (looks < looks_at_others || !crew_.all_wait_but(self)) return false;
    const supervisor::prospect ahead = operation.runtime->outlook(by_memory ? nullptr : &operation);
    return !ahead.backing_off && (!ahead.waiting || looks >= looks_at_lanes);
}

token_node* gate::begin_watched(operation_core& operation, const frame_type& type, admission how,
                                call_key key, std::size_t bytes) {
    if (crew_.current_phase() != phase::open) open_or_throw(operation);
    return begin_supervised(operation, type, how, key, bytes, nullptr);
}

token_node* gate::begin_limited(operation_core& operation, const frame_type& type, admission how,
                                call_key key, std::size_t bytes, const time_limits& limits) {
    if (limits.queue_timeout.count() < 0 || limits.run_timeout.count() < 0) {
        throw operation_error("operation '" + operation.label->name +
                              "' was called with a negative time limit: allowed are 0, which is "
                              "that of the operation, and more");
    }
    if (crew_.current_phase() != phase::open) open_or_throw(operation);
    operation.runtime->keep_time();
    return begin_supervised(operation, type, how, key, bytes, &limits);
}

// Arguments, room and node of a token that has been begun, but not committed.
void gate::drop_uncommitted(token_node& node) noexcept {
    if (node.supervised) {
        supervisor::drop_arguments(node);
    } else {
        node.type().drop_arguments(node);
    }
    abandon(node);
}

token_node* gate::commit_watched(token_node& node, holders held_by,
                                 std::unique_ptr<call_value> value) {
    if (value == nullptr) {
        commit_call(node, held_by);
        return &node;
    }
    const operation_core& operation = *node.operation;
    supervisor& watching = *operation.supervised_by;
    submitter& mine = submitters_.mine();
    own_counter& accepted = mine.counts[operation.number].accepted;
    if (!crew_.count_call(accepted)) commit_or_throw(node, accepted);
    const bool serial = node.serial;
    token_node* other = nullptr;
    std::exception_ptr error;
    {
        duplicate_table& all = watching.duplicates();
        const std::scoped_lock guard(all.lock);
        try {
            other = all.find(*value);
            if (other == nullptr) watching.make_unique(node, std::move(value));
        } catch (...) {
            error = std::current_exception();
        }
        if (other != nullptr) {
            // The table has a reference as long as it has the token.
            if (held_by == holders::caller) other->state.retain();
        } else if (error == nullptr) {
            // One for its supervisor, and one for the step that tells it. Others find it when the
            // lock is free, and may kill it: then what is put is a husk. A serial one must be in
            // its line by then, which it holds no more once it is killed.
            const auto references = static_cast<std::uint32_t>(held_by) + 2;
            if (serial) {
                commit_serial(node, references);
            } else {
                node.state.start(token_state::admitted, references);
            }
        }
    }
    if (other == nullptr && error == nullptr) {
        if (!serial) put_started(node);
        watching.commit(node);
        return &node;
    }
    retract(accepted, 1);
    drop_uncommitted(node);
    if (error != nullptr) std::rethrow_exception(error);
    watching.count_coalesced();
    return other;
}

token_node* find_equal_call(operation_core& operation, const call_value& value, holders held_by) {
    supervisor& watching = *operation.supervised_by;
    // In a child process the lock may be held for ever: the call throws further on.
    if (operation.runtime->forked()) return nullptr;
    const std::scoped_lock guard(watching.duplicates().lock);
    token_node* const found = watching.duplicates().find(value);
    if (found == nullptr) return nullptr;
    if (held_by == holders::caller) found->state.retain();
    watching.count_coalesced();
    return found;
}

token_node* begin_limited_call(operation_core& operation, const frame_type& type, admission how,
                               call_key key, std::size_t bytes, const time_limits& limits) {
    return operation.runtime->entrance().begin_limited(operation, type, how, key, bytes, limits);
}

token_node* begin_watched_call(operation_core& operation, const frame_type& type, admission how,
                               call_key key, std::size_t bytes) {
    return operation.runtime->entrance().begin_watched(operation, type, how, key, bytes);
}

token_node* commit_watched_call(token_node& node, holders held_by,
                                std::unique_ptr<call_value> value) {
    return node.operation->runtime->entrance().commit_watched(node, held_by, std::move(value));
}

void throw_incomparable(const operation_core& operation) {
    throw operation_error("a call of '" + operation.label->name +
                          "', which has duplicates::coalesce, has an argument that cannot be "
                          "compared with that of another call, or not before it is moved: give its "
                          "type an operator==, an AbslHashValue and a copy constructor, pass it as "
                          "the type of the parameter, or leave the trait out");
}

}  // namespace tokengate::detail
