// SPDX-License-Identifier: Apache-2.0
// Tokens whose callables are coroutines. Protocol: README.md, "A token that is put back".
#include <tokengate/detail/suspension.hpp>

#include <optional>
#include <utility>

#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

// What has happened since the token was begun last.
constexpr std::uint8_t parked = 1;  // it was put back, and waits
constexpr std::uint8_t fired = 2;   // something is ready
constexpr std::uint8_t dead = 4;    // it has ended: its coroutine is gone

suspension& suspension_of(token_node& node) noexcept {
    void* const where = at_offset(node, node.type().suspension_offset);
    return *std::launder(static_cast<suspension*>(where));
}

void readmit(token_node& node) noexcept { node.operation->runtime->workers().readmit(node); }

}  // namespace

bool suspension::go_on() noexcept {
    // Relaxed: who fired or parked it has handed it over to this worker. What fires from now on is
    // seen when it is parked.
    signals_.store(0, std::memory_order_relaxed);
    if (std::exchange(waits_first_, false)) body_.resume();
    run_ready();
    return body_.done();
}

void suspension::finish() noexcept {
    if (body_ != nullptr) std::exchange(body_, nullptr).destroy();
    // What was given up may be pushed still: either it is seen here, or this is seen there.
    signals_.fetch_or(dead, std::memory_order_acq_rel);
    drop_ready();
}

void suspension::destroy() noexcept {
    if (body_ != nullptr) std::exchange(body_, nullptr).destroy();
    // Acquire and release, here and below: one of the three comes last, and knows what to do.
    const std::uint8_t before = signals_.fetch_or(dead, std::memory_order_acq_rel);
    drop_ready();
    // It waited, and nobody will ever readmit it: its entry is a husk by now.
    if ((before & (parked | fired)) == parked) drop_husk(*token());
}

bool suspension::put_back(token_node& node, bool entry_in_hand) noexcept {
    suspension& self = suspension_of(node);
    crew& owner = node.operation->runtime->workers();
    // The worker has counted a run that has not come to its end.
    worker::current()->counts[node.operation->number].executed.retract();
    if (entry_in_hand) {
        if (!node.state.put_back()) return false;
    } else {
        const auto left = node.state.leave_to_entry();
        if (left == state_word::left::ended) return false;
        // Whoever takes it out goes on with it, ready or not.
        if (left == state_word::left::to_entry) return true;
        if (node.way != route::here) owner.give_back(owner.in_flight, 1);
    }
    // Whoever kills all that wait has looked for it before: then it comes back at once, to die.
    const bool doomed =
        owner.current_phase() >= phase::killing || node.operation->aside->condemns(node);
    const auto now = static_cast<std::uint8_t>(doomed ? parked | fired : parked);
    const std::uint8_t before = self.signals_.fetch_or(now, std::memory_order_acq_rel);
    if ((before & dead) != 0) {
        drop_husk(node);
    } else if (doomed || (before & fired) != 0) {
        readmit(node);
    }
    return true;
}

void suspension::hold() noexcept { token()->state.retain(); }

void suspension::let_go() noexcept { drop_reference(*token()); }

void suspension::wake() noexcept {
    const std::uint8_t before = signals_.fetch_or(fired, std::memory_order_acq_rel);
    if ((before & dead) != 0) {
        drop_ready();
        return;
    }
    if ((before & (parked | fired)) != parked) return;
    token_node& node = *token();
    const worker* const self = worker::current();
    if (self != nullptr && self->runtime() == runtime_of(node)) {
        readmit(node);
        return;
    }
    // Whoever kills it meanwhile counts it when this lock is free; then its runtime may end, but
    // for visitors.
    std::optional<crew::visitor> here;
    {
        const auto hold = hold_runtimes();
        if (!is_terminal(node.state.phase())) here.emplace(node.operation->runtime->workers());
    }
    if (here) {
        readmit(node);
    } else {
        drop_husk(node);
    }
}

}  // namespace tokengate::detail
