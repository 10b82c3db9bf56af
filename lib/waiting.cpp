// SPDX-License-Identifier: Apache-2.0
/// How threads wait for tokens, and what becomes of tokens that nobody holds.
#include <optional>
#include <string>
#include <utility>

#include <tokengate/detail/executor.hpp>
#include <tokengate/detail/node.hpp>
#include <tokengate/error.hpp>

#include "domain/ending.hpp"
#include "domain/guest.hpp"
#include "domain/permit.hpp"
#include "domain/share.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "locality/chain.hpp"
#include "runtime_core.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"
#include "sleep/futex.hpp"
#include "token/pool.hpp"
#include "token/reasons.hpp"

namespace tokengate::detail {

namespace {

std::string name_of(const token_node& node) {
    return "token " + std::to_string(node.id) + " of operation '" + node.label->name + "'";
}

[[noreturn]] void throw_forked(const token_node& node) {
    throw runtime_forked(name_of(node) +
                         " is waited for in a child process after fork(), where no worker can "
                         "finish it. Wait for it in the parent process");
}

bool sleep_until_terminal(token_node& node, std::optional<steady_ns> deadline) {
    for (int i = 0; i < pauses_before_sleep; ++i) {
        if (is_terminal(node.state.phase())) return true;
        cpu_pause();
    }
    const blocking_section away(blocked_by::tokens);
    for (;;) {
        const std::uint32_t word = node.state.announce_sleeper();
        if (is_terminal(state_word::phase_of(word))) return true;
        if (left_behind_by_fork(runtime_of(node))) throw_forked(node);
        if (deadline && steady_now() >= *deadline) return false;
        futex_wait(node.state.futex(), word, deadline);
    }
}

[[gnu::noinline]] bool wait_until(token_node& node, std::optional<steady_ns> deadline,
                                  helping how) {
    if (is_terminal(node.state.phase())) return true;
    worker* self = worker::current();
    if (self == nullptr) return sleep_until_terminal(node, deadline);
    if (deadline && steady_now() >= *deadline) return false;
    const runtime_core* runtime = runtime_of(node);
    if (left_behind_by_fork(runtime)) throw_forked(node);
    // A wait with a deadline ends by itself.
    if (!deadline && self->executing.holds_up(node) && !is_terminal(node.state.phase())) {
        throw_deadlock(node);
    }
    std::optional<worker::isolation> limits;
    if (how == helping::isolated || self->has_turn()) limits.emplace(*self);
    const permit_loan lent(self);
    // Of a share of a bulk it would run all, however late.
    if (!(deadline && is_share(node)) && self->run_awaited(node)) return true;
    const wait_end end = self->wait_for(node, deadline);
    if (end == wait_end::deadlock) throw_deadlock(node);
    return end == wait_end::terminal;
}

// Notified when the callable of a killed token has returned; in no runtime, since who waits for
// that may see one end.
constinit event_count callable_returned;

// True if a callable of the token runs, in the runtime that it belongs to, if that is still there.
bool runs_somewhere(const token_node& node) {
    const auto hold = hold_runtimes();
    runtime_core* const runtime = find_runtime(runtime_of(node));
    return runtime != nullptr && runtime->workers().runs(node);
}

}  // namespace

void throw_deadlock(const token_node& awaited) {
    throw deadlock(name_of(awaited) +
                   " is waited for by itself, or by a token that it is held up by: one that its "
                   "own worker runs while it waits, or one that waits, perhaps by way of others, "
                   "for a token beneath this one. It cannot go on before this returns. Wait for it "
                   "outside of such tokens, or let the waits beneath be isolated "
                   "(get(tokengate::isolated)), so that nothing runs on top of them");
}

void wait_terminal(token_node& node, helping how, bool alone) {
    if (is_terminal(node.state.phase())) return;
    worker* const self = worker::current();
    if (self != nullptr && how == helping::anything && self->run_newest(node, alone)) return;
    static_cast<void>(wait_until(node, std::nullopt, how));
}

bool wait_terminal_until(token_node& node, std::int64_t deadline, helping how) {
    return wait_until(node, deadline, how);
}

void join(token_node& node) {
    const worker* const self = worker::current();
    if (self != nullptr && self->executing.holds(node)) throw_deadlock(node);
    wait_terminal(node, helping::anything);
    const token_state ended = node.state.phase();
    if (ended == token_state::completed || ended == token_state::failed) return;
    // The callable may wait for others of the same storage.
    const permit_loan lent(worker::current());
    std::optional<blocking_section> asleep;
    for (;;) {
        if (left_behind_by_fork(runtime_of(node))) throw_forked(node);
        const event_count::ticket ticket = callable_returned.prepare();
        if (!runs_somewhere(node)) {
            callable_returned.cancel();
            return;
        }
        if (!asleep) asleep.emplace(blocked_by::tokens);
        callable_returned.wait(ticket);
    }
}

void tell_joiners() noexcept {
    // Between taking the token off the stack and the look for waiters; pairs with prepare().
    full_fence();
    if (callable_returned.has_waiters()) callable_returned.notify_all();
}

// Whether or not anybody can be had to stand in.
blocking_section::blocking_section(blocked_by cause) noexcept
    : owner_(worker::current()), cause_(cause) {
    if (owner_ == nullptr) {
        guest_post::begin_blocking(cause);
        return;
    }
    static_cast<void>(owner_->begin_blocking());
    if (cause == blocked_by::tokens) owner_->owner().begin_token_wait();
}

blocking_section::~blocking_section() {
    if (owner_ == nullptr) {
        guest_post::end_blocking(cause_);
        return;
    }
    if (cause_ == blocked_by::tokens) owner_->owner().end_token_wait();
    owner_->end_blocking();
}

std::string seed_of_chain(const token_node& node) {
    return node.glance().chained ? node.calls->seed() : std::string();
}

void recycle(token_node& node, token_state outcome) noexcept {
    const frame_type& type = node.type();
    if (outcome != token_state::completed || !type.trivial_result) {
        type.drop_outcome(node, outcome);
        if (outcome >= token_state::killed) end_reasons::forget(node);
    }
    if (node.chained) node.calls->release();
    free_node(node, type.size_class);
}

void throw_killed(const std::string& token, std::uint64_t id, std::string reason) {
    std::string message = token + " was killed before it could deliver a result: ";
    message +=
        reason.empty() ? "by kill(), or because its runtime was stopped with a deadline" : reason;
    throw token_killed(message, id, std::move(reason));
}

void throw_undelivered(const token_node& node) {
    std::string reason = end_reasons::of(node);
    if (node.state.phase() == token_state::timed_out) {
        if (reason.empty()) reason = "it missed a deadline of its operation";
        throw token_timed_out(name_of(node) + " was timed out: " + reason, node.id);
    }
    throw_killed(name_of(node), node.id, std::move(reason));
}

void throw_empty(const char* question) {
    throw empty_token(std::string(question) +
                      "() was asked of a handle that holds no token (default-constructed, moved "
                      "from, or already consumed by std::move(token).get())");
}

void throw_shared(const token_node& node) {
    throw result_shared("the result of " + name_of(node) +
                        " can only be moved, but other handles share the token: drop them first, "
                        "or read the result through get() of an lvalue");
}

}  // namespace tokengate::detail
