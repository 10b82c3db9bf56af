// SPDX-License-Identifier: Apache-2.0
// P1: what it costs to submit a task, hand it to another thread and learn that it is done.
#include <tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/onetbb.hpp"
#include "support/openmp.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

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

// The submitter is busy almost to the end: one more worker would only get in its way.
class enqueue : public counted {
  public:
    explicit enqueue(const setting& given)
        : counted(given.tasks), arena_(given, submitter::included) {}

    void run() override {
        const std::uint64_t end = start();
        tbb::task_arena& arena = arena_.get();
        for (std::uint64_t i = 0; i < runs(); ++i) arena.enqueue([] { tally::count(); });
        tally::wait_for(end);
    }

  private:
    sized_arena arena_;
};

class enqueue_deferred : public counted {
  public:
    explicit enqueue_deferred(const setting& given)
        : counted(given.tasks), arena_(given, submitter::included) {}

    void run() override {
        start();
        tbb::task_arena& arena = arena_.get();
        arena.execute([this, &arena] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < runs(); ++i) {
                arena.enqueue(group.defer([] { tally::count(); }));
            }
            group.wait();
        });
    }

  private:
    sized_arena arena_;
};

class openmp_tasks : public with_team<counted> {
  public:
    explicit openmp_tasks(const setting& given) : with_team(given, given.tasks) {}

    void run() override {
        start();
        team().run([this] {
            for (std::uint64_t i = 0; i < runs(); ++i) openmp_team::task([] { tally::count(); });
        });
    }
};

template <weight Weight>
class tokens : public counted {
  public:
    explicit tokens(const setting& given)
        : counted(given.tasks), runtime_(one_worker_a_core(given)) {}

    void run() override {
        start();
        for (std::uint64_t i = 0; i < runs(); ++i) static_cast<void>(empty_());
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

const registration empty_tasks{{
    .id = "P1",
    .title = "one thread submits empty tasks one by one, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = with_openmp<openmp_tasks>(
        {enter<task_group>("task_group", family::onetbb), enter<enqueue>("enqueue", family::onetbb),
         enter<enqueue_deferred>("enqueue_deferred", family::onetbb),
         enter<tokens<weight::medium>>("tokengate", family::tokengate),
         enter<tokens<weight::heavy>>("heavy", family::tokengate)}),
    .goals = {{.of = "tokengate", .against = {"task_group"}, .limit = 0.5},
              {.of = "tokengate",
               .against = {"enqueue", "enqueue_deferred"},
               .limit = 1.0,
               .floor = true}},
}};

}  // namespace
}  // namespace tokengate::bench
