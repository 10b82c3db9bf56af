// SPDX-License-Identifier: Apache-2.0
// Tasks that a thread waits for. Protocol: README.md.
#include <thread>

#include <tokengate/task.hpp>

#include "sleep/futex.hpp"

namespace tokengate::detail {

waiting_loop::~waiting_loop() {
    // What was given up may be about to be told, still: that takes a few steps. Acquire: pairs with
    // the release in let_go().
    while (held_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
    drop_ready();
}

void waiting_loop::run(std::coroutine_handle<> body) {
    body.resume();
    while (!body.done()) {
        if (has_ready()) {
            run_ready();
            continue;
        }
        for (int i = 0; i < pauses_before_sleep && !has_ready(); ++i) cpu_pause();
        if (has_ready()) continue;
        blocking_section asleep;
        while (!has_ready()) {
            futex_wait(signal_, 0);
            // Acquire: pairs with wake(): what was pushed before is seen now, what comes later sets
            // it again.
            signal_.exchange(0, std::memory_order_acq_rel);
        }
    }
}

void waiting_loop::hold() noexcept {
    // Relaxed: by the coroutine, which keeps the loop.
    held_.fetch_add(1, std::memory_order_relaxed);
}

void waiting_loop::let_go() noexcept { held_.fetch_sub(1, std::memory_order_release); }

void waiting_loop::wake() noexcept {
    if (signal_.exchange(1, std::memory_order_acq_rel) == 0) futex_wake_all(signal_);
}

}  // namespace tokengate::detail
