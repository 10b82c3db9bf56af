// SPDX-License-Identifier: Apache-2.0
// How a runtime stops: what was accepted ends, and nothing is accepted any more.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// What the error of type E says; empty if there was none.
template <class E, class Ask>
std::string complaint(Ask&& ask) {
    try {
        ask();
    } catch (const E& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("stop_runs_everything_that_was_accepted") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        std::atomic<int> ran{0};
        for (const weight each : all_weights) {
            const auto op = rt.operation(to_string(each), {.weight = each}, [&] { ++ran; });
            for (int i = 0; i < 1000; ++i) op();
        }
        const stop_report report = rt.stop();
        CHECK(report.drained);
        CHECK(report.killed == 0);
        CHECK(report.stragglers.empty());
        CHECK(ran == 3000);
        CHECK_FALSE(rt.running());
        check_ledger(rt);
    }
}

TEST_CASE("the_destructor_runs_everything_that_was_accepted") {
    for (const int cores : widths) {
        std::atomic<int> ran{0};
        {
            runtime rt({.cores = cores});
            const auto op = rt.operation("op", [&] { ++ran; });
            for (int i = 0; i < 1000; ++i) op();
        }
        CHECK(ran == 1000);
    }
}

TEST_CASE("tokens_that_run_while_the_runtime_drains_may_call_operations") {
    for (const int cores : {1, 4}) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> ran{0};
        const auto child = rt.operation("child", [&] { ++ran; });
        const auto parent = rt.operation("parent", [&] {
            gate.pass();
            for (int i = 0; i < 100; ++i) child();
            child().wait();
        });
        parent();
        REQUIRE(gate.await(1));
        std::thread stopper([&] { CHECK(rt.stop().drained); });
        REQUIRE(eventually([&] { return !rt.running(); }));
        gate.release();
        stopper.join();
        CHECK(ran == 101);
        check_ledger(rt);
    }
}

TEST_CASE("a_call_after_stop_throws_and_accepts_nothing") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("late one", [] {});
    op().wait();
    rt.stop();
    for (int i = 0; i < 3; ++i) {
        const std::string text = complaint<runtime_stopped>([&] { op(); });
        CHECK(contains(text, "'late one'"));
        CHECK(contains(text, "Nothing was accepted"));
        CHECK(complaint<runtime_stopped>([&] { static_cast<void>(op.try_call()); }) == text);
    }
    CHECK(rt.stats().total().accepted == 1);
    check_ledger(rt);
}

TEST_CASE("a_stop_at_its_deadline_kills_what_waits_and_what_executes") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto stuck = rt.operation("stuck one", {.weight = weight::heavy}, [&] {
            gate.pass();
            return 1;
        });
        const auto waiting = rt.operation("waiting one", {.weight = weight::heavy}, [] {});
        std::vector<token<int>> executing;
        for (int i = 0; i < cores; ++i) executing.push_back(stuck());
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        std::vector<token<void>> waiters;
        for (int i = 0; i < 100; ++i) waiters.push_back(waiting());

        // Somebody waits already; the stop sets it free.
        std::atomic<bool> released{false};
        std::thread outside([&, t = executing.front()] {
            released = !complaint<token_killed>([&] { demand(t); }).empty();
        });
        const stop_report report = rt.stop(1ms);
        CHECK_FALSE(report.drained);
        CHECK(report.killed == static_cast<std::uint64_t>(cores) + 100);
        REQUIRE(report.stragglers.size() == static_cast<std::size_t>(cores));
        for (const straggler& each : report.stragglers) {
            CHECK(each.operation == "stuck one");
            CHECK(each.domain < static_cast<unsigned>(cores));
            CHECK(each.id != 0);
        }
        outside.join();
        CHECK(released);
        for (const auto& each : waiters) CHECK(each.state() == token_state::killed);
        for (const auto& each : executing) {
            CHECK(each.state() == token_state::killed);
            const std::string text = complaint<token_killed>([&] { demand(each); });
            CHECK(contains(text, "'stuck one'"));
            CHECK(contains(text, "token " + std::to_string(each.id()) + " "));
        }
        try {
            demand(waiters.front());
            FAIL("a killed token has no result");
        } catch (const token_killed& error) {
            CHECK(error.id() == waiters.front().id());
        }
        const token_counts counts = rt.stats().total();
        CHECK(counts.killed == static_cast<std::uint64_t>(cores) + 100);
        CHECK(counts.in_flight() == 0);
        gate.release();
        rt.stop();
        check_ledger(rt);
        CHECK(rt.stats().total().completed == 0);
    }
}

