// SPDX-License-Identifier: Apache-2.0
// Tokens that wait for tasks.
#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {

TEST_CASE("tokens_that_wait_for_tasks_leave_workers_for_what_these_wait_for") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto both = [&](int value) -> task<int> {
            const int first = co_await number(value);
            const auto [a, b] = co_await gather(number(first), number(1));
            co_return a + b;
        };
        const auto asks = rt.operation("asks", [&](int value) { return sync_wait(both(value)); });
        // More than a domain has threads that could stand in.
        std::vector<token<int>> all;
        for (int i = 0; i < 300; ++i) all.push_back(asks(i));
        for (int i = 0; i < 300; ++i) CHECK(result_of(all[static_cast<std::size_t>(i)]) == i + 1);
        settle_locality(rt);
    });
}

TEST_CASE("serial_tokens_that_wait_for_tasks_run_what_these_wait_for") {
    for (const int reserves : {0, 2, 16}) {
        for (const bool many : {false, true}) {
            INFO(reserves, " reserves, many ", many);
            runtime rt({.cores = 1, .reserve_workers = reserves});
            const auto number = rt.operation("number", [](int value) { return value; });
            const auto one = [](token<int> awaited) -> task<int> { co_return co_await awaited; };
            const auto both = [](token<int> a, token<int> b) -> task<int> {
                const auto [first, second] = co_await gather(a, b);
                co_return first + second;
            };
            const auto asks = rt.operation(
                "asks", {.sticky = sticky::by_arguments(sticky::serial)}, [&](int value) {
                    return many ? sync_wait(both(number(value), number(0)))
                                : sync_wait(one(number(value)));
                });
            std::vector<token<int>> all;
            for (int i = 0; i < 40; ++i) all.push_back(asks(i));
            for (int i = 0; i < 40; ++i) CHECK(result_of(all[static_cast<std::size_t>(i)]) == i);
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_task_that_waits_for_a_token_beneath_it_gets_deadlock") {
    const auto one = [](const token<int>& awaited) -> task<int> { co_return co_await awaited; };
    const auto any = [](const token<int>& awaited) -> task<std::size_t> {
        co_return co_await when_any(awaited, awaited);
    };
    const auto visit = [](const token<int>& awaited) -> task<int> {
        co_return co_await resume_in_domain(awaited);
    };
    for (const int how : {0, 1, 2}) {
        INFO("way ", how);
        runtime rt({.cores = 1});
        hold gate;
        token<int> beneath;
        std::atomic<int> found{0};
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto top = rt.operation("top", [&] {
            try {
                if (how == 0) static_cast<void>(sync_wait(one(beneath)));
                if (how == 1) static_cast<void>(sync_wait(any(beneath)));
                if (how == 2) static_cast<void>(sync_wait(visit(beneath)));
            } catch (const deadlock&) {
                ++found;
            }
            return 1;
        });
        // It waits for a task; on top of it runs what waits for it.
        const auto lower = rt.operation("lower", [&] {
            gate.pass();
            return sync_wait(one(top()));
        });
        beneath = lower();
        REQUIRE(gate.await(1));
        gate.release();
        CHECK(result_of(beneath) == 1);
        CHECK(found == 1);
        CHECK(result_of(number(3)) == 3);
        settle_locality(rt);
    }
}

TEST_CASE("a_race_may_include_a_token_beneath") {
    runtime rt({.cores = 2});
    hold gate;
    token<int> beneath;
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto top = rt.operation("top", [&] {
        return static_cast<int>(sync_wait([](const auto& a, const auto& op) -> task<std::size_t> {
            co_return co_await when_any(a, op(5));
        }(beneath, number)));
    });
    const auto lower = rt.operation("lower", [&] {
        gate.pass();
        return top().get();
    });
    beneath = lower();
    REQUIRE(gate.await(1));
    gate.release();
    CHECK(result_of(beneath) == 1);
    settle_locality(rt);
}

TEST_CASE("a_task_that_waits_for_tokens_of_others_runs_them_if_nobody_stands_in") {
    runtime rt({.cores = 1, .reserve_workers = 0});
    hold gate;
    std::vector<token<int>> others;
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto sum = rt.operation("sum", [&] {
        gate.pass();
        int all = 0;
        for (const int each : sync_wait(gather(others))) all += each;
        return all;
    });
    const token<int> whole = sum();
    REQUIRE(gate.await(1));
    for (int i = 0; i < 10; ++i) others.push_back(number(i));
    gate.release();
    CHECK(result_of(whole) == 45);
    settle_locality(rt);
}

TEST_CASE("a_race_with_a_token_beneath_ends_with_one_thread") {
    runtime rt({.cores = 1, .reserve_workers = 0});
    token<int> beneath;
    hold gate;
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto self = rt.operation("self", [&] {
        gate.pass();
        return static_cast<int>(
            sync_wait([](const auto& mine, const auto& op) -> task<std::size_t> {
                co_return co_await when_any(mine, op(5));
            }(beneath, number)));
    });
    beneath = self();
    REQUIRE(gate.await(1));
    gate.release();
    CHECK(result_of(beneath) == 1);
    settle_locality(rt);
}

TEST_CASE("who_waits_for_one_that_waits_for_any_is_no_cycle") {
    runtime rt({.cores = 4});
    hold racers;
    hold late;
    token<int> first;
    std::atomic<bool> waits{false};
    const auto second = rt.operation("second", {.weight = weight::heavy}, [&] {
        racers.pass();
        waits = true;
        return first.get();
    });
    const auto other = rt.operation("other", {.weight = weight::heavy}, [&] {
        late.pass();
        return 5;
    });
    const token<int> x = second();
    const token<int> y = other();
    REQUIRE(racers.await(1));
    REQUIRE(late.await(1));
    const auto either = rt.operation("either", {.weight = weight::heavy}, [&] {
        return static_cast<int>(sync_wait([](const auto& a, const auto& b) -> task<std::size_t> {
            co_return co_await when_any(a, b);
        }(x, y)));
    });
    first = either();
    racers.release();
    REQUIRE(eventually([&] { return waits.load(); }));
    late.release();
    CHECK(result_of(first) == 1);
    CHECK(result_of(x) == 1);
    CHECK(result_of(y) == 5);
    settle_locality(rt);
}

}  // namespace tokengate::test
