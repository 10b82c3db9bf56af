// SPDX-License-Identifier: Apache-2.0
// Pausing an operation: what is called meanwhile waits, in order, and no other operation notices.
#include <tokengate/tokengate.hpp>

#include <iostream>
#include <mutex>
#include <string>
#include <vector>

namespace tg = tokengate;

int main() {
    std::mutex lock;
    std::vector<std::string> outbox;

    tg::runtime rt({.cores = 2});

    auto send = rt.operation("send", {.sticky = tg::sticky::by_anchor("line", tg::sticky::serial)},
                             [&](const std::string& text) {
                                 const std::scoped_lock guard(lock);
                                 outbox.push_back(text);
                             });
    auto write = rt.operation("write", [](int n) { return "letter " + std::to_string(n); });

    send("letter 0").wait();
    send.pause();  // what is called from here on waits

    std::vector<tg::token<void>> letters;
    for (int n = 1; n <= 3; ++n) letters.push_back(send(write(n).get()));  // write goes on
    std::cout << letters.size() << " letters wait: " << send.stats().counts.in_flight()
              << " in flight\n";

    letters[1].kill("not that one");
    send.resume();
    tg::wait_all(letters);

    for (const std::string& text : outbox) std::cout << text << "\n";
    const tg::operation_stats seen = send.stats();
    std::cout << seen.executions << " sent, " << seen.counts.killed << " killed\n";
    return outbox == std::vector<std::string>{"letter 0", "letter 1", "letter 3"} ? 0 : 1;
}
