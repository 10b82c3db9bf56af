// SPDX-License-Identifier: Apache-2.0
// How the tokens of a bulk end without having run, and what handles ask of it.
#include "domain/share.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <tokengate/error.hpp>

#include "domain/ending.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "runtime_core.hpp"
#include "sleep/fence.hpp"
#include "token/reasons.hpp"

namespace tokengate::detail {

namespace {

void let_go_of(bulk_core& bulk) noexcept {
    // Release: what this holder did comes before the end; acquire: for the one who ends it.
    if (bulk.holders.fetch_sub(1, std::memory_order_acq_rel) == 1) bulk.type->destroy(bulk);
}

/// Elements of a share that somebody has claimed to kill.
struct claim {
    std::size_t first = 0;        ///< the first one whose arguments are there
    std::size_t last = 0;         ///< behind the last one
    std::size_t elements = 0;     ///< all of them, also one whose callable runs
    std::uint32_t stretches = 0;  ///< those that nobody else ends
    std::size_t completed = 0;    ///< of a stretch that runs: elements that have ended before,
    std::size_t failed = 0;       ///< which are ended and counted with the others

    [[nodiscard]] bool any() const noexcept { return elements != 0; }
};

claim claim_rest(share& of) noexcept {
    // Relaxed: as in share::claim().
    const std::uint32_t begun = of.cursor.exchange(of.stretches, std::memory_order_relaxed);
    if (begun >= of.stretches) return {};
    const std::size_t from = of.first_of(begun);
    const std::size_t end = of.first + of.count;
    return {.first = from, .last = end, .elements = end - from, .stretches = of.stretches - begun};
}

// Under the eyes of an onlooker, so that the worker begins no other element meanwhile.
claim take_over(stretch_frame& running) noexcept {
    const share& of = share_of(*running.node);
    const std::size_t at = current_element(running);
    std::size_t end = running.last;
    // Relaxed: the worker sees it after it has seen the onlooker go; others only compare. It
    // decides between two onlookers, and who comes first.
    if (at >= end || !running.end.compare_exchange_strong(end, at, std::memory_order_relaxed)) {
        return {};
    }
    std::size_t failures = 0;
    for (std::size_t i = running.first; i < at; ++i) {
        // Relaxed: seen already.
        failures += of.bulk->states[i].load(std::memory_order_relaxed) == token_state::failed;
    }
    return {.first = at + 1,
            .last = running.last,
            .elements = running.last - at,
            .completed = at - running.first - failures,
            .failed = failures};
}

// What was claimed never runs. The caller holds a reference.
void end_claim(crew& owner, token_node& node, const claim& killed) noexcept {
    share& of = share_of(node);
    const std::size_t unbegun = killed.last - killed.first;
    of.bulk->type->drop_arguments(*of.bulk, killed.first, killed.last);
    if (of.way != route::here && unbegun != 0) {
        owner.give_back(owner.in_flight, static_cast<std::int64_t>(unbegun));
    }
    end_elements(node, killed.elements + killed.completed + killed.failed, killed.stretches, false);
}

/// What was taken over of a stretch, and a reference to its share.
struct taken_over {
    token_node* node = nullptr;
    claim killed;
    taken_counts* counts = nullptr;
};

// One at a time: arguments are not destroyed while the worker is held, lest their destructors wait
// for it.
template <class Wanted>
std::optional<taken_over> take_over_one(worker& busy, Wanted&& wanted) noexcept {
    taken_over found;
    busy.executing.inspect_frames([&](execution_stack::frame& each) {
        token_node& node = *each.node;
        if (found.node != nullptr || !is_share(node) || !wanted(node)) return;
        const claim killed = take_over(whole_of(each));
        if (!killed.any()) return;
        node.state.retain();
        found = {
            .node = &node, .killed = killed, .counts = &busy.overtaken[node.operation->number]};
    });
    return found.node != nullptr ? std::optional(found) : std::nullopt;
}

// How many elements have died, which the caller counts.
std::size_t end_taken(crew& owner, const taken_over& found) noexcept {
    end_claim(owner, *found.node, found.killed);
    drop_reference(*found.node);
    found.counts->completed.add(found.killed.completed);
    found.counts->failed.add(found.killed.failed);
    return found.killed.elements;
}

}  // namespace

std::optional<std::size_t> kill_share(token_node& node, end_reasons::prepared* why) noexcept {
    std::size_t dead = 0;
    std::unique_lock<std::mutex> hold = hold_runtimes();
    const state_word::finished end = end_for_reason(node, token_state::killed, why);
    // Somebody who came to an entry of it may have killed what had not begun, and no more.
    if (!end.won && !(node.state.phase() == token_state::killed && share_of(node).has_unended())) {
        return std::nullopt;
    }
    // An element that has not been counted keeps the runtime alive, and so does the lock; without
    // it, one that has been claimed here, and is counted at the end.
    crew& owner = node.operation->runtime->workers();
    outside_counts& counted = owner.outside[node.operation->number];
    const auto free_list = [&] {
        if (!hold) return;
        hold.unlock();
        if (end.won) wake_waiters(node, end);
    };
    const claim rest = claim_rest(share_of(node));
    if (rest.any()) {
        hold.unlock();
        // Its entries may have been set aside: before anybody is woken, and asks what waits.
        node.operation->aside->write_off(share_of(node));
        if (end.won) wake_waiters(node, end);
        end_claim(owner, node, rest);
        dead += rest.elements;
    }
    // Whoever runs a stretch that is not seen below sees that the share is dead.
    heavy_fence();
    const auto is_it = [&](const token_node& seen) { return &seen == &node; };
    owner.for_each_worker([&](worker& each) {
        while (const auto found = take_over_one(each, is_it)) {
            free_list();
            dead += end_taken(owner, *found);
            each.pass_stop_requests_on();
        }
    });
    if (dead != 0) {
        // Once they are counted, the runtime may end; not before the list of runtimes is free.
        const auto counting = hold_runtimes();
        counted.killed.add(dead, std::memory_order_seq_cst);
        owner.tell_quiet();
    }
    free_list();
    return end.won || dead != 0 ? std::optional(dead) : std::nullopt;
}

namespace {

// The share that an element belongs to.
token_node& node_of(const bulk_core& bulk, std::size_t index) noexcept {
    const auto behind = std::upper_bound(
        bulk.shares.begin(), bulk.shares.end(), index,
        [](std::size_t wanted, token_node* each) { return wanted < share_of(*each).first; });
    return **std::prev(behind);
}

// A share's node goes: so does its hold on the bulk.
void drop_share(token_node& node, token_state) noexcept {
    let_go_of(*share_of(node).bulk);
    std::destroy_at(&share_of(node));
}

}  // namespace

const frame_type share_frame{.run = nullptr,
                             .drop_arguments = nullptr,
                             .drop_outcome = drop_share,
                             .size = share_offset + sizeof(share),
                             .size_class = size_class_of(share_offset + sizeof(share)),
                             .trivial_result = false};

std::size_t current_element(const execution_stack::frame& running) noexcept {
    const auto& part = whole_of(running);
    const bulk_core& bulk = *share_of(*running.node).bulk;
    // Acquire: pairs with the release of who runs it.
    const std::size_t end = part.end.load(std::memory_order_acquire);
    std::size_t at = part.first;
    while (at < end) {
        const token_state seen = bulk.states[at].load(std::memory_order_acquire);
        if (seen == token_state::created) break;
        if (seen != token_state::executing) {
            ++at;
            continue;
        }
        // In a child process nobody is left to say more.
        if (running.node->operation->runtime->workers().current_phase() == phase::forked) break;
        // It has returned, and says in a moment how, or that it waits for us.
        std::this_thread::yield();
    }
    return at;
}

void end_elements(token_node& node, std::size_t elements, std::uint32_t stretches,
                  bool drops_reference) noexcept {
    share& of = share_of(node);
    const std::uint64_t ended = share::one_stretch * stretches + elements;
    // Release: what this one did comes before the end; acquire: for the one who makes it so.
    const std::uint64_t left = of.pending.fetch_sub(ended, std::memory_order_acq_rel) - ended;
    // Nothing of it runs any more, although it may have been killed before.
    if (stretches != 0 && left < share::one_stretch && node.chained) node.calls->leave();
    if (elements != 0 && static_cast<std::uint32_t>(left) == 0) {
        const token_state outcome = of.bulk->failed.load(std::memory_order_relaxed)
                                        ? token_state::failed
                                        : token_state::completed;
        const state_word::finished end = node.state.finish(outcome, drops_reference);
        if (end.won) {
            if (end.last) recycle(node, outcome);
            wake_waiters(node, end);
            return;
        }
    }
    if (drops_reference) drop_reference(node);
}

bool declare_killed(token_node& node, end_reasons::prepared* why) noexcept {
    const state_word::finished end = end_for_reason(node, token_state::killed, why);
    if (end.won) wake_waiters(node, end);
    return end.won;
}

std::size_t kill_unclaimed(crew& owner, token_node& node, std::string_view reason) noexcept {
    const claim rest = claim_rest(share_of(node));
    if (!rest.any()) return 0;
    auto why = prepare_reason(node, reason);
    declare_killed(node, why ? &*why : nullptr);
    end_claim(owner, node, rest);
    return rest.elements;
}

std::size_t crew::kill_running_stretches_of(operation_core& operation, worker& busy) noexcept {
    const auto doomed = [&](const token_node& node) {
        return node.operation == &operation && operation.aside->condemns(node);
    };
    std::size_t dead = 0;
    while (const auto found = take_over_one(busy, doomed)) {
        declare_killed(*found->node);
        const std::size_t elements = end_taken(*this, *found);
        outside[operation.number].killed.add(elements, std::memory_order_seq_cst);
        dead += elements;
    }
    if (dead != 0) tell_quiet();
    return dead;
}

void crew::kill_running_stretches(worker& busy) noexcept {
    while (const auto found = take_over_one(busy, [](const token_node&) { return true; })) {
        outside_counts& counted = outside[found->node->operation->number];
        declare_killed(*found->node);
        // Nothing is counted before it is terminal, as in kill_executing().
        counted.killed.add(end_taken(*this, *found));
    }
}

void wait_for_onlookers(stretch& part, std::atomic<token_state>& state) noexcept {
    execution_stack& stack = *whole_of(part).stack;
    // Where heavy fences do not work, this is the one between the state and the look; acquire:
    // pairs with the release of who looked.
    full_fence();
    while (stack.onlookers().load(std::memory_order_acquire) != 0) {
        // Relaxed, both: who looks takes nothing else from it.
        state.store(token_state::created, std::memory_order_relaxed);
        stack.wait_for_onlookers();
        state.store(token_state::executing, std::memory_order_relaxed);
        full_fence();
    }
}

void let_go(bulk_core& bulk) noexcept {
    for (token_node* each : bulk.shares) drop_reference(*each);
    let_go_of(bulk);
}

bool kill(bulk_core& bulk, std::string_view reason) {
    bool any = false;
    for (token_node* each : bulk.shares) {
        if (reason.empty()) {
            any = kill_share(*each, nullptr).has_value() || any;
        } else {
            end_reasons::prepared why(*each, reason);
            any = kill_share(*each, &why).has_value() || any;
        }
    }
    return any;
}

token_state state_of(const bulk_core& bulk, std::size_t index) noexcept {
    token_node& node = node_of(bulk, index);
    // The share first: an element that has not ended when somebody has killed it will not.
    const token_state whole = node.state.phase();
    // Acquire: pairs with the release of who has run it.
    switch (bulk.states[index].load(std::memory_order_acquire)) {
        case token_state::completed: return token_state::completed;
        case token_state::failed: return token_state::failed;
        default: break;
    }
    if (is_terminal(whole)) return token_state::killed;
    const share& of = share_of(node);
    // Relaxed: it may have begun since anyway.
    const std::uint32_t begun = of.cursor.load(std::memory_order_relaxed);
    return index < of.first + std::size_t{begun} * of.length ? token_state::executing
                                                             : token_state::admitted;
}

void throw_undelivered(const bulk_core& bulk, std::size_t index) {
    const std::uint64_t id = bulk.first_id + index;
    const token_node& node = node_of(bulk, index);
    throw_killed("token " + std::to_string(id) + " of operation '" + node.label->name +
                     "', number " + std::to_string(index) + " of a bulk,",
                 id, end_reasons::of(node));
}

}  // namespace tokengate::detail