TEST_CASE("a_stop_that_is_done_before_its_deadline_kills_nothing") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [] {});
    for (int i = 0; i < 1000; ++i) op();
    const stop_report report = rt.stop(60s);
    CHECK(report.drained);
    CHECK(report.killed == 0);
    check_ledger(rt);
    CHECK(rt.stats().total().completed == 1000);
}

TEST_CASE("a_killed_callable_that_waits_for_a_killed_token_is_released") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    std::atomic<bool> saw_kill{false};
    const auto stuck = rt.operation("stuck", {.weight = weight::light}, [&] { gate.pass(); });
    const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
        try {
            stuck().get();
        } catch (const token_killed&) {
            saw_kill = true;
        }
    });
    waits();
    REQUIRE(gate.await(1));
    static_cast<void>(rt.stop(1ms));
    CHECK(eventually([&] { return saw_kill.load(); }));
    gate.release();
    rt.stop();
    check_ledger(rt);
}

TEST_CASE("stop_may_be_called_again_and_from_several_threads") {
    for (int round = 0; round < 50; ++round) {
        runtime rt({.cores = 2});
        const auto op = rt.operation("op", [] {});
        for (int i = 0; i < 100; ++i) op();
        std::vector<std::thread> crowd;
        std::atomic<int> drained{0};
        for (int i = 0; i < 3; ++i) crowd.emplace_back([&] { drained += rt.stop().drained; });
        for (std::thread& each : crowd) each.join();
        CHECK(drained == 3);
        CHECK(rt.stop().drained);
        check_ledger(rt);
        CHECK(rt.stats().total().completed == 100);
    }
}

TEST_CASE("stop_with_a_deadline_overtakes_one_without") {
    runtime rt({.cores = 1});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const token<void> t = held();
    REQUIRE(gate.await(1));
    std::optional<stop_report> patient;
    std::thread stopper([&] { patient = rt.stop(); });
    REQUIRE(eventually([&] { return !rt.running(); }));
    const stop_report report = rt.stop(1ms);
    CHECK(report.killed == 1);
    CHECK(t.state() == token_state::killed);
    gate.release();
    stopper.join();
    // One token was killed, so not everything has run to its end.
    REQUIRE(patient.has_value());
    CHECK_FALSE(patient->drained);
    check_ledger(rt);
}

TEST_CASE("stop_inside_a_token_closes_the_gate_and_leaves_the_rest_to_others") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [] {});
    const auto stops = rt.operation("stops", [&] {
        rt.stop();
        rt.stop(0s);
        op();  // inside a token that was admitted
        return rt.running();
    });
    CHECK(result_of(stops()) == false);
    CHECK_FALSE(complaint<runtime_stopped>([&] { op(); }).empty());
    CHECK(rt.stop().drained);
    check_ledger(rt);
    CHECK(rt.stats().total().completed == 2);
}

