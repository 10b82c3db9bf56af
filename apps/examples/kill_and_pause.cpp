// SPDX-License-Identifier: Apache-2.0
// Pausing an operation: what is called meanwhile waits, and no other operation notices. Killing
// tokens: those that wait never run, those that run are asked to stop.
#include <tokengate/tokengate.hpp>

#include <array>
#include <atomic>
#include <iostream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace tg = tokengate;

int main() {
    // Declared before the runtime: callables use them to their end.
    std::vector<std::string> outbox;
    std::array<std::atomic<long>, 4> looked_at{};
    int killed = 0;

    tg::runtime rt({.cores = 2});

    // Serial: letters go out one at a time, in order.
    auto send = rt.operation("send", {.sticky = tg::sticky::by_anchor("line", tg::sticky::serial)},
                             [&](const std::string& text) { outbox.push_back(text); });
    auto write = rt.operation("write", [](int n) { return "letter " + std::to_string(n); });

    send("letter 0").wait();
    send.pause();  // what is called from here on waits
    std::vector<tg::token<void>> letters;
    for (int n = 1; n <= 3; ++n) letters.push_back(send(write(n).get()));  // write goes on
    std::cout << send.stats().counts.in_flight() << " letters wait\n";

    letters[1].kill("not that one");
    send.resume();
    tg::wait_all(letters);
    for (const std::string& text : outbox) std::cout << text << " is sent\n";

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
            ++killed;
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
    const bool sent = outbox == std::vector<std::string>{"letter 0", "letter 1", "letter 3"};
    return sent && killed == 4 && last.state() == tg::token_state::killed ? 0 : 1;
}
