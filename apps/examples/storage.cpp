// SPDX-License-Identifier: Apache-2.0
// Storage: so many callables work on a disk at once as that likes, and the cores go on meanwhile.
#include <tokengate/tokengate.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <iostream>
#include <thread>
#include <vector>

namespace tg = tokengate;
using namespace std::chrono_literals;

int main() {
    std::atomic<std::size_t> reading{0};
    std::atomic<std::size_t> most{0};

    tg::runtime rt({.cores = 2});

    // Ten at once, in the whole process: that is what `slow` says.
    auto load = rt.operation("load", {.storage = tg::storage::slow}, [&](int block) {
        const std::size_t now = ++reading;
        for (std::size_t seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {}
        std::this_thread::sleep_for(1ms);  // stands for the disk
        --reading;
        return block;
    });
    auto compute = rt.operation("compute", [](int n) { return n * n; });

    tg::set_storage_limit(tg::storage::slow, 4);  // this disk likes it quiet

    std::vector<tg::token<int>> blocks;
    blocks.reserve(40);
    for (int block = 0; block < 40; ++block) blocks.push_back(load(block));
    std::cout << "computed meanwhile: " << compute(12).get() << "\n";

    int sum = 0;
    for (const auto& each : blocks) sum += each.get();
    const tg::storage_stats seen = tg::stats_of(tg::storage::slow);
    std::cout << "sum " << sum << ", at most " << most << " at once, limit " << seen.limit << "\n";
    return sum == 780 && most <= 4 ? 0 : 1;
}
