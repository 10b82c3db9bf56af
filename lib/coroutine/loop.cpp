// SPDX-License-Identifier: Apache-2.0
// Tasks that a thread waits for. Protocol: README.md.
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <tokengate/task.hpp>

#include "domain/ending.hpp"
#include "domain/permit.hpp"
#include "domain/worker.hpp"
#include "mutants.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

waiting_loop::waiting_loop() noexcept
    : executor(nullptr), helper_(worker::current()), owner_(std::this_thread::get_id()) {}

waiting_loop::~waiting_loop() {
    for (const expectation& each : {expected_, behind_}) {
        if (each.awaited != nullptr) drop_reference(*each.awaited);
    }
}

bool waiting_loop::has_news() const noexcept {
    // Acquire: pairs with the release in ended(): what the coroutines did is seen.
    return has_ready() || finished_.load(std::memory_order_acquire);
}

void waiting_loop::run(std::coroutine_handle<> body) {
    body.resume();
    for (;;) {
        run_ready();
        // Acquire: as above.
        if (finished_.load(std::memory_order_acquire)) break;
        await_news();
    }
    // What was given up may be about to be told, and a token that went on with the coroutines may
    // be about to return from them, still: that takes a few steps. Acquire: pairs with the release
    // in let_go().
    while (held_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    drop_ready();
}

void waiting_loop::await_news() {
    if (helper_ != nullptr) {
        help_or_sleep();
        return;
    }
    for (int i = 0; i < pauses_before_sleep; ++i) {
        if (has_news()) return;
        cpu_pause();
    }
    const blocking_section asleep;
    while (!has_news()) {
        futex_wait(signal_, 0);
        // Acquire: pairs with wake(): what was pushed before is seen now, what comes later sets it
        // again.
        signal_.exchange(0, std::memory_order_acq_rel);
    }
}

void waiting_loop::help_or_sleep() {
    while (!has_news()) {
        const event_count::ticket ticket = helper_->wake.look();
        if (const expectation next = take_expectation(); next.awaited != nullptr) {
            if (!mutants::task_is_not_helped) help(next);
            drop_reference(*next.awaited);
            continue;
        }
        if (has_news()) return;
        // Somebody is about to tell, or runs a visit that was killed.
        const blocking_section asleep;
        helper_->wake.park(ticket);
    }
}

waiting_loop::expectation waiting_loop::take_expectation() noexcept {
    const std::scoped_lock guard(lock_);
    return std::exchange(expected_.awaited != nullptr ? expected_ : behind_, {});
}

// As a thread that waits for the token itself.
void waiting_loop::help(const expectation& what) {
    token_node& awaited = *what.awaited;
    const interruption news{.came =
                                [](const void* self) noexcept {
                                    return static_cast<const waiting_loop*>(self)->has_news();
                                },
                            .source = this};
    bool closes_a_cycle =
        helper_->executing.holds_up(awaited) && !is_terminal(awaited.state.phase());
    if (!closes_a_cycle) {
        std::optional<worker::isolation> limits;
        if (helper_->has_turn()) limits.emplace(*helper_);
        const permit_loan lent(helper_);
        closes_a_cycle = helper_->wait_for(awaited, std::nullopt, &news) == wait_end::deadlock;
    }
    // It waits still, since nobody else goes on with it than this thread.
    if (closes_a_cycle && what.by != nullptr && !has_news()) what.by->refuse();
}

void waiting_loop::set(expectation& which, const expectation& what) noexcept {
    what.awaited->state.retain();
    expectation before;
    {
        const std::scoped_lock guard(lock_);
        before = std::exchange(which, what);
    }
    if (before.awaited != nullptr) drop_reference(*before.awaited);
    if (std::this_thread::get_id() != owner_) helper_->wake.notify_one();
}

void waiting_loop::expect(token_node& awaited, coroutine_wait* by) noexcept {
    if (helper_ != nullptr) set(expected_, {.awaited = &awaited, .by = by});
}

void waiting_loop::expect_visit(token_node& by) noexcept {
    if (helper_ != nullptr) set(behind_, {.awaited = &by, .by = nullptr});
}

void waiting_loop::ended() noexcept {
    finished_.store(true, std::memory_order_release);
    if (std::this_thread::get_id() != owner_) wake();
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
