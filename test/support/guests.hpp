// SPDX-License-Identifier: Apache-2.0
/// @file
/// Threads of oneTBB's that help a token: enough of them, and proof that they have come.
#pragma once

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>

#include <tokengate/tokengate.hpp>

#include "domain/worker.hpp"
#include "hold.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {

/// While it lives, oneTBB may have so many threads, however few CPUs there are.
class onetbb_threads {
  public:
    explicit onetbb_threads(std::size_t count)
        : limit_(tbb::global_control::max_allowed_parallelism, count) {}

  private:
    tbb::global_control limit_;
};

/// True if the calling thread is a worker of some runtime.
inline bool is_worker() { return detail::worker::current() != nullptr; }

/// Calls body() once on the worker that the caller is, and, at the same time, on one guest at
/// least, inside one algorithm of oneTBB's. False if no guest comes.
template <class Body>
[[nodiscard]] bool beside_a_guest(Body&& body) {
    std::atomic<bool> came{false};
    std::atomic<bool> alone{false};
    std::atomic<bool> done_here{false};
    tbb::parallel_for(
        0, 64,
        [&](int) {
            if (!is_worker()) {
                if (came.exchange(true)) return;
                body();
                return;
            }
            if (alone || done_here.exchange(true)) return;
            if (!eventually([&] { return came.load(); })) alone = true;
            body();
        },
        tbb::simple_partitioner());
    return came && !alone;
}

/// The CPUs that threads may run on, by thread.
class mask_book {
  public:
    void note() {
        const std::scoped_lock guard(lock_);
        masks_.push_back(detail::this_thread_mask());
        threads_.insert(std::this_thread::get_id());
    }

    [[nodiscard]] bool all_are(const detail::cpu_mask& wanted) const {
        for (const detail::cpu_mask& each : masks_) {
            if (each != wanted) return false;
        }
        return !masks_.empty();
    }

    /// True if each may run on these CPUs only.
    [[nodiscard]] bool all_within(const detail::cpu_mask& wanted) const {
        for (const detail::cpu_mask& each : masks_) {
            for (const unsigned cpu : each.cpus()) {
                if (!wanted.contains(cpu)) return false;
            }
        }
        return !masks_.empty();
    }

    [[nodiscard]] std::size_t threads() const { return threads_.size(); }

  private:
    std::mutex lock_;
    std::vector<detail::cpu_mask> masks_;
    std::set<std::thread::id> threads_;
};

}  // namespace tokengate::test
