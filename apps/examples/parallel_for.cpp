// SPDX-License-Identifier: Apache-2.0
// Loops whose blocks are tokens. An affinity lets each block meet the same core in each sweep.
#include <tokengate/tokengate.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <iostream>
#include <vector>

namespace tg = tokengate;

int main() {
    constexpr std::size_t grain = 4096;  // elements in a block
    constexpr int sweeps = 100;
    std::vector<double> values(1'000'000);
    std::vector<double> next(values.size());
    tg::runtime rt;

    tg::parallel_for(rt, values, grain, [](double& each) { each = 1.0; });
    values.front() = 1000.0;

    // Heat that spreads. A body that takes an interval gets a block of indices at once.
    std::atomic<int> at_home{0};
    const std::size_t blocks = tg::block_count(values, grain);
    const tg::affinity homes(rt, blocks);
    const auto smooth = [&](tg::interval block) {
        if (tg::this_token::domain() == homes.domain(block.first / grain)) at_home.fetch_add(1);
        for (const std::size_t i : block) {
            const std::size_t left = std::max<std::size_t>(i, 1) - 1;
            const std::size_t right = std::min(i + 1, values.size() - 1);
            next[i] = 0.25 * values[left] + 0.5 * values[i] + 0.25 * values[right];
        }
    };
    for (int sweep = 0; sweep < sweeps; ++sweep) {
        tg::parallel_for(values, grain, smooth, homes);  // block i where it was before
        std::swap(values, next);
    }
    std::cout << blocks << " blocks, each at home in " << at_home / static_cast<int>(blocks)
              << " of " << sweeps << " sweeps\n";

    // Nothing is lost. The sum has the same bits in each run: blocks are combined in their order.
    const double sum = tg::parallel_reduce(rt, values, grain, 0.0, std::identity(), std::plus<>());
    const auto add = [&](tg::interval block) {
        double all = 0.0;
        for (const std::size_t i : block) all += values[i];
        return all;
    };
    const double again = tg::parallel_reduce(rt, values.size(), grain, 0.0, add, std::plus<>());
    std::cout << "sum " << sum << "\n";

    // Inside a token: in its own runtime.
    auto rows = rt.operation("rows", [](std::size_t count) {
        std::atomic<std::size_t> pairs{0};
        tg::parallel_for(count, 1, [&](std::size_t row) {
            tg::parallel_for(row, 100, [&](tg::interval block) { pairs += block.size(); });
        });
        return pairs.load();
    });
    const bool well = at_home == sweeps * static_cast<int>(blocks) && sum > 1'000'998.0 &&
                      sum < 1'001'000.0 && rows(500U).get() == 500U * 499 / 2;
    return well && sum == again ? 0 : 1;
}
