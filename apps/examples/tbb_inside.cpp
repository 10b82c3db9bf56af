// SPDX-License-Identifier: Apache-2.0
// Heavy tokens whose oneTBB algorithms spread over several cores, among many that keep to theirs.
#include <algorithm>
#include <iostream>
#include <numeric>
#include <vector>

#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_sort.h>
#include <oneapi/tbb/task_arena.h>

#include <tokengate/tokengate.hpp>

namespace tg = tokengate;

int main() {
    tg::runtime rt;

    // In an arena over the four cores nearest to the one that the token runs on; with fewer cores,
    // over all.
    auto solve = rt.operation("solve", {.weight = tg::weight::heavy, .arena = tg::domains(4)},
                              [](std::size_t size) {
                                  std::vector<double> row(size);
                                  tbb::parallel_for(std::size_t{0}, size, [&](std::size_t i) {
                                      row[i] = static_cast<double>((i * 7919) % size);
                                  });
                                  tbb::parallel_sort(row);
                                  return std::is_sorted(row.begin(), row.end());
                              });

    // On the core of the token alone: what is beside it on that core helps, nothing else.
    auto smooth = rt.operation("smooth", [](std::size_t size) {
        std::vector<int> cells(size, 1);
        // Nothing that waits in here takes up tasks that belong to others.
        tbb::this_task_arena::isolate([&] {
            tbb::parallel_for(std::size_t{0}, size, [&](std::size_t i) { cells[i] += 1; });
        });
        return std::accumulate(cells.begin(), cells.end(), 0);
    });

    auto width = rt.operation("width", {.weight = tg::weight::heavy, .arena = tg::domains(4)},
                              [] { return tg::this_token::concurrency(); });

    std::vector<tg::token<int>> many;
    many.reserve(100);
    for (int i = 0; i < 100; ++i) many.push_back(smooth(1000U));
    const bool sorted = solve(200'000U).get();
    bool smoothed = true;
    for (const auto& each : many) smoothed = smoothed && each.get() == 2000;

    std::cout << "sorted on up to " << width().get() << " CPUs: " << (sorted ? "yes" : "no")
              << "\n";
    return sorted && smoothed ? 0 : 1;
}
