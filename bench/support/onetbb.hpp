// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the raw oneTBB contenders get their threads.
#pragma once

#include <tbb/global_control.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <cstdint>

#include "support/work.hpp"

namespace tokengate::bench {

/// Whether the thread that submits the tasks is one of those that the setting counts.
enum class submitter : std::uint8_t {
    included,  ///< yes: it runs tasks while it waits, or it submits almost to the end
    besides,   ///< no: it soon does nothing but wait, so that all the threads are oneTBB's
};

/// A task_arena for as many threads as the setting says.
class sized_arena {
  public:
    sized_arena(const setting& given, submitter counted)
        : sized_arena(given, given.threads, counted == submitter::included ? 1U : 0U) {}

    /// @param places  threads that can be in it at once
    /// @param reserved  how many of these places are for threads that submit
    sized_arena(const setting& given, unsigned places, unsigned reserved)
        : limit_(tbb::global_control::max_allowed_parallelism, given.threads + 1),
          arena_(static_cast<int>(places), reserved) {
        arena_.initialize();
    }

    [[nodiscard]] tbb::task_arena& get() noexcept { return arena_; }

  private:
    // oneTBB counts the submitting thread, and by default starts one worker less than there are
    // CPUs. The lowest limit of the process holds, so that all contenders ask for the same.
    tbb::global_control limit_;
    tbb::task_arena arena_;
};

/// The base of oneTBB's contenders of a work whose contenders have the base `Base`.
template <class Base, submitter Counted = submitter::included>
class with_arena : public Base {
  public:
    /// @param more  what the constructor of `Base` gets besides the setting
    template <class... A>
    explicit with_arena(const setting& given, const A&... more)
        : Base(given, more...), arena_(given, Counted) {}

  protected:
    [[nodiscard]] tbb::task_arena& arena() noexcept { return arena_.get(); }

  private:
    sized_arena arena_;
};

/// Runs body(i) for each i below `count` as a task of the group, and waits until the group is done.
template <class Body>
void run_all(tbb::task_group& group, std::uint64_t count, const Body& body) {
    for (std::uint64_t i = 0; i < count; ++i) group.run([&body, i] { body(i); });
    group.wait();
}

}  // namespace tokengate::bench
