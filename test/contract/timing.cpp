// SPDX-License-Identifier: Apache-2.0
// How long tokens wait and run, and what has run last.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// Longer than any test takes.
constexpr auto long_time = 1h;

}  // namespace

TEST_CASE("only_operations_that_ask_for_it_are_timed") {
    runtime rt({.cores = 1});
    const auto is_timed = [&](const char* name, const operation_traits& traits) {
        const auto op = rt.operation(name, traits, [] {});
        op().get();
        const operation_stats seen = op.stats();
        CHECK(seen.wait.has_value() == seen.run.has_value());
        if (seen.run) CHECK(seen.run->count == 1);
        return seen.run.has_value();
    };
    CHECK_FALSE(is_timed("plain", {}));
    CHECK_FALSE(is_timed("retried", {.retry = {.attempts = 2}}));
    CHECK_FALSE(is_timed("limited", {.queue_timeout = long_time, .run_timeout = long_time}));
    CHECK(is_timed("timed", {.timed = true}));
    CHECK(is_timed("watched", {.slow_after = long_time}));
    CHECK(is_timed("blockable", {.health = {.block = true}}));
    CHECK(is_timed("spiky", {.spikes = {.factor = 1e9}}));
}

TEST_CASE("each_token_waits_once_and_each_attempt_runs_once") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores});
        std::atomic<int> calls{0};
        const auto op = rt.operation("op", {.retry = {.attempts = 3}, .timed = true}, [&] {
            if (++calls % 3 != 0) throw std::runtime_error("again");
        });
        for (int i = 0; i < 10; ++i) op().get();
        settle(rt);
        const operation_stats seen = op.stats();
        CHECK(seen.wait->count == 10);
        CHECK(seen.run->count == 30);
        CHECK(seen.executions == 30);
        CHECK(seen.run->p50 <= seen.run->p95);
        CHECK(seen.run->p95 <= seen.run->p99);
        CHECK(seen.run->p99 <= seen.run->max);
        CHECK(seen.run->mean <= seen.run->max);
    }
}

TEST_CASE("a_wait_lasts_from_the_call_to_the_begin_and_a_run_to_the_end") {
    hold gate;
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.timed = true}, [&](bool held) {
        if (held) gate.pass();
    });
    const auto before = clock::now();
    const token<void> first = op(true);
    REQUIRE(gate.await(1));
    const auto begun = clock::now();
    const token<void> second = op(false);
    const auto called = clock::now();
    std::this_thread::sleep_for(2ms);
    const auto released = clock::now();
    gate.release();
    first.get();
    second.get();
    settle(rt);
    const auto all = clock::now() - before;
    const operation_stats seen = op.stats();
    CHECK(seen.wait->count == 2);
    CHECK(seen.wait->max >= released - called);
    CHECK(seen.wait->max <= all);
    CHECK(seen.run->max >= released - begun);
    CHECK(seen.run->max <= all);
    CHECK(seen.run->mean <= seen.run->max);
}

TEST_CASE("the_oldest_wait_is_that_of_the_first_that_waits") {
    hold gate;
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.timed = true}, [&](bool held) {
        if (held) gate.pass();
    });
    const auto untimed =
        rt.operation("untimed", {.queue_timeout = long_time, .run_timeout = long_time}, [] {});
    CHECK(op.stats().oldest_wait == 0ns);
    const token<void> first = op(true);
    REQUIRE(gate.await(1));
    CHECK(op.stats().oldest_wait == 0ns);
    const token<void> second = op(false);
    const auto called = clock::now();
    std::this_thread::sleep_for(1ms);
    const token<void> third = op(false);
    const token<void> other = untimed();
    const auto least = clock::now() - called;
    CHECK(op.stats().oldest_wait >= least);
    CHECK(untimed.stats().oldest_wait == 0ns);
    second.kill();
    CHECK(op.stats().oldest_wait > 0ns);
    gate.release();
    settle(rt);
    CHECK(op.stats().oldest_wait == 0ns);
}

