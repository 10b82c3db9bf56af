// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tells of callables that run for too long, while they do.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "resilience/alarm.hpp"
#include "resilience/supervision.hpp"
#include "resilience/timers.hpp"

namespace tokengate::detail {

class worker;

/// The name of a worker's thread, as the system shows it.
[[nodiscard]] std::string name_of_thread(const worker& which);

/// The system's number of the calling thread. A system call, the first time.
[[nodiscard]] std::int64_t number_of_this_thread() noexcept;

/// One watched run; on the stack of the worker, for as long as the callable runs. Two short locks.
class slow_run final : public alarm {
  public:
    /// Rings once, so much later: then the token's monitor tells of it.
    slow_run(timers& by, supervision& record, std::chrono::nanoseconds after) noexcept;
    ~slow_run() { clock_.disarm(*this); }
    slow_run(const slow_run&) = delete;
    slow_run& operator=(const slow_run&) = delete;

  private:
    static void* claim(alarm& which) noexcept;
    static void ring(void* subject) noexcept;
    static const alarm_kind is_slow;

    timers& clock_;
    supervision& record_;
    const worker& runner_;
    const std::int64_t thread_;
};

}  // namespace tokengate::detail
