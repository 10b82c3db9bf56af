// SPDX-License-Identifier: Apache-2.0
// What can be asked of a token.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

TEST_CASE("a_token_answers_every_question_during_its_life") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto op = rt.operation("held", {.weight = weight::heavy}, [&](int n) {
            gate.pass();
            return 2 * n;
        });
        const token<int> t = op(21);
        REQUIRE(gate.await(1));
        CHECK(t.valid());
        CHECK(t.state() == token_state::executing);
        CHECK_FALSE(t.done());
        CHECK(t.id() != 0);
        CHECK(t.position().has_value());
        CHECK(t.domain() < static_cast<unsigned>(cores));
        CHECK(t.weight_class() == weight::heavy);
        CHECK(t.operation_name() == "held");
        CHECK_FALSE(t.wait_for(1ms));
        CHECK_FALSE(t.wait_until(std::chrono::steady_clock::now() - 1s));
        gate.release();
        REQUIRE(ends(t));
        CHECK(t.done());
        CHECK(t.state() == token_state::completed);
        CHECK(t.get() == 42);
        settle(rt);
    }
}

TEST_CASE("a_token_that_waits_in_a_mailbox_is_admitted") {
    runtime rt({.cores = 1});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const token<void> first = held();
    REQUIRE(gate.await(1));
    const token<void> second = held();
    CHECK(second.state() == token_state::admitted);
    gate.release();
    REQUIRE(ends(second));
    settle(rt);
}

TEST_CASE("get_can_be_called_again_and_gives_the_same_object") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("text", [] { return std::string(100, 'x'); });
    const token<std::string> t = op();
    const std::string& first = result_of(t);
    const std::string& second = t.get();
    CHECK(&first == &second);
    CHECK(first == std::string(100, 'x'));
    settle(rt);
}

TEST_CASE("copies_are_handles_of_one_token") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("number", [] { return 7; });
    token<int> t = op();
    const token<int> copy = t;
    CHECK(copy == t);
    CHECK(copy.id() == t.id());
    token<int> moved = std::move(t);
    CHECK(moved == copy);
    CHECK_FALSE(t.valid());  // NOLINT: a moved-from handle holds nothing, by contract
    CHECK(result_of(copy) == 7);
    moved = op();
    CHECK_FALSE(moved == copy);
    CHECK(result_of(moved) == 7);
    CHECK(token<int>() == token<int>());
    settle(rt);
}

TEST_CASE("an_rvalue_gives_its_result_away") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("boxed", [](int n) { return std::make_unique<int>(n); });
    const std::unique_ptr<int> owned = op(5).get();
    CHECK(*owned == 5);
    token<std::unique_ptr<int>> t = op(6);
    CHECK(**&result_of(t) == 6);
    const std::unique_ptr<int> taken = std::move(t).get();
    CHECK(*taken == 6);
    CHECK_FALSE(t.valid());  // NOLINT: consumed
    settle(rt);
}

TEST_CASE("a_move_only_result_that_others_share_cannot_be_given_away") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("unique", [] { return std::make_unique<int>(1); });
    token<std::unique_ptr<int>> t = op();
    const token<std::unique_ptr<int>> other = t;
    try {
        static_cast<void>(std::move(t).get());
        FAIL("nothing was thrown");
    } catch (const result_shared& error) {
        const std::string text = error.what();
        CHECK(text.find("'unique'") != std::string::npos);
        CHECK(text.find(std::to_string(other.id())) != std::string::npos);
    }
    CHECK(*other.get() == 1);
    settle(rt);
}

TEST_CASE("a_copyable_result_that_others_share_is_copied") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("text", [] { return std::string(50, 'y'); });
    token<std::string> t = op();
    const token<std::string> other = t;
    CHECK(std::move(t).get() == std::string(50, 'y'));
    CHECK(other.get() == std::string(50, 'y'));
    settle(rt);
}

TEST_CASE("a_handle_without_a_token_names_the_question") {
    const token<int> nothing;
    CHECK_FALSE(nothing.valid());
    const auto complaint = [](auto&& ask) -> std::string {
        try {
            ask();
        } catch (const empty_token& error) {
            return error.what();
        }
        return "";
    };
    CHECK(complaint([&] { static_cast<void>(nothing.get()); }).find("get()") == 0);
    CHECK(complaint([&] { static_cast<void>(nothing.state()); }).find("state()") == 0);
    CHECK(complaint([&] { static_cast<void>(nothing.id()); }).find("id()") == 0);
    CHECK(complaint([&] { static_cast<void>(nothing.position()); }).find("position()") == 0);
    CHECK(complaint([&] { static_cast<void>(nothing.domain()); }).find("domain()") == 0);
    CHECK(complaint([&] { nothing.wait(); }).find("wait()") == 0);
    CHECK(complaint([&] { static_cast<void>(nothing.wait_for(1ms)); }).find("wait_") == 0);
    CHECK(complaint([&] {
              static_cast<void>(nothing.operation_name());
          }).find("operation_name()") == 0);
}