TEST_CASE("there_is_no_history_unless_it_is_asked_for") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.timed = true}, [] {});
    op().get();
    settle(rt);
    CHECK(rt.history().empty());
}

TEST_CASE("the_history_tells_of_the_last_executions_of_all_operations_newest_first") {
    runtime rt({.cores = 1, .history = 4});
    CHECK(rt.settings().history == 4);
    const auto plain = rt.operation("plain", [](int n) { return n; });
    const auto other = rt.operation("other", {.run_timeout = long_time}, [] {});
    std::vector<std::uint64_t> ids;
    const auto note = [&](const auto& t) {
        t.join();
        ids.push_back(t.id());
    };
    for (int i = 0; i < 4; ++i) note(plain(i));
    note(other());
    settle(rt);
    const std::vector<execution> seen = rt.history();
    REQUIRE(seen.size() == 4);
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(seen[i].token == ids[4 - i]);
        CHECK(seen[i].operation == (i == 0 ? "other" : "plain"));
        CHECK(seen[i].outcome == token_state::completed);
        CHECK(seen[i].domain == 0);
        CHECK(seen[i].attempt == 1);
        CHECK(seen[i].wait >= 0ns);
        CHECK(seen[i].run >= 0ns);
        if (i > 0) CHECK(seen[i].begun <= seen[i - 1].begun);
    }
    // Only what the traits ask for is measured.
    CHECK_FALSE(plain.stats().run.has_value());
    CHECK(plain.bulk(std::vector<int>{1, 2, 3}).get() == std::vector<int>{1, 2, 3});
    CHECK(rt.history().front().operation == "plain");
}

TEST_CASE("the_history_tells_how_each_attempt_has_ended") {
    hold gate;
    runtime rt({.cores = 1, .history = 100});
    std::atomic<int> calls{0};
    const auto retried = rt.operation("retried", {.retry = {.attempts = 2}}, [&] {
        if (++calls == 1) throw std::runtime_error("again");
    });
    const auto fails = rt.operation("fails", [] { throw std::runtime_error("on purpose"); });
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto late = rt.operation("late", {.run_timeout = 1ms}, [](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::yield();
    });
    retried().join();
    fails().join();
    late().join();
    const token<void> killed = held();
    REQUIRE(gate.await(1));
    killed.kill();
    gate.release();
    killed.join();
    settle(rt);
    const std::vector<execution> seen = rt.history();
    REQUIRE(seen.size() == 5);
    CHECK(seen[4].operation == "retried");
    CHECK(seen[4].outcome == token_state::failed);
    CHECK(seen[4].attempt == 1);
    CHECK(seen[3].outcome == token_state::completed);
    CHECK(seen[3].attempt == 2);
    CHECK(seen[3].token == seen[4].token);
    CHECK(seen[2].operation == "fails");
    CHECK(seen[2].outcome == token_state::failed);
    CHECK(seen[1].operation == "late");
    CHECK(seen[1].outcome == token_state::timed_out);
    CHECK(seen[0].operation == "held");
    CHECK(seen[0].outcome == token_state::killed);
}

TEST_CASE("times_and_history_may_be_asked_for_inside_tokens_and_stop_callbacks") {
    hold gate;
    runtime rt({.cores = 2, .history = 10});
    std::atomic<int> asked{0};
    std::atomic<bool> listens{false};
    operation<void()>* self = nullptr;
    const auto ask = [&] {
        if (self->stats().run) ++asked;
        static_cast<void>(rt.history());
        static_cast<void>(rt.stats());
        static_cast<void>(self->health());
    };
    auto op = rt.operation("op", {.timed = true}, [&](const std::stop_token& stop) {
        const std::stop_callback told(stop, ask);
        ask();
        listens = true;
        gate.pass();
    });
    self = &op;
    const token<void> t = op();
    REQUIRE(gate.await(1));
    REQUIRE(listens);
    CHECK(t.kill());
    gate.release();
    t.join();
    settle(rt);
    CHECK(asked == 2);
}

}  // namespace tokengate::test
