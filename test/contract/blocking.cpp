// SPDX-License-Identifier: Apache-2.0
// Operations that fail too often are blocked, and probed.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "alerts.hpp"
#include "failing.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

TEST_CASE("an_operation_that_fails_too_often_is_blocked_and_its_calls_are_refused") {
    for (const int cores : {1, 2, 4}) {
        listener heard;
        runtime rt({.cores = cores});
        rt.on_alert(heard.hook());
        const auto op = rt.operation("op",
                                     {.health = {.block = true,
                                                 .block_above = 0.5,
                                                 .attempts = 4,
                                                 .window = long_time,
                                                 .probe_after = long_time}},
                                     [](bool bad, const std::string&) { fail_if(bad); });
        // As many as the limit is not more than that, and three are too few.
        for (const bool bad : {true, false, true, false}) run(op, bad, "");
        CHECK_FALSE(op.health().blocked);
        CHECK(heard.all().empty());
        run(op, true, "");
        CHECK(op.health().blocked);
        CHECK_FALSE(op.health().probing);
        const auto at = std::chrono::steady_clock::now();
        std::string kept = "kept";
        try {
            static_cast<void>(op(false, std::move(kept)));
            CHECK(false);
        } catch (const operation_blocked& why) {
            CHECK(why.operation() == "op");
            CHECK(why.attempts() == 5);
            CHECK(why.failures() == 3);
            CHECK(why.since() <= at);
            const std::string text = why.what();
            CHECK(text.find("'op'") != std::string::npos);
            CHECK(text.find("3 of its 5 attempts") != std::string::npos);
            CHECK(text.find("unblock()") != std::string::npos);
        }
        // NOLINTNEXTLINE(bugprone-use-after-move): that is what is promised.
        CHECK(kept == "kept");
        CHECK_THROWS_AS(static_cast<void>(op.try_call(false, "")), operation_blocked);
        CHECK_THROWS_AS(op.post(false, ""), operation_blocked);
        CHECK_THROWS_AS(
            static_cast<void>(op.bulk(std::vector<std::pair<bool, std::string>>{{false, ""}})),
            operation_blocked);
        settle(rt);
        CHECK(op.stats().counts.refused == 4);
        CHECK(op.stats().counts.accepted == 5);
        CHECK(heard.kinds() == std::vector{alert_kind::blocked});
        const alert what = heard.all().front();
        CHECK(what.operation == "op");
        CHECK(what.token != 0);
        CHECK(what.measured == doctest::Approx(0.6));
        CHECK(what.limit == doctest::Approx(0.5));
        CHECK(what.unit == "rate");
    }
}

TEST_CASE("what_was_accepted_before_a_block_runs_on") {
    hold gate;
    runtime rt({.cores = 1});
    const auto op = rt.operation(
        "op", {.health = {.block = true, .attempts = 1, .probe_after = long_time}}, [&](bool bad) {
            if (bad) gate.pass();
            fail_if(bad);
        });
    const token<void> first = op(true);
    std::vector<token<void>> others;
    for (int i = 0; i < 5; ++i) others.push_back(op(false));
    REQUIRE(gate.await(1));
    gate.release();
    first.join();
    for (const token<void>& each : others) each.get();
    CHECK(op.health().blocked);
    CHECK(is_refused(op, false));
    settle(rt);
    CHECK(op.stats().counts.completed == 5);
}

