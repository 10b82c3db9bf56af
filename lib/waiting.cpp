// SPDX-License-Identifier: Apache-2.0
/// How threads wait for tokens, and what becomes of tokens that nobody holds.
#include <optional>
#include <string>

#include <tokengate/detail/node.hpp>
#include <tokengate/error.hpp>

#include "domain/worker.hpp"
#include "fork.hpp"
#include "runtime_core.hpp"
#include "sleep/futex.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// Pauses before a thread that is no worker sleeps: a few microseconds, less than its sleep and its
// waking would cost. Chosen by bench P2.
constexpr int pauses_before_sleep = 64;

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
    for (;;) {
        const std::uint32_t word = node.state.announce_sleeper();
        if (is_terminal(state_word::phase_of(word))) return true;
        if (left_behind_by_fork(node.runtime)) throw_forked(node);
        if (deadline && steady_now() >= *deadline) return false;
        futex_wait(node.state.futex(), word, deadline);
    }
}

bool wait_until(token_node& node, std::optional<steady_ns> deadline) {
    if (is_terminal(node.state.phase())) return true;
    worker* self = worker::current();
    if (self == nullptr) return sleep_until_terminal(node, deadline);
    if (deadline && steady_now() >= *deadline) return false;
    if (left_behind_by_fork(node.runtime)) throw_forked(node);
    if (self->is_executing(node)) {
        throw deadlock(name_of(node) +
                       " is waited for by itself, or by a token that its own worker runs while it "
                       "waits: it cannot go on before this returns. Wait for it outside of tokens "
                       "that may run meanwhile");
    }
    // The awaited token itself first, if it still waits in a mailbox and may run here: at any
    // depth, since a plain call would be as deep. Its entry there becomes a husk. The domain is the
    // gate's until somebody begins the token.
    const bool own = node.runtime == self->runtime();
    if (own && self->may_run(node.weight_class, node.domain.load(std::memory_order_relaxed)) &&
        node.state.begin_execution_leaving_husk()) {
        self->execute(node, worker::origin::awaited);
        return true;
    }
    return self->wait_for(node, deadline);
}

}  // namespace

void wait_terminal(token_node& node) { static_cast<void>(wait_until(node, std::nullopt)); }

bool wait_terminal_until(token_node& node, std::int64_t deadline) {
    return wait_until(node, deadline);
}

void recycle(token_node& node) noexcept {
    node.type().drop_outcome(node, node.state.phase());
    free_node(node);
}

void throw_undelivered(const token_node& node) {
    throw token_killed(name_of(node) +
                           " was killed before it could deliver a result, because its runtime was "
                           "stopped with a deadline",
                       node.id);
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
