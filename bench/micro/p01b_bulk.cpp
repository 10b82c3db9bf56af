// SPDX-License-Identifier: Apache-2.0
// P1b: what a task costs if all of them are known at once.
#include <tbb/parallel_for.h>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"

namespace tokengate::bench {
namespace {

// For information: bodies of a loop are no tasks, they cannot be asked or killed and end together.
class parallel_for : public with_arena<counted> {
  public:
    using with_arena::with_arena;

    void run() override {
        start();
        arena().execute([this] {
            tbb::parallel_for(std::uint64_t{0}, runs(), [](std::uint64_t) { tally::count(); });
        });
    }
};

template <weight Weight>
class tokens : public with_runtime<counted> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        start();
        empty_.bulk(runs()).wait();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return runs(); }

    operation<void()> empty_ = empty_operation<Weight>(host());
};

// oneTBB's tasks go one by one: it has no call that makes many of them.
const registration bulks{{
    .id = "P1b",
    .title = "one thread submits empty tasks, TokenGate all at once, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<empty_group>("task_group", family::onetbb),
                   enter<parallel_for>("parallel_for", family::onetbb),
                   enter<tokens<weight::medium>>("bulk", family::tokengate),
                   enter<tokens<weight::heavy>>("heavy", family::tokengate)},
    .goals = {{.of = "bulk", .against = {"task_group"}, .limit = 0.15},
              {.of = "bulk", .measure = goal::kind::absolute, .limit = 15.0},
              {.of = "heavy", .against = {"task_group"}, .limit = 0.15},
              {.of = "heavy", .measure = goal::kind::absolute, .limit = 15.0}},
}};

}  // namespace
}  // namespace tokengate::bench
