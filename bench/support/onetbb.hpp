// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the raw oneTBB contenders get their threads.
#pragma once

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

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
        : limit_(tbb::global_control::max_allowed_parallelism, given.threads + 1),
          arena_(static_cast<int>(given.threads), counted == submitter::included ? 1U : 0U) {
        arena_.initialize();
    }

    [[nodiscard]] tbb::task_arena& get() noexcept { return arena_; }

  private:
    // oneTBB counts the submitting thread, and by default starts one worker less than there are
    // CPUs. The lowest limit of the process holds, so that all contenders ask for the same.
    tbb::global_control limit_;
    tbb::task_arena arena_;
};

}  // namespace tokengate::bench
