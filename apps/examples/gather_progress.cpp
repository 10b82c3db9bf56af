// SPDX-License-Identifier: Apache-2.0
// Tokens in the order in which they end: a progress bar, and a race.
#include <tokengate/tokengate.hpp>

#include <cstddef>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <vector>

namespace tg = tokengate;

namespace {

tg::task<std::size_t> watch(const std::vector<tg::token<int>>& tokens) {
    std::size_t ended = 0;
    std::size_t failed = 0;
    auto done = tg::as_completed(tokens);
    while (auto each = co_await done.next()) {
        ++ended;
        try {
            static_cast<void>(each->get());
        } catch (const std::exception&) {
            ++failed;
        }
        if (ended % 25 == 0) std::cout << ended << " of " << tokens.size() << "\n";
    }
    co_return failed;
}

tg::task<std::size_t> winner(const std::vector<tg::token<int>>& racers) {
    const std::size_t first = co_await tg::when_any(racers);
    for (const auto& each : racers) each.kill("somebody else was faster");
    co_return first;
}

}  // namespace

int main() {
    tg::runtime rt;
    auto work = rt.operation("work", [](int number) {
        if (number % 10 == 9) throw std::runtime_error("not this one");
        int sum = 0;
        for (int i = 0; i < 1000 * number; ++i) sum += i % 7;
        return sum;
    });

    std::vector<tg::token<int>> tokens;
    tokens.reserve(100);
    for (int i = 0; i < 100; ++i) tokens.push_back(work(i));
    const std::size_t failed = tg::sync_wait(watch(tokens));
    std::cout << failed << " failed\n";

    std::vector<tg::token<int>> racers;
    racers.reserve(4);
    for (int i = 1; i < 5; ++i) racers.push_back(work(1000 * i));
    std::cout << "number " << tg::sync_wait(winner(racers)) << " was first\n";
    return failed == 10 ? 0 : 1;
}
