// SPDX-License-Identifier: Apache-2.0
// P4: what it costs to fork and to join, when a task does nothing else.
#include <tbb/parallel_invoke.h>
#include <tbb/task_group.h>

#include <utility>

#include <tokengate/tokengate.hpp>

#include "support/onetbb.hpp"
#include "support/openmp.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

// A Fibonacci number by its definition. All contenders alike fork one of the two calls that a call
// makes, and make the other in place. The figures are per call, forked or not.
class fibonacci : public contender {
  public:
    explicit fibonacci(const setting& given) {
        for (std::uint64_t calls = 1, before = 1; calls < given.tasks; ++argument_) {
            before = std::exchange(calls, 1 + before + calls);
            expected_ = std::exchange(next_, next_ + expected_);
        }
        forks_ = given.tasks / 2;
    }

    void verify() override { expect_equal("result", std::exchange(result_, -1), expected_); }

  protected:
    [[nodiscard]] int argument() const noexcept { return argument_; }
    // Calls that are forked.
    [[nodiscard]] std::uint64_t forks() const noexcept { return forks_; }
    void deliver(std::int64_t result) noexcept { result_ = result; }

  private:
    int argument_ = 1;
    std::int64_t expected_ = 1;
    std::int64_t next_ = 1;
    std::uint64_t forks_ = 0;
    std::int64_t result_ = -1;
};

class serial : public fibonacci {
  public:
    using fibonacci::fibonacci;

    void run() override { deliver(compute(argument())); }

  private:
    [[gnu::noinline]] static std::int64_t compute(int n) {
        if (n < 2) return n;
        const std::int64_t left = compute(n - 1);
        return left + compute(n - 2);
    }
};

template <class Fork>
class onetbb : public with_arena<fibonacci> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] { deliver(Fork::compute(argument())); });
    }
};

struct grouped {
    static std::int64_t compute(int n) {
        if (n < 2) return n;
        std::int64_t left = 0;
        tbb::task_group group;
        group.run([&left, n] { left = compute(n - 1); });
        const std::int64_t right = compute(n - 2);
        group.wait();
        return left + right;
    }
};

// With one context for the whole computation: one for each call costs half as much again.
struct invoked {
    static std::int64_t compute(int n) {
        tbb::task_group_context context;
        return compute(n, context);
    }

    static std::int64_t compute(int n, tbb::task_group_context& context) {
        if (n < 2) return n;
        std::int64_t left = 0;
        std::int64_t right = 0;
        tbb::parallel_invoke([&left, n, &context] { left = compute(n - 1, context); },
                             [&right, n, &context] { right = compute(n - 2, context); }, context);
        return left + right;
    }
};

class openmp_tasks : public with_team<fibonacci> {
  public:
    using with_team::with_team;

    void run() override {
        team().run([this] { deliver(compute(argument())); });
    }

  private:
    static std::int64_t compute(int n) {
        if (n < 2) return n;
        std::int64_t left = 0;
        openmp_team::task([&left, n] { left = compute(n - 1); });
        const std::int64_t right = compute(n - 2);
        openmp_team::wait();
        return left + right;
    }
};

template <weight Weight>
class tokens : public with_runtime<fibonacci> {
  public:
    using with_runtime::with_runtime;

    void run() override { deliver(fork_(argument()).get()); }

  private:
    // The first call is a token, too.
    [[nodiscard]] std::uint64_t expected_tokens() const override { return 1 + forks(); }

    [[nodiscard]] std::int64_t compute(int n) const {
        if (n < 2) return n;
        token<std::int64_t> left = fork_(n - 1);
        const std::int64_t right = compute(n - 2);
        return std::move(left).get() + right;
    }

    operation<std::int64_t(int)> fork_ =
        host().operation("fibonacci", {.weight = Weight}, [this](int n) { return compute(n); });
};

const registration fork_join{{
    .id = "P4",
    .title = "calls that fib(30) makes (quick: fib(20)), one of two forked, no cut-off",
    .tasks = 2'692'537,
    .quick_tasks = 21'891,  // fib(20)
    .contenders =
        with_openmp<openmp_tasks>({enter<serial>("serial", family::serial),
                                   enter<onetbb<grouped>>("task_group", family::onetbb),
                                   enter<onetbb<invoked>>("parallel_invoke", family::onetbb),
                                   enter<tokens<weight::medium>>("tokengate", family::tokengate),
                                   enter<tokens<weight::heavy>>("heavy", family::tokengate)}),
    .goals = {{.of = "tokengate", .against = {"task_group"}, .limit = 0.5},
              {.of = "tokengate", .against = {"parallel_invoke"}, .limit = 1.0, .floor = true}},
}};

}  // namespace
}  // namespace tokengate::bench
