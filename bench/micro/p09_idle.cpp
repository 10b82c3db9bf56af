// SPDX-License-Identifier: Apache-2.0
// P9: what a process costs that has nothing to do.
#include <tbb/task_group.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <thread>

#include <tokengate/tokengate.hpp>

#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/own_process.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

using namespace std::chrono_literals;

// From the end of the last task until every thread must have found its rest.
constexpr auto time_to_settle = 100ms;
// The doing nothing that is measured, for each task that was run before: 500 ms in all.
constexpr auto watched_for_each_task = 50us;

// Of all threads of the process.
std::chrono::nanoseconds cpu_time() {
    timespec used{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

/// @tparam Threads  built from the setting, it has its threads; run(n) has them run n tasks, each
///                  of which calls tally::count(), and returns when all are done
template <class Threads>
class idle : public contender {
  public:
    explicit idle(const setting& given) : given_(given) {}

    // A process of its own: the threads of other contenders, though asleep, are not in this one.
    void run() override {
        share_ = in_own_process([this] { return share(); });
    }

    void verify() override {}  // in share(): that is another process

    [[nodiscard]] std::optional<double> figure() const override { return share_; }

  private:
    [[nodiscard]] double share() const {
        Threads threads(given_);
        threads.run(given_.tasks);
        expect_equal("tasks run", static_cast<std::int64_t>(tally::finished()),
                     static_cast<std::int64_t>(given_.tasks));
        std::this_thread::sleep_for(time_to_settle);
        const auto watched = watched_for_each_task * given_.tasks;
        const auto since = std::chrono::steady_clock::now();
        const std::chrono::nanoseconds before = cpu_time();
        std::this_thread::sleep_for(watched);
        const std::chrono::duration<double> used = cpu_time() - before;
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - since;
        return 100.0 * (used / passed);
    }

    setting given_;
    double share_ = 0;
};

// A process without threads: what it costs to sleep and to look at the clocks.
class none {
  public:
    explicit none(const setting&) {}
    void run(std::uint64_t tasks) {
        for (std::uint64_t i = 0; i < tasks; ++i) tally::count();
    }
};

class task_group {
  public:
    explicit task_group(const setting& given) : arena_(given, submitter::included) {}
    void run(std::uint64_t tasks) {
        arena_.get().execute([tasks] {
            tbb::task_group group;
            run_empty(group, tasks);
            group.wait();
        });
    }

  private:
    sized_arena arena_;
};

class enqueue {
  public:
    explicit enqueue(const setting& given) : arena_(given, submitter::besides) {}
    void run(std::uint64_t tasks) {
        enqueue_empty(arena_.get(), tasks);
        tally::wait_for(tasks);
    }

  private:
    sized_arena arena_;
};

template <weight Weight>
class tokens {
  public:
    explicit tokens(const setting& given) : runtime_(given) {}
    void run(std::uint64_t tasks) {
        submit_empty(empty_, tasks);
        runtime_.expect_completed(tasks);
    }

  private:
    checked_runtime runtime_;
    operation<void()> empty_ = empty_operation<Weight>(runtime_.get());
};

const registration idle_process{{
    .id = "P9",
    .title = "tasks, then rest: CPU time of the process while it does nothing",
    .tasks = 10'000,
    .quick_tasks = 1'000,
    .unit = "% of a CPU",
    .contenders = {enter<idle<none>>("no threads", family::serial),
                   enter<idle<task_group>>("task_group", family::onetbb),
                   enter<idle<enqueue>>("enqueue", family::onetbb),
                   enter<idle<tokens<weight::medium>>>("tokengate", family::tokengate),
                   enter<idle<tokens<weight::heavy>>>("heavy", family::tokengate)},
    .goals = {{.of = "tokengate", .measure = goal::kind::absolute, .limit = 0.1},
              {.of = "heavy", .measure = goal::kind::absolute, .limit = 0.1}},
}};

}  // namespace
}  // namespace tokengate::bench