TEST_CASE("a_blocked_submitter_is_told_that_the_runtime_stops") {
    for (const bool lane_is_small : {true, false}) {
        runtime rt({.cores = 1,
                    .mailbox_capacity = lane_is_small ? 1 : 100,
                    .in_flight_limit = lane_is_small ? 100 : 2});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        held();
        REQUIRE(gate.await(1));
        held();
        std::atomic<int> told{0};
        std::vector<std::thread> crowd;
        for (int i = 0; i < 3; ++i) {
            crowd.emplace_back(
                [&] { told += complaint<runtime_stopped>([&] { held(); }).empty() ? 0 : 1; });
        }
        std::this_thread::sleep_for(5ms);
        std::thread stopper([&] { rt.stop(); });
        for (std::thread& each : crowd) each.join();
        CHECK(told == 3);
        gate.release();
        stopper.join();
        check_ledger(rt);
        CHECK(rt.stats().total().accepted == 2);
    }
}

TEST_CASE("a_stop_without_deadline_kills_nothing_that_it_has_accepted") {
    // Submitters race with the stop: each call is either accepted and runs, or throws.
    for (std::size_t round = 0; round < scaled_starts(300); ++round) {
        runtime rt({.cores = 2, .spin_time = 0us});
        const auto op = rt.operation("op", [] {});
        std::atomic<int> ready{0};
        std::atomic<std::uint64_t> accepted{0};
        std::vector<std::thread> crowd;
        for (int i = 0; i < 3; ++i) {
            crowd.emplace_back([&] {
                ready.fetch_add(1);
                try {
                    for (;;) {
                        op();
                        accepted.fetch_add(1);
                    }
                } catch (const runtime_stopped&) {
                    return;
                }
            });
        }
        while (ready.load() < 3) std::this_thread::yield();
        const stop_report report = rt.stop();
        for (std::thread& each : crowd) each.join();
        const token_counts counts = rt.stats().total();
        CHECK(report.drained);
        CHECK(counts.accepted == accepted.load());
        CHECK(counts.in_flight() == 0);
        REQUIRE(counts.killed == 0);
    }
}

TEST_CASE("a_straggler_may_enter_blocking_while_its_runtime_ends") {
    // Bounded tries: it has to ask for a stand-in between two steps of the end.
    for (std::size_t round = 0; round < scaled_starts(200); ++round) {
        std::optional<runtime> rt;
        rt.emplace(config{.cores = 1,
                          .workers_per_core = 1,
                          .reserve_workers = 1,
                          .spin_time = 0us,
                          .binding = false});
        hold gate;
        std::atomic<bool> go{false};
        const auto op = rt->operation("op", [&] {
            gate.pass();
            while (!go) std::this_thread::yield();
            for (std::atomic<std::size_t> i{0}; i < (round % 40) * 50; ++i) {}
            blocking([] {});
        });
        const token<void> t = op();
        gate.release();
        REQUIRE(gate.await(1));
        CHECK(t.kill());
        go = true;
        rt->stop();
        rt.reset();
        CHECK(t.state() == token_state::killed);
    }
}

TEST_CASE("a_supervised_call_that_a_stop_turns_away_late_gives_its_node_back_once") {
    struct stopper {
        runtime& rt;
        std::shared_ptr<int> what;
        // NOLINTNEXTLINE(google-explicit-constructor): as arguments are converted.
        operator std::shared_ptr<int>() const {
            rt.stop();
            return what;
        }
    };
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.queue_timeout = 1h, .retry = {.attempts = 2}},
                                 [](const std::shared_ptr<int>& p) { return *p; });
    const auto shared = std::make_shared<int>(7);
    // The node that is turned away has been used before.
    for (int i = 0; i < 100; ++i) CHECK(result_of(op(shared)) == 7);
    for (int round = 0; round < 3; ++round) {
        CHECK_THROWS_AS(op(stopper{rt, shared}), runtime_stopped);
        rt.start();
    }
    op.pause();
    std::vector<token<int>> made;
    for (int i = 0; i < 200; ++i) made.push_back(op(std::make_shared<int>(i)));
    op.resume();
    for (int i = 0; i < 200; ++i) CHECK(result_of(made[static_cast<std::size_t>(i)]) == i);
    settle(rt);
    CHECK(shared.use_count() == 1);
}

}  // namespace tokengate::test
