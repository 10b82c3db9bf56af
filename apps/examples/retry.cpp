// SPDX-License-Identifier: Apache-2.0
// Retries: a callable that throws is called again, by the same token, with a growing delay.
#include <tokengate/tokengate.hpp>

#include <chrono>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace tg = tokengate;
using namespace std::chrono_literals;

/// What goes away by itself.
struct busy : std::runtime_error {
    using std::runtime_error::runtime_error;
};

bool is_busy(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const busy&) {
        return true;
    } catch (...) {
        return false;
    }
}

int main() {
    tg::runtime rt({.cores = 2});

    auto fetch = rt.operation("fetch", {.retry = {.attempts = 5, .initial_delay = 1ms}},
                              [](const std::string& page) {
                                  if (tg::this_token::attempt() < 3) throw busy("try again later");
                                  return "the text of " + page;
                              });

    const tg::token<std::string> t = fetch("page 1");
    std::cout << t.get() << ", after " << t.attempts() << " attempts\n";

    // A second booking would do harm, unless it is known that the first one came to nothing.
    auto book = rt.operation(
        "book", {.retry = {.attempts = 5, .when = is_busy, .idempotent = false}}, [](int seat) {
            if (seat == 13) throw std::out_of_range("there is no seat 13");
            if (tg::this_token::attempt() == 1) throw busy("try again later");
            return seat;
        });

    std::cout << "seat " << book(12).get() << "\n";
    const tg::token<int> none = book(13);
    try {
        const int seat = none.get();
        std::cout << "seat " << seat << "\n";
    } catch (const std::out_of_range& why) {
        std::cout << why.what() << "\n";
    }
    return t.attempts() == 3 && none.attempts() == 1 ? 0 : 1;
}
