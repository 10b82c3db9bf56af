// SPDX-License-Identifier: Apache-2.0
/// @file
/// Contenders for which several threads submit empty tasks at once.
#pragma once

#include <tbb/task_group.h>

#include <algorithm>
#include <cstdint>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/crowd.hpp"
#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"

namespace tokengate::bench::submitting {

/// What all of them have in common: the threads that submit, each as many tasks.
class submitted : public counted {
  public:
    submitted(const setting& given, unsigned submitters)
        : counted(given.tasks / submitters * submitters),
          each_(given.tasks / submitters),
          submitters_(submitters) {}

  protected:
    /// How many tasks one thread submits.
    [[nodiscard]] std::uint64_t each() const noexcept { return each_; }
    [[nodiscard]] crowd& submitters() noexcept { return submitters_; }

  private:
    std::uint64_t each_;
    crowd submitters_;
};

/// Each submitter has a group of its own, so that they share no counter of tasks.
class grouped : public submitted {
  public:
    /// @param places  in the arena
    grouped(const setting& given, unsigned count, unsigned places)
        : submitted(given, count), arena_(given, places, std::min(places, count)) {}

    void run() override {
        start();
        submitters().all([this] {
            arena_.get().execute([this] {
                tbb::task_group group;
                run_empty(group, each());
                group.wait();
            });
        });
    }

  private:
    sized_arena arena_;
};

/// A place in the arena for each submitter: all of them run tasks while they wait, even if they are
/// more threads than the setting says. Workers fill the places that are left.
class task_group : public grouped {
  public:
    task_group(const setting& given, unsigned count)
        : grouped(given, count, std::max(given.threads, count)) {}
};

/// No more places than threads: for a submitter that finds none, oneTBB has another thread run the
/// loop that submits.
class narrow_task_group : public grouped {
  public:
    narrow_task_group(const setting& given, unsigned count)
        : grouped(given, count, given.threads) {}
};

/// The tasks are the workers' alone.
class enqueue : public with_arena<submitted, submitter::besides> {
  public:
    using with_arena::with_arena;

    void run() override {
        const std::uint64_t end = start();
        submitters().all([this] { enqueue_empty(arena(), each()); });
        tally::wait_for(end);
    }
};

template <weight Weight>
class tokens : public with_empty_tokens<submitted, Weight> {
  public:
    using with_empty_tokens<submitted, Weight>::with_empty_tokens;

    void run() override {
        this->start();
        this->submitters().all([this] { this->submit(this->each()); });
        this->host().wait_idle();
    }
};

}  // namespace tokengate::bench::submitting
