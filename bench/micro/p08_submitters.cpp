// SPDX-License-Identifier: Apache-2.0
// P8: what it costs to submit when several threads do it at once.
#include <tbb/task_group.h>

#include <algorithm>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/crowd.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

constexpr unsigned submitting_threads = 4;

class submitted : public counted {
  public:
    explicit submitted(const setting& given)
        : counted(given.tasks / submitting_threads * submitting_threads) {}

  protected:
    // How many tasks one thread submits.
    [[nodiscard]] std::uint64_t each() const noexcept { return runs() / submitting_threads; }
    [[nodiscard]] crowd& submitters() noexcept { return submitters_; }

  private:
    crowd submitters_{submitting_threads};
};

// Each submitter has a group of its own, so that they share no counter of tasks.
class grouped : public submitted {
  public:
    grouped(const setting& given, unsigned places)
        : submitted(given),
          limit_(tbb::global_control::max_allowed_parallelism, given.threads + 1),
          arena_(static_cast<int>(places), std::min(places, submitting_threads)) {
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

// A place in the arena for each submitter: all of them run tasks while they wait, even if they are
// more threads than the setting says. Workers fill the places that are left.
class task_group : public grouped {
  public:
    explicit task_group(const setting& given)
        : grouped(given, std::max(given.threads, submitting_threads)) {}
};

// No more places than threads: for a submitter that finds none, oneTBB has another thread run the
// loop that submits.
class narrow_task_group : public grouped {
  public:
    explicit narrow_task_group(const setting& given) : grouped(given, given.threads) {}
};

// The tasks are the workers' alone.
class enqueue : public submitted {
  public:
    explicit enqueue(const setting& given) : submitted(given), arena_(given, submitter::besides) {}

    void run() override {
        const std::uint64_t end = start();
        submitters().all([this] {
            tbb::task_arena& arena = arena_.get();
            for (std::uint64_t i = 0; i < each(); ++i) arena.enqueue([] { tally::count(); });
        });
        tally::wait_for(end);
    }

  private:
    sized_arena arena_;
};

template <weight Weight>
class tokens : public submitted {
  public:
    explicit tokens(const setting& given) : submitted(given), runtime_(one_worker_a_core(given)) {}

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

const registration four_submitters{{
    .id = "P8",
    .title = "empty tasks that four threads submit at once, one by one, all waited for",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<task_group>("task_group", family::onetbb),
                   enter<narrow_task_group>("narrow task_group", family::onetbb),
                   enter<enqueue>("enqueue", family::onetbb),
                   enter<tokens<weight::medium>>("tokengate", family::tokengate),
                   enter<tokens<weight::heavy>>("heavy", family::tokengate)},
    .goals = {{.of = "tokengate", .against = {"task_group", "narrow task_group"}, .limit = 1.0}},
}};

}  // namespace
}  // namespace tokengate::bench