TEST_CASE("a_handle_may_outlive_its_runtime") {
    token<std::string> value;
    token<int> failure;
    {
        runtime rt({.cores = 2});
        value = rt.operation("value", [] { return std::string("still here"); })();
        failure = rt.operation("failure", []() -> int { throw 7; })();
    }
    CHECK(value.get() == "still here");
    CHECK(value.operation_name() == "value");
    CHECK(value.state() == token_state::completed);
    value.wait();
    CHECK(value.wait_for(0s));
    CHECK_THROWS_AS(static_cast<void>(failure.get()), int);
    CHECK(std::move(value).get() == "still here");
}

TEST_CASE("waiting_for_ever_in_numbers_is_waiting_for_ever") {
    runtime rt({.cores = 2});
    hold gate;
    const auto op = rt.operation("held", [&] { gate.pass(); });
    const token<void> t = op();
    REQUIRE(gate.await(1));
    std::thread later([&] { gate.release(); });
    CHECK(t.wait_for(std::chrono::hours::max()));
    CHECK(t.wait_until(std::chrono::steady_clock::time_point::max()));
    CHECK(rt.wait_idle_for(std::chrono::nanoseconds::max()));
    later.join();
    settle(rt);
}

TEST_CASE("a_wait_that_times_out_does_not_touch_the_token") {
    runtime rt({.cores = 2});
    hold gate;
    const auto op = rt.operation("held", [&] {
        gate.pass();
        return 11;
    });
    const token<int> t = op();
    for (int i = 0; i < 20; ++i) CHECK_FALSE(t.wait_for(100us));
    CHECK_FALSE(t.done());
    gate.release();
    CHECK(result_of(t) == 11);
    settle(rt);
}

TEST_CASE("many_threads_can_wait_for_one_token") {
    runtime rt({.cores = 2});
    hold gate;
    const auto op = rt.operation("held", [&] {
        gate.pass();
        return 3;
    });
    const token<int> t = op();
    std::atomic<int> sum{0};
    std::vector<std::thread> crowd;
    for (int i = 0; i < 8; ++i) {
        crowd.emplace_back([&, copy = t] { sum.fetch_add(copy.get()); });
    }
    gate.release();
    for (std::thread& each : crowd) each.join();
    CHECK(sum.load() == 24);
    settle(rt);
}

TEST_CASE("wait_all_waits_for_all_of_a_range_whatever_their_outcome") {
    runtime rt({.cores = 4});
    const auto op = rt.operation("odd ones fail", [](int n) {
        if (n % 2 == 1) throw n;
        return n;
    });
    std::vector<token<int>> tokens;
    for (int i = 0; i < 100; ++i) tokens.push_back(op(i));
    wait_all(tokens);
    CHECK(std::all_of(tokens.begin(), tokens.end(), [](const auto& t) { return t.done(); }));
    const token<int> a = op(2);
    const token<int> b = op(3);
    wait_all(a, b);
    CHECK(a.state() == token_state::completed);
    CHECK(b.state() == token_state::failed);
    settle(rt);
}

TEST_CASE("a_million_ids_from_four_threads_are_unique") {
    runtime rt({.cores = 4});
    const auto op = rt.operation("nothing", [] {});
    const std::size_t per_thread = scaled(250'000);
    std::vector<std::vector<std::uint64_t>> ids(4);
    std::vector<std::thread> crowd;
    for (auto& mine : ids) {
        crowd.emplace_back([&] {
            mine.reserve(per_thread);
            for (std::size_t i = 0; i < per_thread; ++i) mine.push_back(op().id());
        });
    }
    for (std::thread& each : crowd) each.join();
    std::vector<std::uint64_t> all;
    for (const auto& mine : ids) {
        CHECK(std::is_sorted(mine.begin(), mine.end()));
        all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    CHECK(all.size() == 4 * per_thread);
    settle(rt);
}

TEST_CASE("a_token_whose_handle_is_dropped_runs_all_the_same") {
    for (const int cores : widths) {
        runtime rt({.cores = cores});
        std::atomic<int> ran{0};
        const auto op = rt.operation("count", [&] { ran.fetch_add(1); });
        for (int i = 0; i < 1000; ++i) op();
        settle(rt);
        CHECK(ran.load() == 1000);
        CHECK(rt.stats().total().completed == 1000);
    }
}

TEST_CASE("a_posted_token_runs_and_is_counted_though_nobody_holds_it") {
    runtime rt({.cores = 2});
    std::atomic<int> sum{0};
    auto add = rt.operation("add", [&](int value) { sum += value; });
    auto fail = rt.operation("fail", [] { throw std::runtime_error("nobody hears this"); });
    auto any = rt.operation("any", [&](auto value) { sum += static_cast<int>(value); });
    auto serial = rt.operation("serial", {.sticky = sticky::by_arguments(sticky::serial)},
                               [&](int value) { sum += value; });
    auto parent = rt.operation("parent", [&] {
        for (int i = 0; i < 10; ++i) add.post(100);
    });
    for (int i = 0; i < 100; ++i) {
        add.post(1);
        any.post(2L);
        serial.post(3);
    }
    fail.post();
    parent.post();
    rt.wait_idle();
    CHECK(sum == 100 * (1 + 2 + 3) + 1000);
    const auto total = rt.stats().total();
    CHECK(total.completed == 311);
    CHECK(total.failed == 1);
    rt.stop();
    CHECK_THROWS_AS(add.post(1), runtime_stopped);
}

}  // namespace tokengate::test
