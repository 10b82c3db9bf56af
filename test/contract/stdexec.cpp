// SPDX-License-Identifier: Apache-2.0
// Tokens and schedulers under stdexec's own algorithms. Compiled only where stdexec is.
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>

#include <doctest/doctest.h>
#include <stdexec/execution.hpp>

#include <tokengate/senders.hpp>
#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {

TEST_CASE("what_is_behind_a_token_gets_its_result") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto box =
            rt.operation("box", [](int value) { return std::make_unique<int>(value); });
        for (int i = 0; i < 20; ++i) {
            const auto [twice] =
                stdexec::sync_wait(as_sender(number(i)) |
                                   stdexec::then([](int value) { return 2 * value; }))
                    .value();
            CHECK(twice == 2 * i);
            auto [boxed] = stdexec::sync_wait(as_sender(box(i))).value();
            CHECK(*boxed == i);
        }
        settle_locality(rt);
    });
}

TEST_CASE("when_all_waits_for_tokens_and_gives_up_when_one_fails") {
    runtime rt({.cores = 4});
    hold gate;
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto broken = rt.operation("broken", []() -> int { throw std::runtime_error("broken"); });
    const auto held = rt.operation("held", [&] {
        gate.pass();
        return 1;
    });
    const auto [a, b] =
        stdexec::sync_wait(stdexec::when_all(as_sender(number(1)), as_sender(number(2)))).value();
    CHECK(a + b == 3);
    // The other one would wait for ever.
    const token<int> slow = held();
    CHECK_THROWS_WITH_AS(
        stdexec::sync_wait(stdexec::when_all(as_sender(slow), as_sender(broken()))), "broken",
        std::runtime_error);
    CHECK_FALSE(slow.done());
    gate.release();
    CHECK(result_of(slow) == 1);
    settle_locality(rt);
}

TEST_CASE("a_token_that_is_killed_leaves_sync_wait_without_a_result") {
    runtime rt({.cores = 2});
    const auto aside = rt.operation("aside", [] { return 1; });
    aside.pause();
    const token<int> awaited = aside();
    CHECK(awaited.kill());
    CHECK_FALSE(stdexec::sync_wait(as_sender(awaited)).has_value());
    aside.resume();
    settle_locality(rt);
}

TEST_CASE("let_value_goes_on_with_the_next_token") {
    runtime rt({.cores = 2});
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto [sum] =
        stdexec::sync_wait(as_sender(number(20)) | stdexec::let_value([&](int& first) {
                               return as_sender(number(first + 1));
                           }) |
                           stdexec::then([](int value) { return 2 * value; }))
            .value();
    CHECK(sum == 42);
    settle_locality(rt);
}

TEST_CASE("starts_on_and_continues_on_run_in_tokens_of_the_scheduler") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto work = rt.operation("work", for_scheduler());
        const scheduler where(work);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto here = [] { return this_token::attempt() == 1; };
        const auto [started] =
            stdexec::sync_wait(stdexec::starts_on(where, stdexec::just() | stdexec::then(here)))
                .value();
        CHECK(started);
        const auto [continued] =
            stdexec::sync_wait(as_sender(number(1)) | stdexec::continues_on(where) |
                               stdexec::then([&](int) { return here(); }))
                .value();
        CHECK(continued);
        settle_locality(rt);
        CHECK(work.stats().counts.completed == 2);
    });
}

TEST_CASE("a_stopped_runtime_is_an_error_of_sync_wait") {
    runtime rt({.cores = 2});
    const scheduler where = get_scheduler(rt);
    static_cast<void>(rt.stop());
    CHECK_THROWS_AS(stdexec::sync_wait(where.schedule()), runtime_stopped);
}

}  // namespace tokengate::test
