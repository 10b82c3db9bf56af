// SPDX-License-Identifier: Apache-2.0
// Declaring operations, and calling them.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"

namespace tokengate::test {
namespace {

std::string complaint(const std::function<void()>& declare) {
    try {
        declare();
    } catch (const operation_error& error) {
        return error.what();
    }
    return "";
}

int twice(int n) { return 2 * n; }

struct counter {
    int add(int n) { return count += n; }
    int count = 0;
};

struct overloaded_calls {
    int operator()(int) const { return 1; }
    int operator()(const std::string&) const { return 2; }
};

}  // namespace

TEST_CASE("an_operation_without_a_name_is_refused") {
    runtime rt({.cores = 1});
    const std::string text = complaint([&] { static_cast<void>(rt.operation("", [] {})); });
    CHECK(text.find("needs a name") != std::string::npos);
    settle(rt);
}

TEST_CASE("a_second_operation_of_the_same_name_is_refused_and_the_first_lives_on") {
    runtime rt({.cores = 1});
    const auto first = rt.operation("parse \"x\"", [] { return 1; });
    const std::string text =
        complaint([&] { static_cast<void>(rt.operation("parse \"x\"", [] { return 2; })); });
    CHECK(text.find("'parse \"x\"'") != std::string::npos);
    CHECK(text.find("exists already") != std::string::npos);
    CHECK(first().get() == 1);
    settle(rt);
}

TEST_CASE("names_are_compared_as_a_whole") {
    // Nothing is read into a name: "flight" is not light.
    runtime rt({.cores = 4});
    const auto flight = rt.operation("flight", [] {});
    const auto longer = rt.operation("flight ", [] {});
    const auto heavy = rt.operation("heavy", [] {});
    CHECK(flight.weight_class() == weight::medium);
    CHECK(heavy.weight_class() == weight::medium);
    CHECK(longer.name() == "flight ");
    settle(rt);
}

TEST_CASE("two_runtimes_may_use_the_same_name") {
    runtime a({.cores = 1});
    runtime b({.cores = 1});
    CHECK(a.operation("same", [] { return 1; })().get() == 1);
    CHECK(b.operation("same", [] { return 2; })().get() == 2);
    settle(a);
    settle(b);
}

TEST_CASE("several_threads_can_declare_and_only_one_gets_the_name") {
    runtime rt({.cores = 1});
    std::atomic<int> won{0};
    std::vector<std::thread> crowd;
    for (int t = 0; t < 4; ++t) {
        crowd.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                try {
                    static_cast<void>(rt.operation("op " + std::to_string(i), [] {}));
                    won.fetch_add(1);
                } catch (const operation_error&) {
                    continue;
                }
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    CHECK(won.load() == 50);
    settle(rt);
}

TEST_CASE("an_operation_knows_its_name_and_class_and_can_be_copied") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("light one", {.weight = weight::light}, twice);
    const operation<int(int)> copy = op;  // NOLINT: the copy is the point
    CHECK(copy.name() == "light one");
    CHECK(copy.weight_class() == weight::light);
    CHECK(copy(4).get() == 8);
    CHECK(copy(4).weight_class() == weight::light);
    settle(rt);
}

TEST_CASE("a_name_says_nothing_about_the_weight") {
    runtime rt({.cores = 4});
    for (const char* name : {"heavy", "highlight", "light", "flight", "HEAVY duty", "no_light"}) {
        const auto op = rt.operation(name, [] {});
        CHECK(op.weight_class() == weight::medium);
        CHECK(op().weight_class() == weight::medium);
    }
    settle(rt);
    CHECK(rt.stats().by_weight[index_of(weight::medium)].completed == 6);
}

TEST_CASE("anything_callable_can_be_declared") {
    runtime rt({.cores = 2});
    counter tally;
    CHECK(rt.operation("function", twice)(2).get() == 4);
    CHECK(rt.operation("pointer", &twice)(3).get() == 6);
    CHECK(rt.operation("std::function", std::function<int(int)>(twice))(4).get() == 8);
    CHECK(rt.operation("move-only", [p = std::make_unique<int>(5)] { return *p; })().get() == 5);
    CHECK(rt.operation("mutable", [n = 0]() mutable { return ++n; })().get() == 1);
    CHECK(rt.operation("member", &counter::add)(&tally, 7).get() == 7);
    CHECK(rt.operation("field", &counter::count)(&tally).get() == 7);
    CHECK(rt.operation("bind", std::bind(twice, 6))().get() == 12);
    CHECK(rt.operation("noexcept", []() noexcept { return 1; })().get() == 1);
    settle(rt);
}

TEST_CASE("a_generic_operation_takes_every_list_of_arguments_that_its_callable_takes") {
    runtime rt({.cores = 2});
    const auto add = rt.operation("add", [](auto a, auto b) { return a + b; });
    CHECK(add(1, 2).get() == 3);
    CHECK(add(std::string("a"), "b").get() == "ab");
    CHECK(add.try_call(1.5, 2).value().get() == 3.5);
    static_assert(std::is_same_v<decltype(add(1, 2)), token<int>>);
    const auto overloaded = rt.operation("overloaded", overloaded_calls{});
    CHECK(overloaded(1).get() == 1);
    CHECK(overloaded("text").get() == 2);
    const auto take = rt.operation("take", [](auto p) { return *p; });
    CHECK(take(std::make_unique<int>(4)).get() == 4);
    CHECK(add.name() == "add");
    settle(rt);
}

TEST_CASE("try_call_at_a_limit_refuses_and_leaves_its_arguments_alone") {
    runtime rt({.cores = 1, .in_flight_limit = 1});
    hold gate;
    const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
    const auto op = rt.operation("light one", {.weight = weight::light},
                                 [](const std::unique_ptr<int>& p) { return *p; });
    const token<void> busy = held();
    REQUIRE(gate.await(1));
    auto argument = std::make_unique<int>(3);
    for (int i = 0; i < 10; ++i) CHECK_FALSE(op.try_call(std::move(argument)).has_value());
    REQUIRE(argument != nullptr);  // NOLINT: untouched, by contract
    const runtime_stats seen = rt.stats();
    CHECK(seen.by_weight[index_of(weight::light)].refused == 10);
    CHECK(seen.by_weight[index_of(weight::light)].accepted == 0);
    CHECK(seen.total().accepted == 1);
    gate.release();
    REQUIRE(ends(busy));
    settle(rt);
    const auto accepted = op.try_call(std::move(argument));
    REQUIRE(accepted.has_value());
    CHECK(accepted->get() == 3);
    settle(rt);
}

TEST_CASE("a_callable_lives_as_long_as_its_runtime") {
    const auto shared = std::make_shared<int>(1);
    {
        runtime rt({.cores = 1});
        rt.operation("keeps", [shared] { return *shared; })();
        rt.stop();
        CHECK(shared.use_count() == 2);
    }
    CHECK(shared.use_count() == 1);
}

TEST_CASE("operations_can_be_declared_and_called_inside_tokens") {
    runtime rt({.cores = 2});
    const auto declare = rt.operation("declare", [&](int n) {
        return rt.operation("made " + std::to_string(n), [n] { return n; })().get();
    });
    for (int i = 0; i < 20; ++i) CHECK(declare(i).get() == i);
    settle(rt);
}

}  // namespace tokengate::test
