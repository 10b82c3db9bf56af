// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counts finished tasks without slowing them down.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <thread>

namespace tokengate::bench {

/// How many tasks have finished, in all contenders together: one padded counter for each thread
/// that ever ran a task, so that counting costs a load and a store in the thread's own cache. One
/// shared counter would cost more than the tasks that it counts.
///
/// Thread safety: everything may be called from any thread.
class tally {
  public:
    /// Called last in a task.
    static void count() {
        if (mine_ == nullptr) [[unlikely]]
            mine_ = claim();
        // Relaxed: only this thread writes it. The release store pairs with finished().
        mine_->tasks.store(mine_->tasks.load(std::memory_order_relaxed) + 1,
                           std::memory_order_release);
    }

    /// Tasks so far. What the counted tasks wrote is visible afterwards.
    [[nodiscard]] static std::uint64_t finished() {
        // Acquire: pairs with claim(), so that a counter is seen before it is used.
        const std::size_t threads = claimed_.load(std::memory_order_acquire);
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < threads; ++i) {
            // Acquire: pairs with the store in count().
            sum += counters_[i].tasks.load(std::memory_order_acquire);
        }
        return sum;
    }

    /// Waits until finished() is at least `goal`. It sleeps between looks: that leaves the cores to
    /// the workers, and costs at most some 0.1 ms at the end of a run.
    static void wait_for(std::uint64_t goal) {
        while (finished() < goal) std::this_thread::sleep_for(std::chrono::microseconds(20));
    }

  private:
    struct alignas(64) counter {
        std::atomic<std::uint64_t> tasks;
    };

    [[gnu::cold, gnu::noinline]] static counter* claim() {
        // Release: pairs with the acquire load in finished().
        const std::size_t index = claimed_.fetch_add(1, std::memory_order_release);
        if (index >= counters_.size()) std::abort();
        return &counters_[index];
    }

    static inline std::array<counter, 4096> counters_{};
    static inline std::atomic<std::size_t> claimed_{0};
    static inline constinit thread_local counter* mine_ = nullptr;
};

}  // namespace tokengate::bench
