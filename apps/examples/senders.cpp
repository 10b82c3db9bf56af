// SPDX-License-Identifier: Apache-2.0
// Tokens and std::execution: senders that complete when a token has ended, and a scheduler whose
// work is tokens. Needs stdexec.
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include <stdexec/execution.hpp>

#include <tokengate/senders.hpp>
#include <tokengate/tokengate.hpp>

namespace tg = tokengate;

int main() {
    tg::runtime rt;
    const auto measure = rt.operation("measure", [](int meters) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return 2 * meters;
    });

    // A token is a sender, and what is behind it goes on as a token of its own.
    auto report = tg::as_sender(measure(20)) | stdexec::continues_on(tg::get_scheduler(rt)) |
                  stdexec::then([](int value) { return "got " + std::to_string(value); });
    const auto [text] = stdexec::sync_wait(std::move(report)).value();
    std::cout << text << "\n";

    // Several at once.
    const auto [low, high] =
        stdexec::sync_wait(stdexec::when_all(tg::as_sender(measure(1)), tg::as_sender(measure(3))))
            .value();
    std::cout << low << " to " << high << "\n";

    // A scheduler whose tokens have traits.
    const tg::scheduler disk(
        rt.operation("disk", {.storage = tg::storage::slow}, tg::for_scheduler()));
    const auto [domain] =
        stdexec::sync_wait(stdexec::starts_on(disk, stdexec::just() | stdexec::then([] {
                                                        return tg::this_token::domain();
                                                    })))
            .value();
    std::cout << "a turn on the disk, in domain " << domain << "\n";

    return text == "got 40" && low == 2 && high == 6 ? 0 : 1;
}