TEST_CASE("one_probe_decides_whether_an_operation_stays_blocked") {
    for (const int cores : {1, 2}) {
        hold gate;
        listener heard;
        runtime rt({.cores = cores});
        rt.on_alert(heard.hook());
        const auto op =
            rt.operation("op", {.health = {.block = true, .attempts = 2, .probe_after = 0s}},
                         [&](bool bad, bool held) {
                             if (held) gate.pass();
                             fail_if(bad);
                         });
        for (int i = 0; i < 2; ++i) run(op, true, false);
        CHECK(op.health().blocked);
        run(op, true, false);
        CHECK(op.health().blocked);
        const token<void> probe = op(false, true);
        CHECK(op.health().probing);
        // One at a time.
        for (int i = 0; i < 3; ++i) CHECK(is_refused(op, false, false));
        gate.release();
        probe.get();
        probe.join();
        settle(rt);
        const health_report seen = op.health();
        CHECK_FALSE(seen.blocked);
        CHECK(seen.attempts == 0);
        CHECK(seen.level == health_level::unknown);
        for (int i = 0; i < 3; ++i) CHECK_FALSE(is_refused(op, false, false));
        CHECK(heard.kinds() == std::vector{alert_kind::blocked, alert_kind::probing,
                                           alert_kind::blocked, alert_kind::probing,
                                           alert_kind::unblocked});
        CHECK(heard.all().back().token == probe.id());
        CHECK(op.stats().counts.refused == 3);
        settle(rt);
    }
}

TEST_CASE("a_probe_that_ends_without_an_answer_makes_place_for_the_next") {
    struct picky {
        explicit picky(bool bad) { fail_if(bad); }
    };
    struct argument {
        bool bad = false;
        operator picky() const { return picky(bad); }
    };
    hold gate;
    runtime rt({.cores = 1});
    const auto op = rt.operation(
        "op", {.queue_timeout = 500ms, .health = {.block = true, .attempts = 2, .probe_after = 0s}},
        [&](const picky&, bool bad) { fail_if(bad); });
    const auto busy = rt.operation("busy", [&] { gate.pass(); });
    for (int i = 0; i < 2; ++i) run(op, argument{}, true);
    REQUIRE(op.health().blocked);
    // Never accepted.
    CHECK_THROWS_AS(static_cast<void>(op(argument{true}, false)), std::runtime_error);
    CHECK_FALSE(op.health().probing);
    // Killed, or timed out, before it begins.
    busy.post();
    REQUIRE(gate.await(1));
    const token<void> killed = op(argument{}, false);
    CHECK(op.health().probing);
    CHECK(killed.kill());
    CHECK_FALSE(op.health().probing);
    const token<void> late = op(argument{}, false);
    CHECK(op.health().probing);
    REQUIRE(ends(late));
    CHECK(late.state() == token_state::timed_out);
    CHECK(eventually([&] { return !op.health().probing; }));
    CHECK(op.health().blocked);
    gate.release();
    run(op, argument{}, false);
    CHECK_FALSE(op.health().blocked);
    settle(rt);
}

TEST_CASE("a_call_that_is_turned_away_when_its_arguments_are_there_leaves_nothing_behind") {
    struct argument {
        std::shared_ptr<int> held;
    };
    struct source {
        runtime& rt;
        bool stops;
        std::shared_ptr<int> held;
        operator argument() const {
            if (stops) rt.stop();
            return {.held = held};
        }
    };
    for (const bool supervised : {false, true}) {
        runtime rt({.cores = 1});
        operation_traits traits;
        if (supervised) {
            traits.run_timeout = long_time;
            traits.health = {.block = true, .block_above = 0, .attempts = 1, .probe_after = 0s};
        }
        const auto held = std::make_shared<int>(1);
        std::atomic<bool> fails{false};
        const auto op = rt.operation("op", traits, [&](const argument&) { fail_if(fails.load()); });
        for (int i = 0; i < 5; ++i) {
            CHECK_THROWS_AS(static_cast<void>(op(source{rt, true, held})), runtime_stopped);
            CHECK(held.use_count() == 1);
            rt.start();
            run(op, source{rt, false, held});
        }
        fails = supervised;
        run(op, source{rt, false, held});
        CHECK(op.health().blocked == supervised);
        fails = false;
        CHECK_THROWS_AS(static_cast<void>(op(source{rt, true, held})), runtime_stopped);
        CHECK_FALSE(op.health().probing);
        rt.start();
        run(op, source{rt, false, held});
        CHECK_FALSE(op.health().blocked);
        settle(rt);
        CHECK(op.stats().counts.accepted == 7);
        // Their nodes are free, each of them once.
        std::vector<token<void>> many;
        for (int i = 0; i < 1000; ++i) many.push_back(op(source{rt, false, held}));
        for (const token<void>& each : many) each.join();
        settle(rt);
        CHECK(held.use_count() == 1);
    }
}

