// SPDX-License-Identifier: Apache-2.0
// Tasks that a thread waits for. Protocol: README.md.
#include <optional>
#include <thread>

#include <tokengate/task.hpp>

#include "domain/permit.hpp"
#include "domain/worker.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

waiting_loop::waiting_loop() noexcept : executor(nullptr), helper_(worker::current()) {}

bool waiting_loop::has_news() const noexcept {
    // Acquire: pairs with the release in ended(): what the coroutines did is seen.
    return has_ready() || finished_.load(std::memory_order_acquire);
}

void waiting_loop::run(std::coroutine_handle<> body) {
    const deque_marks begun = helper_ != nullptr ? helper_->marks() : deque_marks{};
    body.resume();
    for (;;) {
        run_ready();
        // Acquire: as above.
        if (finished_.load(std::memory_order_acquire)) break;
        await_news(begun);
    }
    // What was given up may be about to be told, and a token that went on with the coroutines may
    // be about to return from them, still: that takes a few steps. Acquire: pairs with the release
    // in let_go().
    while (held_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    drop_ready();
}

void waiting_loop::await_news(const deque_marks& begun) {
    if (helper_ != nullptr) {
        const permit_loan lent(helper_);
        helper_->help_until(
            [](const void* self) { return static_cast<const waiting_loop*>(self)->has_news(); },
            this, begun);
        return;
    }
    for (int i = 0; i < pauses_before_sleep; ++i) {
        if (has_news()) return;
        cpu_pause();
    }
    const blocking_section asleep(blocked_by::tokens);
    while (!has_news()) {
        futex_wait(signal_, 0);
        // Acquire: pairs with wake(): what was pushed before is seen now, what comes later sets it
        // again.
        signal_.exchange(0, std::memory_order_acq_rel);
    }
}

// Others help with anything that there is, if nobody stands in.
bool waiting_loop::is_alone() const noexcept {
    if (!helper_->has_turn()) return false;
    const bool replaced = helper_->begin_blocking();
    helper_->end_blocking();
    return !replaced;
}

bool waiting_loop::holds_up(const token_node& awaited) const noexcept {
    // Looked at in this order: one that is not terminal has been there all the time.
    return helper_->executing.holds_up(awaited) && !is_terminal(awaited.state.phase());
}

void waiting_loop::bring_about(token_node& awaited) {
    if (holds_up(awaited)) throw_deadlock(awaited);
    std::optional<worker::isolation> limits;
    if (helper_->has_turn()) limits.emplace(*helper_);
    const permit_loan lent(helper_);
    static_cast<void>(helper_->run_awaited(awaited));
}

void waiting_loop::ended() noexcept {
    finished_.store(true, std::memory_order_release);
    if (away()) wake();
}

void waiting_loop::hold() noexcept {
    // Relaxed: by the coroutine, which keeps the loop.
    held_.fetch_add(1, std::memory_order_relaxed);
}

void waiting_loop::let_go() noexcept { held_.fetch_sub(1, std::memory_order_release); }

void waiting_loop::wake() noexcept {
    if (helper_ != nullptr) {
        helper_->wake.notify_one();
    } else if (signal_.exchange(1, std::memory_order_acq_rel) == 0) {
        futex_wake_all(signal_);
    }
}

}  // namespace tokengate::detail
