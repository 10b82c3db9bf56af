// SPDX-License-Identifier: Apache-2.0
/// @file
/// Ends runs of callables whose time is over. Protocol: README.md.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include <tokengate/detail/node.hpp>

#include "sleep/futex.hpp"

namespace tokengate::detail {

class timers;

/// The runs that are timed with one limit, in the order of their deadlines, which is that of their
/// beginnings: the same limit for all. So each step takes constant time, and no memory.
class timer_list {
  public:
    timer_list(timers& owner, std::chrono::nanoseconds limit);

    /// One timed run; on the stack of the worker, for as long as the callable runs.
    class run {
      public:
        run(timer_list& home, token_node& node) noexcept;
        ~run();
        run(const run&) = delete;
        run& operator=(const run&) = delete;

      private:
        friend class timer_list;
        friend class timers;
        timer_list& home_;
        token_node& node_;
        steady_ns deadline_ = 0;
        bool listed_ = false;
        run* previous_ = nullptr;
        run* next_ = nullptr;
    };

  private:
    friend class timers;

    // All under the lock of the timers.
    void append(run& newest) noexcept;
    void remove(run& which) noexcept;

    timers& owner_;
    const std::chrono::nanoseconds limit_;
    const std::string why_;  ///< what the error of a token says
    run* first_ = nullptr;
    run* last_ = nullptr;
};

/// The timers of a runtime: a thread that sleeps until the next deadline, or for ever if there is
/// none. It exists if an operation has a limit.
class timers {
  public:
    timers() = default;
    /// Ends the thread; nothing runs any more.
    ~timers();
    timers(const timers&) = delete;
    timers& operator=(const timers&) = delete;

    /// The list for a limit. Any thread.
    /// @throws resource_error if there is no thread to be had, std::bad_alloc
    [[nodiscard]] timer_list& list_for(std::chrono::nanoseconds limit);

  private:
    friend class timer_list;
    friend class timer_list::run;

    void loop() noexcept;
    [[nodiscard]] timer_list::run* earliest() noexcept;

    std::mutex lock_;
    std::condition_variable changed_;
    std::map<std::chrono::nanoseconds, timer_list> lists_;  ///< their addresses stay
    steady_ns sleeps_until_ = 0;                            ///< 0: it is awake
    bool over_ = false;
    std::thread thread_;
};

/// The frame type of the same callable, but timed: its runs end when the operation's limit is over.
/// Lives as long as the process. A lock, unless it is timed already.
/// @throws std::bad_alloc
[[nodiscard]] const frame_type& timed_frame(const frame_type& type);

}  // namespace tokengate::detail
