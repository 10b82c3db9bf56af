// SPDX-License-Identifier: Apache-2.0
// P7: how long a task takes from its submission to its start, when there is nothing else to do.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <future>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/cpus.hpp"
#include "support/onetbb.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

using steady = std::chrono::steady_clock;

/// How the submitter passes the time from one submission to the next.
struct rhythm {
    std::chrono::microseconds gap;
    bool asleep;  ///< it sleeps, so that its core is idle, too; otherwise it watches the clock
};

// Shorter than idle workers of either library spin: most tasks find one that is awake.
constexpr rhythm short_gap{.gap = std::chrono::microseconds(20), .asleep = false};
// Longer than any of them spins: all are asleep.
constexpr rhythm long_gap{.gap = std::chrono::milliseconds(20), .asleep = true};

// A late submission, because the submitter had lost its core, delays those after it: each comes a
// full gap after the one before. A late start delays nothing: the next task comes all the same.
class latency : public counted {
  public:
    latency(const setting& given, const rhythm& between)
        : counted(given.tasks),
          between_(between),
          machine_(topology::discover({.domains = given.threads})),
          home_(cpus_of(0)),
          submitted_(given.tasks),
          started_(given.tasks),
          micros_(given.tasks) {}

    void prepare() override { std::ranges::fill(started_, steady::time_point{}); }

    void run() override {
        const std::uint64_t end = start();
        steady::time_point next = steady::now();
        for (std::size_t i = 0; i < submitted_.size(); ++i) {
            rest_until(next);
            submitted_[i] = steady::now();
            next = submitted_[i] + between_.gap;
            submit(i);
        }
        finish();
        tally::wait_for(end);
    }

    void verify() override {
        counted::verify();
        for (std::size_t i = 0; i < micros_.size(); ++i) {
            if (started_[i] < submitted_[i]) throw wrong_result("a task has not stamped its start");
            const std::chrono::duration<double, std::micro> taken = started_[i] - submitted_[i];
            micros_[i] = taken.count();
        }
    }

    [[nodiscard]] std::span<const double> samples() const override { return micros_; }

  protected:
    /// The CPUs of a domain of TokenGate; no number is too large. Empty on a machine that is only
    /// described (HWLOC_SYNTHETIC).
    [[nodiscard]] std::vector<unsigned> cpus_of(std::size_t domain) const {
        if (!machine_.binds()) return {};
        return machine_.domain(std::min(domain, machine_.size() - 1)).cpus;
    }

    /// Has task `index` call started().
    virtual void submit(std::size_t index) = 0;

    /// Called after the last submission.
    virtual void finish() {}

    /// What a task does first. Each has a stamp of its own; who counts the task publishes it.
    void stamp(std::size_t index) { started_[index] = steady::now(); }

    /// What a task does.
    void started(std::size_t index) {
        stamp(index);
        tally::count();
    }

  private:
    void rest_until(steady::time_point next) const {
        if (!between_.asleep) {
            while (steady::now() < next) {}
            return;
        }
        std::this_thread::sleep_until(next);
        // A wake-up on the waker's own core takes half the time of one across cores, and more
        // submitters keep their core than go to sleep at once. So chance must not decide.
        move_to(home_);
    }

    rhythm between_;
    topology machine_;
    std::vector<unsigned> home_;
    std::vector<steady::time_point> submitted_;
    std::vector<steady::time_point> started_;
    std::vector<double> micros_;
};

/// What the system takes to wake a thread on another core that sleeps on a futex: the one where
/// medium tokens run.
class futex_wake : public latency {
  public:
    futex_wake(const setting& given, const rhythm& between)
        : latency(given, between), sleeper_([this] { serve(); }) {}

    ~futex_wake() override {
        // Release, here and in submit(): pairs with the acquire load in serve().
        over_.store(true, std::memory_order_release);
        called_.fetch_add(1, std::memory_order_release);
        call(FUTEX_WAKE_PRIVATE, 1);
        sleeper_.join();
    }
    futex_wake(const futex_wake&) = delete;
    futex_wake& operator=(const futex_wake&) = delete;

