// SPDX-License-Identifier: Apache-2.0
// P2: what it costs to bring a result back from each task.
#include <tbb/task_group.h>
#include <tbb/tbb_allocator.h>

#include <future>
#include <memory>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

// Cheap, but no sum that a compiler could know.
[[nodiscard]] constexpr int result_of(std::uint64_t task) noexcept {
    return static_cast<int>((task * 2654435761U >> 12) & 0xffff);
}

class summed : public contender {
  public:
    explicit summed(const setting& given) : tasks_(given.tasks) {
        for (std::uint64_t i = 0; i < tasks_; ++i) expected_ += result_of(i);
    }

    void verify() override { expect_equal("sum of the results", sum_, expected_); }

  protected:
    [[nodiscard]] std::uint64_t tasks() const noexcept { return tasks_; }
    void deliver(std::int64_t sum) noexcept { sum_ = sum; }

  private:
    std::uint64_t tasks_;
    std::int64_t expected_ = 0;
    std::int64_t sum_ = 0;
};

// The results go straight into a vector that outlives the tasks: no future could be cheaper.
class task_group : public with_arena<summed> {
  public:
    explicit task_group(const setting& given) : with_arena(given), results_(given.tasks) {}

    void run() override {
        arena().execute([this] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < tasks(); ++i) {
                group.run([slot = &results_[i], i] { *slot = result_of(i); });
            }
            group.wait();
        });
        std::int64_t sum = 0;
        for (const int each : results_) sum += each;
        deliver(sum);
    }

    void verify() override {
        summed::verify();
        results_.assign(results_.size(), -1);
    }

  private:
    std::vector<int> results_;
};

class enqueue_promise : public with_arena<summed, submitter::besides> {
  public:
    using with_arena::with_arena;

    void run() override {
        std::vector<std::promise<int>> promises;
        promises.reserve(tasks());
        for (std::uint64_t i = 0; i < tasks(); ++i) {
            // oneTBB's own allocator for the shared state; malloc costs a few per cent more.
            promises.emplace_back(std::allocator_arg, tbb::tbb_allocator<int>());
            arena().enqueue([promise = &promises[i], i] { promise->set_value(result_of(i)); });
        }
        std::int64_t sum = 0;
        for (std::promise<int>& each : promises) sum += each.get_future().get();
        deliver(sum);
    }
};

template <weight Weight>
class tokens : public with_runtime<summed> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        std::vector<token<int>> handles;
        handles.reserve(tasks());
        for (std::uint64_t i = 0; i < tasks(); ++i) handles.push_back(number_(i));
        std::int64_t sum = 0;
        for (const token<int>& each : handles) sum += each.get();
        deliver(sum);
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return tasks(); }

    operation<int(std::uint64_t)> number_ = host().operation(
        "number", {.weight = Weight}, [](std::uint64_t task) { return result_of(task); });
};

const registration results{{
    .id = "P2",
    .title = "tasks that return an int, all results collected",
    .tasks = 200'000,
    .quick_tasks = 20'000,
    .contenders = {enter<task_group>("task_group", family::onetbb),
                   enter<enqueue_promise>("enqueue", family::onetbb),
                   enter<tokens<weight::medium>>("tokengate", family::tokengate),
                   enter<tokens<weight::heavy>>("heavy", family::tokengate)},
    .goals = {{.of = "tokengate", .against = {"task_group", "enqueue"}, .limit = 0.35}},
}};

}  // namespace
}  // namespace tokengate::bench
