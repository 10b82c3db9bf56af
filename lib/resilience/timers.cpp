// SPDX-License-Identifier: Apache-2.0
#include "resilience/timers.hpp"

#include <pthread.h>
#include <chrono>
#include <string>
#include <system_error>

#include <tokengate/error.hpp>

namespace tokengate::detail {

timers::timers() : usual_cpus_(this_thread_mask()) {}

timers::~timers() {
    if (!thread_.joinable()) return;
    {
        const std::scoped_lock guard(lock_);
        over_ = true;
        changed_.notify_one();
    }
    thread_.join();
}

void timers::start() {
    const std::scoped_lock guard(lock_);
    if (thread_.joinable()) return;
    try {
        thread_ = std::thread([this] {
            // Whoever is the first to need it may be pinned. If the system refuses, the time is
            // kept all the same.
            if (!usual_cpus_.empty()) set_this_thread_mask(usual_cpus_);
            pthread_setname_np(pthread_self(), "tg-timer");
            loop();
        });
    } catch (const std::system_error& refused) {
        throw resource_error(std::string("the thread that keeps the time of run_timeout cannot be "
                                         "started: ") +
                             refused.what() +
                             ". Allow more threads (ulimit -u), or leave run_timeout out");
    }
}

void timers::arm(alarm& which, steady_ns when) noexcept {
    const std::scoped_lock guard(lock_);
    const steady_ns due = armed_.arm(which, when);
    if (due >= sleeps_until_) return;
    // It wakes up once, however many want it to.
    sleeps_until_ = 0;
    // With the lock held: the alarm may ring before this returns, and be the last thing that these
    // timers are there for.
    changed_.notify_one();
}

bool timers::disarm(alarm& which) noexcept {
    const std::scoped_lock guard(lock_);
    return armed_.disarm(which);
}

void* timers::claim_one(const alarm_kind& kind) noexcept {
    const std::scoped_lock guard(lock_);
    while (alarm* const found = armed_.take_one(kind)) {
        if (void* const subject = kind.claim(*found)) return subject;
    }
    return nullptr;
}

void timers::loop() noexcept {
    using clock = std::chrono::steady_clock;
    std::unique_lock guard(lock_);
    while (!over_) {
        const steady_ns now = steady_now();
        if (alarm* const due = armed_.expire(now)) {
            const alarm_kind& kind = due->kind();
            void* const subject = kind.claim(*due);
            // From here on the alarm may be gone.
            guard.unlock();
            if (subject != nullptr) kind.ring(subject);
            guard.lock();
            continue;
        }
        const steady_ns next = armed_.next();
        if (next <= now) {
            // There is more to do; others may have the lock in between.
            guard.unlock();
            guard.lock();
            continue;
        }
        sleeps_until_ = next;
        if (next == never) {
            changed_.wait(guard);
        } else {
            changed_.wait_until(guard, clock::time_point(std::chrono::nanoseconds(next)));
        }
        sleeps_until_ = 0;
    }
}

}  // namespace tokengate::detail
