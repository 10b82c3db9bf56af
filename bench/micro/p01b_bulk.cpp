// SPDX-License-Identifier: Apache-2.0
// P1b: what a task costs if all of them are known at once.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

// One by one: oneTBB has no call that makes many tasks.
class task_group : public counted {
  public:
    explicit task_group(const setting& given)
        : counted(given.tasks), arena_(given, submitter::included) {}

    void run() override {
        start();
        arena_.get().execute([this] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < runs(); ++i) group.run([] { tally::count(); });
            group.wait();
        });
    }

  private:
    sized_arena arena_;
};

// For information: bodies of a loop are no tasks, they cannot be asked or killed and end together.
class parallel_for : public counted {
  public:
    explicit parallel_for(const setting& given)
        : counted(given.tasks), arena_(given, submitter::included) {}

    void run() override {
        start();
        arena_.get().execute([this] {
            tbb::parallel_for(std::uint64_t{0}, runs(), [](std::uint64_t) { tally::count(); });
        });
    }

  private:
    sized_arena arena_;
};

template <weight Weight>
class tokens : public counted {
  public:
    explicit tokens(const setting& given)
        : counted(given.tasks), runtime_(one_worker_a_core(given)) {}

    void run() override {
        start();
        static_cast<void>(empty_.bulk(runs()));
        runtime_.wait_idle();
    }

    void verify() override {
        counted::verify();
        expect_completed(runtime_, completed_, runs());
    }

  private:
    runtime runtime_;
    operation<void()> empty_ =
        runtime_.operation("empty", {.weight = Weight}, [] { tally::count(); });
    std::uint64_t completed_ = 0;
};

const registration bulks{{
    .id = "P1b",
    .title = "one thread submits empty tasks, TokenGate all at once, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<task_group>("task_group", family::onetbb),
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