TEST_CASE("a_probe_that_is_killed_while_it_runs_says_nothing") {
    hold gate;
    runtime rt({.cores = 2});
    const auto op = rt.operation(
        "op", {.health = {.block = true, .attempts = 2, .probe_after = 0s}}, [&](bool bad) {
            if (!bad) gate.pass();
            fail_if(bad);
        });
    for (int i = 0; i < 2; ++i) run(op, true);
    const token<void> probe = op(false);
    REQUIRE(gate.await(1));
    CHECK(probe.kill());
    CHECK(op.health().probing);
    gate.release();
    probe.join();
    CHECK(op.health().blocked);
    CHECK_FALSE(op.health().probing);
    CHECK(op.health().attempts == 2);
    run(op, false);
    CHECK_FALSE(op.health().blocked);
    settle(rt);
}

TEST_CASE("a_probe_that_is_retried_decides_with_its_last_attempt") {
    runtime rt({.cores = 1});
    std::atomic<bool> recovers{false};
    const auto op = rt.operation(
        "op",
        {.retry = {.attempts = 3}, .health = {.block = true, .attempts = 3, .probe_after = 0s}},
        [&] { fail_if(!recovers || this_token::attempt() < 3); });
    run(op);
    CHECK(op.health().blocked);
    run(op);
    CHECK(op.health().blocked);
    recovers = true;
    run(op);
    CHECK_FALSE(op.health().blocked);
    settle(rt);
}

TEST_CASE("unblock_opens_at_once_and_an_old_probe_has_no_say_any_more") {
    hold gate;
    listener heard;
    runtime rt({.cores = 2, .workers_per_core = 2});
    rt.on_alert(heard.hook());
    const auto op =
        rt.operation("op", {.health = {.block = true, .attempts = 2, .probe_after = 0s}},
                     [&](bool bad, bool held) {
                         if (held) gate.pass();
                         fail_if(bad);
                     });
    CHECK_FALSE(op.unblock());
    for (int i = 0; i < 2; ++i) run(op, true, false);
    const token<void> old = op(false, true);
    REQUIRE(gate.await(1));
    CHECK(op.unblock());
    CHECK_FALSE(op.unblock());
    CHECK_FALSE(op.health().blocked);
    CHECK(op.health().attempts == 0);
    CHECK(heard.kinds().back() == alert_kind::unblocked);
    for (int i = 0; i < 2; ++i) run(op, true, false);
    CHECK(op.health().blocked);
    gate.release();
    old.join();
    settle(rt);
    CHECK(op.health().blocked);
    CHECK(heard.count(alert_kind::unblocked) == 1);
    CHECK_FALSE(is_refused(op, false, false));
    settle(rt);
}

TEST_CASE("without_an_end_of_its_delay_no_probe_is_let_through") {
    runtime rt({.cores = 1});
    for (const auto delay :
         {std::chrono::nanoseconds(long_time), std::chrono::nanoseconds::max()}) {
        const auto op =
            rt.operation("op" + std::to_string(delay.count()),
                         {.health = {.block = true, .attempts = 1, .probe_after = delay}}, fail_if);
        run(op, true);
        for (int i = 0; i < 10; ++i) CHECK(is_refused(op, false));
        CHECK(op.unblock());
        CHECK_FALSE(is_refused(op, false));
    }
    settle(rt);
}

