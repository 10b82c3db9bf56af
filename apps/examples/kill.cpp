// SPDX-License-Identifier: Apache-2.0
// Killing tokens: those that wait never run, those that run are asked to stop, and join() says when
// they have.
#include <tokengate/tokengate.hpp>

#include <array>
#include <atomic>
#include <iostream>
#include <stop_token>
#include <thread>
#include <vector>

namespace tg = tokengate;

int main() {
    // Declared before the runtime: callables use it to their end.
    std::array<std::atomic<long>, 4> looked_at{};

    tg::runtime rt({.cores = 2});

    // Calls leave the stop token out: search(0).
    auto search = rt.operation("search", [&](const std::stop_token& stop, std::size_t from) {
        while (!stop.stop_requested()) ++looked_at[from];  // until somebody else has found it
    });

    // More than there are workers, so that some of them wait.
    std::vector<tg::token<void>> searches;
    for (std::size_t from = 0; from < looked_at.size(); ++from) searches.push_back(search(from));
    while (looked_at[0] == 0) std::this_thread::yield();

    for (const auto& each : searches) each.kill("found elsewhere");
    for (const auto& each : searches) {
        try {
            each.get();  // does not wait for the callable
        } catch (const tg::token_killed& why) {
            std::cout << why.what() << "\n";
        }
        each.join();  // from here on it does not touch looked_at any more
    }

    // A callable that takes no stop token can ask, too.
    auto patient = rt.operation("patient", [] {
        while (!tg::this_token::stop_requested()) std::this_thread::yield();
    });
    const tg::token<void> last = patient();
    last.kill();
    last.join();
    return last.state() == tg::token_state::killed ? 0 : 1;
}
