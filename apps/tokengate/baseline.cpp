// SPDX-License-Identifier: Apache-2.0
#include "baseline.hpp"

#include <thread>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "works.hpp"

namespace tokengate::app {

struct baseline_side::arena {
    explicit arena(unsigned threads) : tasks(static_cast<int>(threads)) {
        // By itself oneTBB starts no more threads than there are CPUs.
        if (threads > std::thread::hardware_concurrency()) {
            more_threads = std::make_unique<tbb::global_control>(
                tbb::global_control::max_allowed_parallelism, threads);
        }
    }

    tbb::task_arena tasks;
    std::unique_ptr<tbb::global_control> more_threads;
};

baseline_side::baseline_side(unsigned threads, std::uint64_t seed)
    : arena_(std::make_unique<arena>(threads)), seed_(seed) {}

baseline_side::~baseline_side() = default;

wave_run baseline_side::run(std::size_t tasks) {
    wave_run wave(tasks);
    arena_->tasks.execute([&] {
        tbb::task_group group;
        wave.begun = steady::now();
        for (std::size_t i = 0; i < tasks; ++i) {
            wave.submitted[i] = steady::now();
            group.run([&wave, i, seed = seed_] {
                wave.reports[i] = measured([&] { return perform(work_of(i), i, seed); });
            });
        }
        group.wait();
        wave.finished = steady::now();
    });
    return wave;
}

}  // namespace tokengate::app