TEST_CASE("a_run_that_times_out_has_failed_even_if_it_never_returns_and_a_killed_one_has_not") {
    hold gate;
    runtime rt({.cores = 4});
    const auto late =
        rt.operation("late",
                     {.weight = weight::heavy,
                      .run_timeout = 1ms,
                      .health = {.block = true, .attempts = 2, .probe_after = long_time}},
                     [&] { gate.pass(); });
    const auto killed =
        rt.operation("killed", {.weight = weight::heavy, .health = {.block = true, .attempts = 1}},
                     [&] { gate.pass(); });
    const token<void> first = late();
    const token<void> second = late();
    REQUIRE(ends(first));
    REQUIRE(ends(second));
    CHECK(eventually([&] { return late.health().blocked; }));
    CHECK(is_refused(late));
    const token<void> third = killed();
    CHECK(eventually([&] { return third.state() == token_state::executing; }));
    CHECK(third.kill());
    gate.release();
    for (const auto* each : {&first, &second, &third}) each->join();
    settle(rt);
    CHECK(late.health().attempts == 2);
    CHECK(late.health().failures == 2);
    CHECK(killed.health().attempts == 0);
    CHECK_FALSE(killed.health().blocked);
}

TEST_CASE("alert_hooks_tokens_and_stop_callbacks_may_ask_and_unblock") {
    hold gate;
    std::atomic<int> heard{0};
    std::optional<operation<void(bool)>> op;
    runtime rt({.cores = 2});
    rt.on_alert([&](const alert& what) {
        ++heard;
        static_cast<void>(rt.stats());
        static_cast<void>(op->stats());
        static_cast<void>(op->health());
        // Blocked: dropped, as all that a hook throws.
        if (what.kind == alert_kind::probing) static_cast<void>((*op)(false));
    });
    op.emplace(rt.operation("op", {.health = {.block = true, .attempts = 1, .probe_after = 0s}},
                            [&](const std::stop_token& stop, bool bad) {
                                const std::stop_callback told(stop, [&] {
                                    static_cast<void>(op->health());
                                    static_cast<void>(op->stats());
                                    op->unblock();
                                });
                                static_cast<void>(op->health());
                                if (!bad) gate.pass();
                                fail_if(bad);
                            }));
    run(*op, true);
    const token<void> probe = (*op)(false);
    REQUIRE(gate.await(1));
    CHECK(op->health().probing);
    CHECK(probe.kill());
    CHECK_FALSE(op->health().blocked);
    gate.release();
    probe.join();
    settle(rt);
    // Blocked, probing, and unblocked by the callback.
    CHECK(heard == 3);
    op.reset();
}

TEST_CASE("many_threads_call_what_is_blocked_and_unblocked_all_the_time") {
    for (const int cores : {1, 4}) {
        std::atomic<std::uint64_t> refused{0};
        std::atomic<std::uint64_t> heard{0};
        runtime rt({.cores = cores, .workers_per_core = 2, .history = 16});
        const auto op = rt.operation(
            "op",
            {.retry = {.attempts = 2},
             .slow_after = 1us,
             .health = {.block = true, .block_above = 0.2, .attempts = 2, .probe_after = 0s}},
            [](std::size_t n) { fail_if(n % 3 == 0); });
        rt.on_alert([&](const alert& what) {
            ++heard;
            if (heard % 8 == 0) static_cast<void>(op.health());
            if (what.kind == alert_kind::blocked && heard % 4 == 0) op.unblock();
        });
        std::vector<std::thread> callers;
        for (std::size_t c = 0; c < 4; ++c) {
            callers.emplace_back([&, c] {
                for (std::size_t i = 0; i < scaled(1000); ++i) {
                    try {
                        const token<void> t = op(i + c);
                        if (i % 5 == 0) t.kill();
                        if (i % 7 == 0) t.join();
                    } catch (const operation_blocked&) {
                        ++refused;
                    }
                    if (i % 100 == 0) static_cast<void>(rt.stats());
                    if (i % 100 == 50) static_cast<void>(rt.history());
                }
            });
        }
        for (std::thread& each : callers) each.join();
        settle(rt);
        CHECK(op.stats().counts.refused == refused);
        CHECK(op.stats().oldest_wait == 0ns);
        CHECK_FALSE(op.health().probing);
        rt.on_alert({});
    }
}

}  // namespace tokengate::test
