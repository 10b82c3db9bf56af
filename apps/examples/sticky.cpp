// SPDX-License-Identifier: Apache-2.0
// Sticky keys: calls for the same data run on the same core, where the data is in the cache.
#include <tokengate/tokengate.hpp>

#include <cstddef>
#include <iostream>
#include <numeric>
#include <vector>

namespace tg = tokengate;

int main() {
    constexpr std::size_t shards = 8;
    constexpr std::size_t size = 10'000;  // prices in a shard
    constexpr int days = 20;
    std::vector<std::vector<double>> prices(shards, std::vector<double>(size, 1.0));

    tg::runtime rt({.cores = 4});  // four domains, also on a smaller machine

    // The key is the name "shard" and all arguments: both operations work on the same data.
    const auto by_shard = tg::sticky::by_anchor_and_arguments("shard");
    auto raise = rt.operation("raise", {.sticky = by_shard}, [&](std::size_t shard) {
        for (double& price : prices[shard]) price += 1.0;
    });
    auto total = rt.operation("total", {.sticky = by_shard}, [&](std::size_t shard) {
        return std::accumulate(prices[shard].begin(), prices[shard].end(), 0.0);
    });

    // While a call with a key is in flight, others with that key join it in its domain. A hold
    // keeps the key there between the calls, too.
    std::vector<tg::key_hold> homes(shards);
    for (std::size_t i = 0; i < shards; ++i) {
        homes[i] = raise.hold(i);  // this shard stays in one domain from now on
    }

    std::vector<int> at_home(shards);
    std::vector<tg::token<void>> raised(shards);
    std::vector<tg::token<double>> totals(shards);
    for (int day = 0; day < days; ++day) {
        for (std::size_t i = 0; i < shards; ++i) {
            raised[i] = raise(i);
            // Sharing a domain is not a lock: that one comes after the other is said here.
            totals[i] = rt.after(raised[i]).call(total, i);
        }
        tg::wait_all(totals);
        for (std::size_t i = 0; i < shards; ++i) {
            if (raised[i].domain() == homes[i].domain()) ++at_home[i];
            if (totals[i].domain() == homes[i].domain()) ++at_home[i];
        }
    }

    bool right = true;
    for (std::size_t i = 0; i < shards; ++i) {
        std::cout << "shard " << i << ": " << at_home[i] << " of " << 2 * days
                  << " calls in domain " << homes[i].domain() << ", total " << totals[i].get()
                  << "\n";
        right = right && at_home[i] == 2 * days && totals[i].get() == size * (1.0 + days);
    }
    return right ? 0 : 1;
}
