// SPDX-License-Identifier: Apache-2.0
// How a worker runs the tokens of a bulk, a stretch of them at a time. Protocol: bulk.md.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>

#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

namespace {

// Where there are no heavy fences, the worker always takes the way that makes a full one.
constinit std::atomic<unsigned> always_somebody{1};

// Written seldom, since all workers share it: when it is off by a factor of two.
void note_pace(operation_core& operation, steady_ns taken, std::size_t elements) noexcept {
    if (elements == 0) return;
    const auto each = static_cast<std::uint64_t>(taken) / elements;
    const auto now = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(each, 1, std::numeric_limits<std::uint32_t>::max() / 2));
    // Relaxed, both: a number to decide by.
    const std::uint32_t known = operation.pace.load(std::memory_order_relaxed);
    if (now > 2 * known || 2 * now < known) {
        operation.pace.store(now, std::memory_order_relaxed);
    }
}

}  // namespace

// Out of line, so that tokens do not pay for it.
[[gnu::noinline]] void worker::run_entry(token_node& node) noexcept {
    if (!is_share(node)) {
        run_paused(node);
    } else if (const auto number = share_of(node).claim()) {
        run_stretch(node, *number, true);
    } else {
        drop_reference(node);
    }
}

// It is a husk; or it is paused, or was a moment ago, or will be in a moment.
void worker::run_paused(token_node& node) noexcept {
    do {
        if (node.state.paused()) {
            backlog& aside = *node.operation->aside;
            if (aside.keep_entry(node)) return;
            if (aside.is_doomed(node)) {
                run_too_late(node, aside.reason());
                return;
            }
        }
        if (node.state.begin_execution()) {
            execute(node, grip::entry);
            return;
        }
    } while (!drop_if_husk(node));
}

// As run_entry().
[[gnu::noinline]] bool worker::run_share(token_node& awaited,
                                         std::optional<steady_ns> deadline) noexcept {
    if (!is_share(awaited)) return false;
    while (!is_terminal(awaited.state.phase()) && !(deadline && steady_now() >= *deadline)) {
        // What is left begins when its entries may, or not at all; in a child process nobody takes
        // them out.
        if (crew_.attention() && crew_.current_phase() != phase::forked &&
            (awaited.operation->aside->paused() || kill_condemned(awaited))) {
            break;
        }
        const auto number = share_of(awaited).claim();
        if (!number) break;
        run_stretch(awaited, *number, false);
    }
    return is_terminal(awaited.state.phase());
}

void worker::run_stretch(token_node& node, std::uint32_t number, bool owns_reference) noexcept {
    share& of = share_of(node);
    bulk_core& bulk = *of.bulk;
    run_counts& counted = counts_of(node);
    const std::size_t first = of.first_of(number);
    const std::size_t last = of.end_of(number);
    // Who waits for a share claims without an entry: more of them may be left.
    if (number + 1 == of.stretches && crew_.attention()) [[unlikely]] {
        if (backlog& aside = *node.operation->aside; aside.attends()) aside.write_off(of);
    }
    memberships.give_up(node.chained ? node.calls : nullptr);
    if (node.chained) {
        anchored.add(last - first);
        if (home_of(node) != home_.number) [[unlikely]]
            escapes.add(last - first);
    }
    // Relaxed: a number for people to look at.
    node.domain.store(static_cast<std::uint16_t>(home_.number), std::memory_order_relaxed);

    stretch_frame frame(&node);
    frame.stack = &executing;
    frame.first = first;
    frame.next = first;
    frame.last = last;
    // Relaxed: published with the frame.
    frame.end.store(last, std::memory_order_relaxed);
    frame.onlookers = heavy_fences_work.load(std::memory_order_relaxed) ? &executing.onlookers()
                                                                        : &always_somebody;
    executing.push(frame);
    // Between the push and the look at the state; pairs with the heavy fence in inspect(): whoever
    // kills the share sees this frame, or is seen here.
    light_fence();
    std::size_t dead = 0;
    if (crew_.current_phase() >= phase::killing || is_terminal(node.state.phase())) [[unlikely]] {
        // Unless somebody has just taken it over: then all but the first is dead already, and that
        // one has not begun.
        std::size_t end = last;
        if (frame.end.compare_exchange_strong(end, first, std::memory_order_relaxed)) {
            dead = last - first;
        }
    } else {
        ++depth_;
        const steady_ns start = steady_now();
        bulk.type->run(bulk, frame);
        note_pace(*bulk.operation, steady_now() - start, frame.next - first);
        --depth_;
    }
    executing.pop();
    // It is not completed before this stretch has ended: so it was killed, whether or not anything
    // was left of the stretch that could be taken over.
    if (is_terminal(node.state.phase())) [[unlikely]]
        tell_joiners();

    // Relaxed: nobody finds the frame any more, and who has was waited for.
    const std::size_t end = frame.end.load(std::memory_order_relaxed);
    std::size_t ended = last - first;      // elements that end here
    std::size_t ran = frame.next - first;  // those that are counted here
    std::size_t credits = ended;
    if (end != last) [[unlikely]] {
        if (dead != 0) {
            declare_killed(node);
            bulk.type->drop_arguments(bulk, first, last);
        } else {
            // Who has taken over has ended and counted all of them. This thread has only what it
            // was at: element `end`.
            ended = 0;
            ran = frame.next - end;
            credits = end + 1 - first;
            if (ran == 0) {
                bulk.type->drop_arguments(bulk, end, end + 1);
            } else {
                bulk.type->drop_late(bulk, end, frame.late);
            }
        }
    }
    counted.executed.add(ran);
    if (node.chained) memberships.give_up();
    // Given back before anyone can see them done, so that who has seen it finds room.
    if (of.way != route::here) {
        in_flight_purse.earn(static_cast<std::int64_t>(credits));
        if (in_flight_purse.count() >= crew_.in_flight.block()) settle_finished();
    }
    const std::size_t failures = frame.failed;
    end_elements(node, ended, 1, owns_reference);
    // Counted after they are terminal, as far as that can be seen: who finds the runtime idle finds
    // all tokens done.
    if (ended == 0) return;
    if (dead != 0) {
        counted.killed.add(dead);
        return;
    }
    if (failures != 0) counted.failed.add(failures);
    counted.completed.add(ended - failures);
}

}  // namespace tokengate::detail
