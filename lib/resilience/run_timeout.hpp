// SPDX-License-Identifier: Apache-2.0
/// @file
/// Ends runs of callables whose time is over. Protocol: README.md, "Runs that are timed".
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include <tokengate/detail/node.hpp>

#include "resilience/timers.hpp"

namespace tokengate::detail {

/// How long the callables of some operations of a runtime may run.
class run_limit {
  public:
    run_limit(timers& by, std::chrono::nanoseconds longest);

    [[nodiscard]] timers& clock() const noexcept { return clock_; }
    [[nodiscard]] std::chrono::nanoseconds longest() const noexcept { return longest_; }

    /// What the error of a token says that ran longer.
    [[nodiscard]] const std::string& why() const noexcept { return why_; }

  private:
    timers& clock_;
    const std::chrono::nanoseconds longest_;
    const std::string why_;
};

/// The limits of a runtime, each of them once.
///
/// Thread safety: any thread.
class run_limits {
  public:
    explicit run_limits(timers& by) noexcept : clock_(by) {}

    /// Stays where it is. A lock.
    /// @throws std::bad_alloc
    [[nodiscard]] const run_limit& of(std::chrono::nanoseconds longest);

  private:
    timers& clock_;
    std::mutex lock_;
    std::map<std::chrono::nanoseconds, run_limit> limits_;
};

/// The frame type of the same callable, but timed: its runs end when the operation's limit is over.
/// Lives as long as the process. A lock, unless it is timed already.
/// @throws std::bad_alloc
[[nodiscard]] const frame_type& timed_frame(const frame_type& type);

}  // namespace tokengate::detail