  protected:
    void submit(std::size_t) override {
        called_.fetch_add(1, std::memory_order_release);
        call(FUTEX_WAKE_PRIVATE, 1);
    }

  private:
    void serve() {
        bind_to(cpus_of(1));
        std::uint32_t served = 0;
        for (;;) {
            while (called_.load(std::memory_order_acquire) == served) {
                call(FUTEX_WAIT_PRIVATE, served);
            }
            if (over_.load(std::memory_order_acquire)) return;
            started(served++ % runs());
        }
    }

    void call(int what, std::uint32_t value) {
        static_assert(sizeof(called_) == sizeof(std::uint32_t));
        syscall(SYS_futex, &called_, what, value, nullptr, nullptr, 0);
    }

    std::atomic<std::uint32_t> called_{0};
    std::atomic<bool> over_{false};
    std::thread sleeper_;
};

/// A thread for each task. The submitter awaits its end eight tasks later, when it is long over,
/// and counts it: tally has no room for so many threads.
class async : public latency {
  public:
    using latency::latency;

  protected:
    void submit(std::size_t index) override {
        std::future<void>& place = running_[index % running_.size()];
        // The end of the one before comes after this one's submission.
        std::future<void> before =
            std::exchange(place, std::async(std::launch::async, [this, index] { stamp(index); }));
        await(before);
    }

    void finish() override {
        for (std::future<void>& each : running_) await(each);
    }

  private:
    static void await(std::future<void>& task) {
        if (!task.valid()) return;
        task.get();
        tally::count();
    }

    std::array<std::future<void>, 8> running_;
};

template <submitter Place>
class enqueue : public with_arena<latency, Place> {
  public:
    using with_arena<latency, Place>::with_arena;

  protected:
    void submit(std::size_t index) override {
        this->arena().enqueue([this, index] { this->started(index); });
    }
};

template <weight Weight>
class tokens : public with_runtime<latency> {
  public:
    using with_runtime::with_runtime;

  protected:
    void submit(std::size_t index) override { stamp_.post(index); }

    [[nodiscard]] std::uint64_t expected_tokens() const override { return runs(); }

  private:
    operation<void(std::size_t)> stamp_ = host().operation(
        "stamp", {.weight = Weight}, [this](std::size_t index) { started(index); });
};

std::vector<entry> contenders(const rhythm& between) {
    return {enter<futex_wake>("futex", family::other, between),
            enter<async>("async", family::other, between),
            enter<enqueue<submitter::besides>>("enqueue", family::onetbb, between),
            enter<enqueue<submitter::included>>("enqueue, one less", family::onetbb, between),
            enter<tokens<weight::medium>>("tokengate", family::tokengate, between),
            enter<tokens<weight::heavy>>("heavy", family::tokengate, between)};
}

const registration one_every_20_us{{
    .id = "P7",
    .title = "single tasks, one every 20 us: from submission to start",
    .tasks = 10'000,
    .quick_tasks = 500,
    .unit = "us",
    .contenders = contenders(short_gap),
    .goals = {{.of = "tokengate",
               .against = {"enqueue", "enqueue, one less"},
               .figure = "p50",
               .limit = 1.0},
              {.of = "tokengate",
               .against = {"enqueue", "enqueue, one less"},
               .figure = "p99",
               .limit = 1.0}},
}};

const registration one_every_20_ms{{
    .id = "P7b",
    .title = "single tasks, one every 20 ms, when all threads sleep: from submission to start",
    .tasks = 25,
    .quick_tasks = 5,
    .unit = "us",
    .contenders = contenders(long_gap),
    .goals = {{.of = "tokengate", .against = {"futex"}, .figure = "p50", .limit = 1.1},
              {.of = "tokengate",
               .against = {"enqueue", "enqueue, one less"},
               .figure = "p50",
               .limit = 1.0}},
}};

}  // namespace
}  // namespace tokengate::bench
