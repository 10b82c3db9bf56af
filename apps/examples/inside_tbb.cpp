// SPDX-License-Identifier: Apache-2.0
// Tokens that are called from raw oneTBB code, and awaited there.
#include <atomic>
#include <functional>
#include <iostream>
#include <vector>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/task_group.h>

#include <tokengate/tokengate.hpp>

namespace tg = tokengate;

int main() {
    tg::runtime rt;

    auto square = rt.operation("square", [](long n) { return n * n; });
    auto journal = rt.operation("journal", {.weight = tg::weight::light}, [](long) {});

    // A body blocks its thread while it waits, as in any lock: better to call all tokens of a range
    // first, and wait for them then.
    const long sum = tbb::parallel_reduce(
        tbb::blocked_range<long>(0, 1000), 0L,
        [&](const tbb::blocked_range<long>& range, long part) {
            std::vector<tg::token<long>> squares;
            for (long n = range.begin(); n < range.end(); ++n) squares.push_back(square(n));
            for (const auto& each : squares) part += each.get();
            return part;
        },
        std::plus<>());
    std::cout << "the squares of 0 to 999 add up to " << sum << "\n";

    // Tasks of a group, too; what nobody waits for costs the tasks nothing.
    std::atomic<long> found{0};
    tbb::task_group tasks;
    for (long n = 0; n < 10; ++n) {
        tasks.run([&, n] {
            journal.post(n);
            found += square(n).get();
        });
    }
    tasks.wait();
    std::cout << "those of 0 to 9 to " << found << "\n";
    return sum == 332'833'500 && found == 285 ? 0 : 1;
}
