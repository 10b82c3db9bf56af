// SPDX-License-Identifier: Apache-2.0
/// @file
/// The thread of a runtime that keeps the time. Protocol: README.md.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "resilience/alarm.hpp"
#include "resilience/wheel.hpp"
#include "sleep/futex.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

/// The timers of a runtime: alarms, and a thread that sleeps until the next of them is due, or for
/// ever if there is none.
///
/// Thread safety: any thread may call anything, from inside alarms that ring, too.
class timers {
  public:
    /// No thread yet; when there is one, it may run wherever the calling thread may.
    timers();
    /// Ends the thread: an alarm that rings is waited for, no other rings any more.
    ~timers();
    timers(const timers&) = delete;
    timers& operator=(const timers&) = delete;

    /// Makes the thread, unless there is one. Before the first alarm.
    /// @throws resource_error if there is no thread to be had
    void start();

    /// Has an alarm ring, once, when the time has come: not earlier, and later by up to 66 us and
    /// what the thread takes to wake up. One that is armed already is moved. Takes a lock and
    /// constant time; wakes the thread if it would sleep for too long.
    void arm(alarm& which, steady_ns when) noexcept;

    /// True: it was armed, and does not ring. False: it was not, or it was claimed, which is over,
    /// and rings now or has rung. Takes a lock and constant time.
    bool disarm(alarm& which) noexcept;

    /// Disarms and claims an alarm of a kind, any of them, as if its time had come; but it does not
    /// ring, the caller does with its subject what is to be done instead. Null: there is none.
    /// Looks at all alarms, with the lock held.
    [[nodiscard]] void* claim_one(const alarm_kind& kind) noexcept;

  private:
    void loop() noexcept;

    const cpu_mask usual_cpus_;
    std::mutex lock_;
    std::condition_variable changed_;
    wheel armed_;
    steady_ns sleeps_until_ = 0;  ///< 0: it is awake, or about to be
    bool over_ = false;
    std::thread thread_;
};

}  // namespace tokengate::detail
