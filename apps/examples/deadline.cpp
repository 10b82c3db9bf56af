// SPDX-License-Identifier: Apache-2.0
// A callable that may run for so long and no longer: whoever waits for it is told in time, and it
// is asked to stop.
#include <tokengate/tokengate.hpp>

#include <chrono>
#include <iostream>
#include <stop_token>
#include <thread>

namespace tg = tokengate;
using namespace std::chrono_literals;

int main() {
    tg::runtime rt({.cores = 2});

    auto refine =
        rt.operation("refine", {.run_timeout = 20ms}, [](const std::stop_token& stop, int n) {
            int done = 0;
            for (; done < n && !stop.stop_requested(); ++done) {
                std::this_thread::sleep_for(1ms);  // stands for work
            }
            return done;
        });

    std::cout << refine(3).get() << " digits\n";

    const tg::token<int> endless = refine(1'000'000);
    try {
        std::cout << endless.get() << " digits\n";
    } catch (const tg::token_timed_out& why) {
        std::cout << why.what() << "\n";
    }
    endless.join();  // it has seen the stop token, and has returned

    // One call may have limits of its own.
    const tg::token<int> hasty = refine.with({.run_timeout = 5ms})(1'000'000);
    hasty.join();
    return hasty.state() == tg::token_state::timed_out &&
                   endless.state() == tg::token_state::timed_out
               ? 0
               : 1;
}
