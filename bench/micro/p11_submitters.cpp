// SPDX-License-Identifier: Apache-2.0
// P11, second part: whether a task costs the same when more threads submit.
#include <tbb/task_group.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/crowd.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

class submitted : public counted {
  public:
    submitted(const setting& given, unsigned submitters)
        : counted(given.tasks), each_(given.tasks / submitters), submitters_(submitters) {}

  protected:
    /// How many tasks one thread submits.
    [[nodiscard]] std::uint64_t each() const noexcept { return each_; }
    [[nodiscard]] crowd& submitters() noexcept { return submitters_; }

  private:
    std::uint64_t each_;
    crowd submitters_;
};

// Each submitter has a group of its own, and a place in the arena, where it runs tasks while it
// waits; workers fill the places that are left.
class task_group : public submitted {
  public:
    task_group(const setting& given, unsigned count)
        : submitted(given, count),
          limit_(tbb::global_control::max_allowed_parallelism, given.threads + 1),
          arena_(static_cast<int>(std::max(given.threads, count)), count) {
        arena_.initialize();
    }

    void run() override {
        start();
        submitters().all([this] {
            arena_.execute([this] {
                tbb::task_group group;
                for (std::uint64_t i = 0; i < each(); ++i) group.run([] { tally::count(); });
                group.wait();
            });
        });
    }

  private:
    tbb::global_control limit_;
    tbb::task_arena arena_;
};

// The tasks are the workers' alone.
class enqueue : public submitted {
  public:
    enqueue(const setting& given, unsigned count)
        : submitted(given, count), arena_(given, submitter::besides) {}

    void run() override {
        const std::uint64_t end = start();
        submitters().all([this] {
            for (std::uint64_t i = 0; i < each(); ++i) arena_.get().enqueue([] { tally::count(); });
        });
        tally::wait_for(end);
    }

  private:
    sized_arena arena_;
};

template <weight Weight>
class tokens : public submitted {
  public:
    tokens(const setting& given, unsigned count)
        : submitted(given, count), runtime_(one_worker_a_core(given)) {}

    void run() override {
        start();
        submitters().all([this] {
            for (std::uint64_t i = 0; i < each(); ++i) static_cast<void>(empty_());
        });
        runtime_.wait_idle();
    }

    void verify() override {
        submitted::verify();
        expect_completed(runtime_, completed_, runs());
    }

  private:
    runtime runtime_;
    operation<void()> empty_ =
        runtime_.operation("empty", {.weight = Weight}, [] { tally::count(); });
    std::uint64_t completed_ = 0;
};

work of_submitters(std::string_view id, std::string_view title, unsigned count) {
    return {.id = id,
            .title = title,
            .tasks = 1U << 20U,
            .quick_tasks = 1U << 14U,
            .curve = "submitters",
            .at = static_cast<double>(count),
            .contenders = {enter<task_group>("task_group", family::onetbb, count),
                           enter<enqueue>("enqueue", family::onetbb, count),
                           enter<tokens<weight::medium>>("tokengate", family::tokengate, count),
                           enter<tokens<weight::heavy>>("heavy", family::tokengate, count)},
            .goals = {{.of = "tokengate", .measure = goal::kind::flat, .limit = 0.15}}};
}

const std::array<registration, 5> submitter_curve{
    registration(of_submitters("P11o", "empty tasks, submitted by 1 thread", 1)),
    registration(of_submitters("P11p", "empty tasks, submitted by 2 threads at once", 2)),
    registration(of_submitters("P11q", "empty tasks, submitted by 4 threads at once", 4)),
    registration(of_submitters("P11r", "empty tasks, submitted by 8 threads at once", 8)),
    registration(of_submitters("P11s", "empty tasks, submitted by 16 threads at once", 16)),
};

}  // namespace
}  // namespace tokengate::bench
