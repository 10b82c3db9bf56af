// SPDX-License-Identifier: Apache-2.0
// Two kinds of waiting that a worker must know of: while its caller holds a lock, and in something
// that the runtime does not see. There is one worker here, so that nobody else could help.
#include <tokengate/tokengate.hpp>

#include <future>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

namespace tg = tokengate;

int main() {
    std::mutex books;
    int balance = 0;
    std::promise<std::string> sender;
    std::future<std::string> source = sender.get_future();
    const auto read_line = [](std::future<std::string>& from) { return from.get(); };

    tg::runtime rt({.cores = 1, .workers_per_core = 1});

    // A plain get() might run the next purchase while it waits: on the same stack, under the lock.
    auto quote = rt.operation("quote", [](int item) { return 10 * item; });
    auto buy = rt.operation("buy", [&](int item) {
        const std::scoped_lock guard(books);  // no other token may run on top of this one
        balance += quote(item).get(tg::isolated);
    });
    std::vector<tg::token<void>> purchases;
    for (int item = 1; item <= 10; ++item) purchases.push_back(buy(item));
    tg::wait_all(purchases);
    std::cout << "balance: " << balance << "\n";

    // Without blocking() the only worker would sleep in read_line(), and speak() would never run.
    auto listen = rt.operation("listen", [&] {
        const std::string line = tg::blocking([&] { return read_line(source); });
        return "heard: " + line;
    });
    auto speak = rt.operation("speak", [&] { sender.set_value("all is well"); });
    const tg::token<std::string> heard = listen();
    speak.post();  // a token that nobody holds
    std::cout << heard.get() << "\n";

    return balance == 550 && heard.get() == "heard: all is well" ? 0 : 1;
}
