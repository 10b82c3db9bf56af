// SPDX-License-Identifier: Apache-2.0
// P10: how much memory tasks take that wait, and how much of it comes back.
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
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

/// Bytes of the process that are in memory.
std::int64_t resident() {
    // Not /proc/self/statm: some kernels round there by megabytes.
    std::ifstream source("/proc/self/smaps_rollup");
    for (std::string word; source >> word;) {
        std::int64_t kibibytes = 0;
        if (word == "Rss:" && source >> kibibytes) return kibibytes * 1024;
    }
    throw wrong_result("/proc/self/smaps_rollup does not say what is resident");
}

/// Keeps the threads busy that would run tasks.
class gate_keeper {
  public:
    /// What a task does that holds its thread.
    void hold() {
        holding_.fetch_add(1);
        released_.wait(false);
    }

    /// Returns when that many threads are held.
    void wait_for(unsigned threads) const {
        while (holding_.load() < threads) std::this_thread::sleep_for(100us);
    }

    void release() {
        released_.store(true);
        released_.notify_all();
    }

  private:
    std::atomic<unsigned> holding_{0};
    std::atomic<bool> released_{false};
};

enum class look : std::uint8_t {
    queued,  // all tasks wait
    after,   // all have run, and memory had its time to go back
};

// For what is given back by threads that have come to rest.
constexpr auto time_to_settle = 200ms;

/// @tparam Threads  built from the setting, it has its threads; hold() holds them all, queue(n)
///                  submits n tasks that call tally::count(), finish() lets everything run
template <class Threads>
class memory : public contender {
  public:
    memory(const setting& given, look when) : given_(given), when_(when) {}

    // A process of its own: the memory that an allocator keeps would hide what the next
    // repetition takes.
    void run() override {
        bytes_ = in_own_process([this] { return bytes_for_each(); });
    }

    void verify() override {}  // in bytes_for_each(): that is another process

    [[nodiscard]] std::optional<double> figure() const override { return bytes_; }

  private:
    [[nodiscard]] double bytes_for_each() const {
        const std::int64_t empty = resident();
        Threads threads(given_);
        threads.hold();
        const std::int64_t idle = resident();
        threads.queue(given_.tasks);
        const std::int64_t full = resident();
        expect_equal("tasks run too early", static_cast<std::int64_t>(tally::finished()), 0);
        threads.finish();
        expect_equal("tasks run", static_cast<std::int64_t>(tally::finished()),
                     static_cast<std::int64_t>(given_.tasks));
        std::this_thread::sleep_for(time_to_settle);
        const std::int64_t afterwards = resident();
        // What a runtime takes at its start, so as to be able to queue, counts for what is queued;
        // it need not give that back.
        const std::int64_t taken = when_ == look::queued ? full - empty : afterwards - idle;
        return static_cast<double>(taken) / static_cast<double>(given_.tasks);
    }

    setting given_;
    look when_;
    double bytes_ = 0;
};

// The submitter is one of the threads; the tasks wait in its deque.
class task_group {
  public:
    explicit task_group(const setting& given)
        : others_(given.threads - 1), arena_(given, submitter::included) {}

    void hold() {
        arena_.get().execute([this] {
            for (unsigned i = 0; i < others_; ++i) group_.run([this] { keeper_.hold(); });
        });
        keeper_.wait_for(others_);
    }

    void queue(std::uint64_t tasks) {
        arena_.get().execute([this, tasks] { run_empty(group_, tasks); });
    }

    void finish() {
        keeper_.release();
        arena_.get().execute([this] { group_.wait(); });
    }

  private:
    unsigned others_;
    gate_keeper keeper_;
    sized_arena arena_;
    tbb::task_group group_;
};

class enqueue {
  public:
    explicit enqueue(const setting& given)
        : threads_(given.threads), arena_(given, submitter::besides) {}

    void hold() {
        for (unsigned i = 0; i < threads_; ++i) arena_.get().enqueue([this] { keeper_.hold(); });
        keeper_.wait_for(threads_);
    }

    void queue(std::uint64_t tasks) {
        queued_ = tasks;
        enqueue_empty(arena_.get(), tasks);
    }

    void finish() {
        keeper_.release();
        tally::wait_for(queued_);
    }

  private:
    unsigned threads_;
    std::uint64_t queued_ = 0;
    gate_keeper keeper_;
    sized_arena arena_;
};

template <weight Weight>
class tokens {
  public:
    explicit tokens(const setting& given) : threads_(given.threads), runtime_(roomy(given)) {}

    void hold() {
        for (unsigned i = 0; i < threads_; ++i) hold_.post();
        keeper_.wait_for(threads_);
    }

    void queue(std::uint64_t tasks) {
        queued_ = tasks;
        submit_empty(empty_, tasks);
    }

    void finish() {
        keeper_.release();
        runtime_.expect_completed(queued_ + threads_);
    }

  private:
    // Room for all tokens in each lane: the tokens of a class may all wait in one.
    static config roomy(const setting& given) {
        config wanted = one_domain_a_thread(given);
        wanted.workers_per_core = 1;  // as many as hold() holds
        wanted.in_flight_limit = static_cast<std::int64_t>(given.tasks + given.threads);
        wanted.mailbox_capacity = wanted.in_flight_limit;
        return wanted;
    }

    unsigned threads_;
    std::uint64_t queued_ = 0;
    gate_keeper keeper_;
    checked_runtime runtime_;
    operation<void()> hold_ =
        runtime_.get().operation("hold", {.weight = weight::heavy}, [this] { keeper_.hold(); });
    operation<void()> empty_ = empty_operation<Weight>(runtime_.get());
};

std::vector<entry> contenders(look when) {
    return {enter<memory<task_group>>("task_group", family::onetbb, when),
            enter<memory<enqueue>>("enqueue", family::onetbb, when),
            enter<memory<tokens<weight::medium>>>("tokengate", family::tokengate, when),
            enter<memory<tokens<weight::heavy>>>("heavy", family::tokengate, when)};
}

// Few rounds: the same happens in each, but for a few pages.
constexpr unsigned rounds = 3;

const registration queued{{
    .id = "P10",
    .title = "empty tasks that wait, one thread has submitted them: memory for each",
    .tasks = 10'000'000,
    .quick_tasks = 100'000,
    .unit = "bytes/task",
    .most_rounds = rounds,
    .contenders = contenders(look::queued),
    .goals = {{.of = "tokengate", .measure = goal::kind::absolute, .limit = 160},
              {.of = "heavy", .measure = goal::kind::absolute, .limit = 160}},
}};

const registration afterwards{{
    .id = "P10b",
    .title = "empty tasks that have waited and run: memory still held for each",
    .tasks = 10'000'000,
    .quick_tasks = 100'000,
    .unit = "bytes/task",
    .most_rounds = rounds,
    .contenders = contenders(look::after),
    .goals = {{.of = "tokengate", .measure = goal::kind::absolute, .limit = 1},
              {.of = "heavy", .measure = goal::kind::absolute, .limit = 1}},
}};

}  // namespace
}  // namespace tokengate::bench
