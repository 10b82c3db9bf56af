// SPDX-License-Identifier: Apache-2.0
/// @file
/// Threads that do the same at the same time.
#pragma once

#include <barrier>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace tokengate::bench {

/// Some threads that sleep until all of them do the same. They live as long as the crowd, so that
/// no thread is started while a clock runs.
class crowd {
  public:
    explicit crowd(unsigned size) : meeting_(size + 1) {
        for (unsigned i = 0; i < size; ++i) {
            threads_.emplace_back([this] { serve(); });
        }
    }

    ~crowd() {
        act_ = nullptr;
        meeting_.arrive_and_wait();
    }

    crowd(const crowd&) = delete;
    crowd& operator=(const crowd&) = delete;

    /// Every thread calls `act`, which must not throw. Returns when all have.
    void all(std::function<void()> act) {
        act_ = std::move(act);
        meeting_.arrive_and_wait();
        meeting_.arrive_and_wait();
    }

  private:
    void serve() {
        for (;;) {
            meeting_.arrive_and_wait();
            if (!act_) return;
            act_();
            meeting_.arrive_and_wait();
        }
    }

    std::function<void()> act_;  // written only while all threads wait at the barrier
    std::barrier<> meeting_;
    std::vector<std::jthread> threads_;  // last: joined before the barrier ends
};

}  // namespace tokengate::bench
