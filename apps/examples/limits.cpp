// SPDX-License-Identifier: Apache-2.0
// Calls that come too often or come twice: how many tokens of an operation are in flight, how often
// it is called, and one token for equal calls.
#include <tokengate/tokengate.hpp>

#include <chrono>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <string>
#include <vector>

namespace tg = tokengate;

/// Callables wait here until they may go on.
class door {
  public:
    void pass() {
        std::unique_lock guard(lock_);
        changed_.wait(guard, [this] { return open_; });
    }
    void open() {
        const std::scoped_lock guard(lock_);
        open_ = true;
        changed_.notify_all();
    }

  private:
    std::mutex lock_;
    std::condition_variable changed_;
    bool open_ = false;
};

int main() {
    door disk;
    door network;
    tg::runtime rt({.cores = 2});

    // Two at a time; who comes third is told at once.
    auto save = rt.operation("save", {.in_flight = {.tokens = 2, .policy = tg::when_full::refuse}},
                             [&](int) { disk.pass(); });
    save(1);
    save(2);
    bool refused = false;
    try {
        save(3);
    } catch (const tg::call_refused& e) {
        std::cout << "refused: " << e.what() << "\n";
        refused = true;
    }

    disk.open();

    // A thousand a second, four at once: the others wait for their turn.
    auto ask = rt.operation("ask", {.rate = {.per_second = 1000, .burst = 4}}, [] { return 1; });
    const auto begin = std::chrono::steady_clock::now();
    int answers = 0;
    for (int i = 0; i < 24; ++i) answers += ask().get();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::cout << answers << " answers in " << took.count() << " s\n";

    // While a file is being loaded, whoever asks for it gets the token that loads it.
    auto load = rt.operation("load", {.duplicates = tg::duplicates::coalesce},
                             [&](const std::string& name) {
                                 network.pass();
                                 return "content of " + name;
                             });
    std::vector<tg::token<std::string>> all;
    all.reserve(5);
    for (int i = 0; i < 5; ++i) all.push_back(load("a.txt"));
    network.open();
    std::cout << all.back().get() << ", loaded " << load.stats().counts.accepted << " time\n";

    const bool fine = refused && answers == 24 && took.count() >= 0.02 && all.front() == all.back();
    return fine ? 0 : 1;
}
