// SPDX-License-Identifier: Apache-2.0
// P1: what it costs to submit a task, hand it to another thread and learn that it is done.
#include <tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

// The tasks are empty but for the count that proves that each of them ran, once.
class counted : public contender {
  public:
    explicit counted(const setting& given) : tasks_(given.tasks) {}

    void verify() override {
        const std::uint64_t now = tally::finished();
        expect_equal("tasks run", static_cast<std::int64_t>(now - before_),
                     static_cast<std::int64_t>(tasks_));
    }

  protected:
    [[nodiscard]] std::uint64_t tasks() const noexcept { return tasks_; }

    // Called first in run(): others have counted since the last one.
    std::uint64_t start() {
        before_ = tally::finished();
        return before_ + tasks_;
    }

  private:
    std::uint64_t tasks_;
    std::uint64_t before_ = 0;
};

class task_group : public counted {
  public:
    explicit task_group(const setting& given)
        : counted(given), arena_(given, submitter::included) {}

    void run() override {
        start();
        arena_.get().execute([this] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < tasks(); ++i) group.run([] { tally::count(); });
            group.wait();
        });
    }

  private:
    sized_arena arena_;
};

// The submitter is busy almost to the end: one more worker would only get in its way.
class enqueue : public counted {
  public:
    explicit enqueue(const setting& given) : counted(given), arena_(given, submitter::included) {}

    void run() override {
        const std::uint64_t end = start();
        tbb::task_arena& arena = arena_.get();
        for (std::uint64_t i = 0; i < tasks(); ++i) arena.enqueue([] { tally::count(); });
        tally::wait_for(end);
    }

  private:
    sized_arena arena_;
};

class enqueue_deferred : public counted {
  public:
    explicit enqueue_deferred(const setting& given)
        : counted(given), arena_(given, submitter::included) {}

    void run() override {
        start();
        tbb::task_arena& arena = arena_.get();
        arena.execute([this, &arena] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < tasks(); ++i) {
                arena.enqueue(group.defer([] { tally::count(); }));
            }
            group.wait();
        });
    }

  private:
    sized_arena arena_;
};

template <weight Weight>
class tokens : public counted {
  public:
    explicit tokens(const setting& given) : counted(given), runtime_(one_worker_a_core(given)) {}

    void run() override {
        start();
        for (std::uint64_t i = 0; i < tasks(); ++i) static_cast<void>(empty_());
        runtime_.wait_idle();
    }

    void verify() override {
        counted::verify();
        expect_completed(runtime_, completed_, tasks());
    }

  private:
    runtime runtime_;
    operation<void()> empty_ =
        runtime_.operation("empty", {.weight = Weight}, [] { tally::count(); });
    std::uint64_t completed_ = 0;
};

const registration empty_tasks{{
    .id = "P1",
    .title = "one thread submits empty tasks one by one, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<task_group>("task_group", family::onetbb),
                   enter<enqueue>("enqueue", family::onetbb),
                   enter<enqueue_deferred>("enqueue_deferred", family::onetbb),
                   enter<tokens<weight::medium>>("tokengate", family::tokengate),
                   enter<tokens<weight::heavy>>("heavy", family::tokengate)},
    .goals = {{.of = "tokengate", .against = {"task_group"}, .limit = 0.5},
              {.of = "tokengate",
               .against = {"enqueue", "enqueue_deferred"},
               .limit = 1.0,
               .floor = true}},
}};

}  // namespace
}  // namespace tokengate::bench
