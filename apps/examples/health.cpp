// SPDX-License-Identifier: Apache-2.0
// How operations are doing: alerts, an operation that is blocked because it fails, one in
// quarantine because of what it was given, and the last executions.
#include <tokengate/tokengate.hpp>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace tg = tokengate;
using namespace std::chrono_literals;

int main() {
    std::mutex lock;
    std::condition_variable heard;
    bool slow_heard = false;
    bool available = false;

    tg::runtime rt({.cores = 2, .history = 100});

    // Called on the threads that notice, by several at once.
    rt.on_alert([&](const tg::alert& what) {
        const std::scoped_lock guard(lock);
        std::cout << tg::to_string(what.kind) << ": " << what.text << "\n";
        slow_heard = slow_heard || what.kind == tg::alert_kind::slow;
        heard.notify_all();
    });

    auto render = rt.operation("render", {.slow_after = 5ms}, [&] {
        std::unique_lock guard(lock);
        heard.wait(guard, [&] { return slow_heard; });
    });
    render().get();

    // Blocked after five attempts that fail; then each call is a probe, one at a time.
    auto fetch =
        rt.operation("fetch", {.health = {.block = true, .attempts = 5, .probe_after = 1h}}, [&] {
            if (!available) throw std::runtime_error("no connection");
        });
    for (int i = 0; i < 5; ++i) fetch().join();
    try {
        fetch().get();
    } catch (const tg::operation_blocked& why) {
        std::cout << why.what() << "\n";
    }
    std::cout << "fetch is " << tg::to_string(fetch.health().level) << "\n";
    available = true;
    fetch.unblock();  // or wait until a probe has succeeded
    fetch().get();

    // What is ten times larger than usual waits until somebody has looked at it.
    auto parse = rt.operation("parse", {.spikes = {.factor = 10, .quarantine = true}},
                              [](const std::string& text) {
                                  std::this_thread::sleep_for(1ms);
                                  return text.size();
                              });
    for (int i = 0; i < 5; ++i) parse("short").get();
    tg::token<std::size_t> large = parse(std::string(100'000, 'x'));
    while (!parse.paused()) std::this_thread::yield();
    parse.resume();  // or parse.cancel()
    std::cout << "parsed " << large.get() << " bytes\n";

    for (const tg::execution& each : rt.history()) {
        std::cout << each.operation << " " << tg::to_string(each.outcome) << " after "
                  << each.run.count() << " ns\n";
    }
    return fetch.health().blocked ? 1 : 0;
}
