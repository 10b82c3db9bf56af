// SPDX-License-Identifier: Apache-2.0
/// @file
/// Empty tasks: they do nothing but count themselves.
#pragma once

#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <cstdint>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {

inline void run_empty(tbb::task_group& group, std::uint64_t tasks) {
    for (std::uint64_t i = 0; i < tasks; ++i) group.run([] { tally::count(); });
}

inline void enqueue_empty(tbb::task_arena& arena, std::uint64_t tasks) {
    for (std::uint64_t i = 0; i < tasks; ++i) arena.enqueue([] { tally::count(); });
}

template <weight Weight>
[[nodiscard]] operation<void()> empty_operation(runtime& host) {
    return host.operation("empty", {.weight = Weight}, [] { tally::count(); });
}

inline void submit_empty(const operation<void()>& empty, std::uint64_t tasks) {
    for (std::uint64_t i = 0; i < tasks; ++i) empty.post();
}

/// oneTBB's contender for empty tasks that one thread submits: one group, one by one.
class empty_group : public with_arena<counted> {
  public:
    using with_arena::with_arena;

    void run() override {
        start();
        arena().execute([this] {
            tbb::task_group group;
            run_empty(group, runs());
            group.wait();
        });
    }
};

/// The base of TokenGate's contenders whose tasks are all empty tokens. `Base` is derived from
/// counted.
template <class Base, weight Weight>
class with_empty_tokens : public with_runtime<Base> {
  public:
    using with_runtime<Base>::with_runtime;

  protected:
    void submit(std::uint64_t tasks) const { submit_empty(empty_, tasks); }

    [[nodiscard]] std::uint64_t expected_tokens() const override { return this->runs(); }

  private:
    operation<void()> empty_ = empty_operation<Weight>(this->host());
};

}  // namespace tokengate::bench
