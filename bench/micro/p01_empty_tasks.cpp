// SPDX-License-Identifier: Apache-2.0
// P1: what it costs to submit a task, hand it to another thread and learn that it is done.
#include <tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/openmp.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"

namespace tokengate::bench {
namespace {

// The submitter is busy almost to the end: one more worker would only get in its way.
class enqueue : public with_arena<counted> {
  public:
    using with_arena::with_arena;

    void run() override {
        const std::uint64_t end = start();
        enqueue_empty(arena(), runs());
        tally::wait_for(end);
    }
};

class enqueue_deferred : public with_arena<counted> {
  public:
    using with_arena::with_arena;

    void run() override {
        start();
        arena().execute([this] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < runs(); ++i) {
                arena().enqueue(group.defer([] { tally::count(); }));
            }
            group.wait();
        });
    }
};

class openmp_tasks : public with_team<counted> {
  public:
    using with_team::with_team;

    void run() override {
        start();
        team().run([this] {
            for (std::uint64_t i = 0; i < runs(); ++i) openmp_team::task([] { tally::count(); });
        });
    }
};

template <weight Weight>
class tokens : public with_empty_tokens<counted, Weight> {
  public:
    using with_empty_tokens<counted, Weight>::with_empty_tokens;

    void run() override {
        this->start();
        this->submit(this->runs());
        this->host().wait_idle();
    }
};

const registration empty_tasks{{
    .id = "P1",
    .title = "one thread submits empty tasks one by one, waits for all",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders =
        with_openmp<openmp_tasks>({enter<empty_group>("task_group", family::onetbb),
                                   enter<enqueue>("enqueue", family::onetbb),
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
