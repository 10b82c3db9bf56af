// SPDX-License-Identifier: Apache-2.0
// Coroutines: an orchestrator that waits for tokens without blocking a thread for each, and an
// operation whose callable is one.
#include <tokengate/tokengate.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <vector>

namespace tg = tokengate;

namespace {

tg::task<int> refine(const tg::operation<int(int)>& step, int value) {
    for (int i = 0; i < 3; ++i) value = co_await step(value);
    co_return value;
}

tg::task<int> both_ends(const tg::operation<int(int)>& step) {
    const auto [low, high] = co_await tg::gather(step(1), step(100));
    co_return low + high;
}

tg::task<double> highest(const tg::operation<std::vector<double>(int)>& measure) {
    const tg::token<std::vector<double>> token = measure(1000);
    // On the core that has them in its cache.
    const std::vector<double>& samples = co_await tg::resume_in_domain(token);
    co_return *std::max_element(samples.begin(), samples.end());
}

}  // namespace

int main() {
    tg::runtime rt;
    auto step = rt.operation("step", [](int value) { return value + 1; });

    // An orchestrator runs on the thread that waits for it.
    const int result = tg::sync_wait(refine(step, 4));
    const int ends = tg::sync_wait(both_ends(step));
    std::cout << result << " and " << ends << "\n";

    auto measure = rt.operation("measure", [](int count) {
        std::vector<double> samples(static_cast<std::size_t>(count));
        for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = double((i * 7919) % 1009);
        return samples;
    });
    const double top = tg::sync_wait(highest(measure));
    std::cout << "the highest of them is " << top << "\n";

    // While it waits, its token holds no worker; it goes on in the domain where it has begun.
    auto climb = rt.operation("climb", [&](int from) -> tg::task<int> {
        int value = from;
        for (int i = 0; i < 10; ++i) value = co_await step(value);
        co_return value;
    });
    std::vector<tg::token<int>> climbers(1000);
    for (int i = 0; i < 1000; ++i) climbers[static_cast<std::size_t>(i)] = climb(i);
    const std::vector<int> tops = tg::sync_wait(tg::gather(climbers));
    std::cout << "the last of " << tops.size() << " is at " << tops.back() << "\n";
    return result == 7 && ends == 103 && top == 1008 && tops.back() == 1009 ? 0 : 1;
}
