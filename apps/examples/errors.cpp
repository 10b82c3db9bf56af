// SPDX-License-Identifier: Apache-2.0
// An exception in a token goes to whoever asks for its result; limits and ends are exceptions that
// say what happened and what to do.
#include <tokengate/tokengate.hpp>

#include <iostream>
#include <stdexcept>

namespace tg = tokengate;

int main() {
    int seen = 0;
    tg::runtime rt({.in_flight_limit = 1});
    auto divide = rt.operation("divide", [](int a, int b) {
        if (b == 0) throw std::invalid_argument("division by zero");
        return a / b;
    });

    try {
        std::cout << divide(1, 0).get() << "\n";
    } catch (const std::invalid_argument& e) {  // the callable's own exception
        std::cout << "caught: " << e.what() << "\n";
        ++seen;
    }

    rt.wait_idle();
    if (auto t = divide.try_call(84, 2)) {  // nothing, instead of blocking, at the limit
        std::cout << "84 / 2 = " << t->get() << "\n";
        ++seen;
    }

    rt.stop();
    try {
        divide(1, 1);
    } catch (const tg::runtime_stopped& e) {
        std::cout << "caught: " << e.what() << "\n";
        ++seen;
    }
    return seen == 3 ? 0 : 1;
}
