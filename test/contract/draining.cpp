// SPDX-License-Identifier: Apache-2.0
// drain(), cancel() and kill() of an operation and of all: who may still come in, and who dies.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("a_drained_operation_has_finished_what_it_admitted_and_admits_nothing_until_resumed") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> ran{0};
        const auto op = rt.operation("op", [&] {
            gate.pass();
            ++ran;
        });
        const auto other = rt.operation("other", {.weight = weight::heavy}, [] { return 1; });
        for (int i = 0; i < 10; ++i) op();
        REQUIRE(gate.await(1));
        CHECK_FALSE(op.drain_for(1ms));
        CHECK_THROWS_AS(op(), operation_drained);
        CHECK_THROWS_AS(static_cast<void>(op.try_call()), operation_drained);
        CHECK_THROWS_AS(op.bulk(3), operation_drained);
        std::thread waiting([&] { op.drain(); });
        gate.release();
        waiting.join();
        CHECK(ran == 10);
        CHECK(result_of(other()) == 1);  // others do not notice
        CHECK_THROWS_AS(op(), operation_drained);
        op.resume();
        REQUIRE(ends(op()));
        op.drain();  // again, and idle at once
        op.drain();
        op.resume();
        settle_locality(rt);
        CHECK(ran == 11);
    }
}

TEST_CASE("a_drain_ends_a_pause_and_lets_tokens_call_what_they_need") {
    runtime rt({.cores = 2});
    std::optional<operation<int(int)>> sum;
    sum = rt.operation("sum", [&](int n) { return n == 0 ? 0 : n + (*sum)(n - 1).get(); });
    sum->pause();
    const token<int> t = (*sum)(50);
    CHECK_FALSE(t.wait_for(1ms));
    sum->drain();
    CHECK(t.done());
    CHECK(result_of(t) == 1275);
    sum->resume();
    settle_locality(rt);
}

TEST_CASE("a_drained_runtime_is_idle_and_opens_again") {
    runtime rt({.cores = 2});
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", [&] { ++ran; });
    rt.pause();
    for (int i = 0; i < 100; ++i) op();
    rt.drain();
    CHECK(ran == 100);
    CHECK_FALSE(rt.running());
    CHECK_THROWS_AS(op(), runtime_stopped);
    rt.resume();
    CHECK(rt.running());
    REQUIRE(ends(op()));
    rt.drain();
    rt.stop();
    rt.resume();  // does not open what has stopped
    CHECK_THROWS_AS(op(), runtime_stopped);
    rt.start();
    REQUIRE(ends(op()));
    settle_locality(rt);
}

TEST_CASE("a_runtime_that_is_not_idle_in_time_goes_on_draining") {
    runtime rt({.cores = 2});
    hold gate;
    const auto op = rt.operation("op", [&] { gate.pass(); });
    const token<void> busy = op();
    REQUIRE(gate.await(1));
    CHECK_FALSE(rt.drain_for(1ms));
    CHECK_THROWS_AS(op(), runtime_stopped);
    gate.release();
    CHECK(rt.drain_for(10s));
    CHECK(busy.done());
    rt.resume();
    REQUIRE(ends(op()));
    settle_locality(rt);
}

TEST_CASE("whoever_would_wait_for_itself_by_draining_is_told") {
    runtime rt({.cores = 1});
    std::optional<operation<bool()>> op;
    op = rt.operation("op", [&] {
        int refused = 0;
        try {
            op->drain();
        } catch (const error&) {
            ++refused;
        }
        try {
            rt.drain();
        } catch (const error&) {
            ++refused;
        }
        return refused == 2;
    });
    CHECK(result_of((*op)()));
    settle_locality(rt);
}

TEST_CASE("kill_of_an_operation_ends_all_that_was_called_before_and_nothing_else") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> ran{0};
        const auto op =
            rt.operation("op", {.weight = weight::heavy}, [&](const std::stop_token& stop, int) {
                gate.pass();
                if (!stop.stop_requested()) ++ran;
            });
        const auto other = rt.operation("other", [&] { return ++ran; });
        std::vector<token<void>> old;
        for (int i = 0; i < 100; ++i) old.push_back(op(i));
        const auto shares = op.bulk(numbers(0, 100));
        // All workers: one that has just taken a token out would run it nevertheless.
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        static_cast<void>(op.kill("all of them"));
        std::vector<token<void>> fresh;
        for (int i = 0; i < 10; ++i) fresh.push_back(op(i));
        const token<int> spared = other();
        gate.release();
        for (const auto& each : old) {
            REQUIRE(ends(each));
            CHECK(each.state() == token_state::killed);
        }
        try {
            old.back().get();
        } catch (const token_killed& why) {
            CHECK(why.reason() == "all of them");
        }
        REQUIRE(ends(shares));
        for (const auto& each : fresh) {
            REQUIRE(ends(each));
            CHECK(each.state() == token_state::completed);
        }
        REQUIRE(ends(spared));
        // Those that were killed while they ran count when they return.
        for (const auto& each : old) each.join();
        shares.join();
        settle_locality(rt);
        CHECK(ran == 11);
        CHECK(op.stats().counts.killed == 200);
    }
}

TEST_CASE("cancel_spares_what_executes") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        hold gate;
        const auto op = rt.operation("op", {.weight = weight::heavy}, [&] { gate.pass(); });
        std::vector<token<void>> made;
        for (int i = 0; i < cores; ++i) made.push_back(op());
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        std::vector<token<void>> waiting;
        for (int i = 0; i < 50; ++i) waiting.push_back(op());
        static_cast<void>(rt.cancel("too many"));
        gate.release();
        for (const auto& each : made) {
            REQUIRE(ends(each));
            CHECK(each.state() == token_state::completed);
        }
        for (const auto& each : waiting) {
            REQUIRE(ends(each));
            CHECK(each.state() == token_state::killed);
        }
        settle_locality(rt);
    }
}

TEST_CASE("kill_of_all_reaches_keys_lines_and_chains") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> late{0};
        const auto turns =
            rt.operation("turns", {.sticky = sticky::by_anchor("a", sticky::serial)}, [&](int i) {
                gate.pass();
                if (i > 0) ++late;
            });
        const auto child = rt.operation("child", [&] { ++late; });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            for (int i = 0; i < 5; ++i) child.post();
            gate.pass();
        });
        for (int i = 0; i < 20; ++i) turns(i);
        for (int i = 0; i < 3; ++i) lead();
        REQUIRE(gate.await(1));
        rt.pause();
        static_cast<void>(rt.kill());
        rt.resume();
        gate.release();
        rt.stop();
        check_ledger(rt);
        rt.start();
        CHECK(late <= 15);  // children of leads that began after that
        const token_counts all = rt.stats().total();
        CHECK(all.killed >= 20);
        REQUIRE(ends(child()));
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
