// SPDX-License-Identifier: Apache-2.0
// run_timeout: a callable that runs for too long is over for everybody who waits.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
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

constexpr std::array<int, 3> small_widths{1, 2, 4};

// Longer than any test takes.
constexpr auto long_time = 1h;

std::ptrdiff_t threads_of_this_process() {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return std::distance(begin(all), end(all));
}

}  // namespace

TEST_CASE("a_token_that_runs_for_too_long_is_over_at_once_and_its_late_result_is_dropped") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::array<hold, 2> gates;
        const auto result = std::make_shared<int>(1);
        const auto op = rt.operation("op", {.run_timeout = 1ms}, [&](bool throws) {
            gates[throws ? 1 : 0].pass();
            if (throws) throw std::runtime_error("late");
            return result;
        });
        const token<std::shared_ptr<int>> fine = op(false);
        const token<std::shared_ptr<int>> thrown = op(true);
        // While their callables are held.
        for (const auto* each : {&fine, &thrown}) {
            REQUIRE(ends(*each));
            CHECK(each->state() == token_state::timed_out);
            try {
                static_cast<void>(each->get());
                CHECK(false);
            } catch (const token_timed_out& why) {
                CHECK(why.id() == each->id());
                CHECK(std::string(why.what()).find("'op'") != std::string::npos);
                CHECK(std::string(why.what()).find("run_timeout of 1 ms") != std::string::npos);
            }
            CHECK_FALSE(each->kill());
            // With one worker, the next one begins when this one has returned.
            gates[each == &thrown ? 1 : 0].release();
        }
        fine.join();
        thrown.join();
        rt.stop();
        CHECK(result.use_count() == 1);
        check_ledger(rt);
        CHECK(rt.stats().total().timed_out == 2);
    }
}

TEST_CASE("a_token_that_returns_in_time_is_not_touched") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        const auto op = rt.operation("op", {.run_timeout = long_time}, [](int n) { return n; });
        const auto generic =
            rt.operation("generic", {.run_timeout = long_time}, [](const auto& x) { return x; });
        const auto fails = rt.operation("fails", {.run_timeout = long_time},
                                        [] { throw std::runtime_error("on purpose"); });
        std::vector<token<int>> made;
        for (int i = 0; i < 1000; ++i) made.push_back(op(i));
        for (int i = 0; i < 1000; ++i) CHECK(result_of(made[static_cast<std::size_t>(i)]) == i);
        CHECK(generic(7).get() == 7);
        CHECK(generic(std::string("seven")).get() == "seven");
        CHECK_THROWS_AS(fails().get(), std::runtime_error);
        CHECK(op.bulk(std::vector<int>{1, 2, 3}).get() == std::vector<int>{1, 2, 3});
        settle_locality(rt);
        CHECK(rt.stats().total().timed_out == 0);
    }
}

TEST_CASE("a_callable_is_asked_to_stop_when_its_time_is_over") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        std::atomic<int> returned{0};
        const auto wait = [&returned](const std::stop_token& stop) {
            while (!stop.stop_requested()) std::this_thread::sleep_for(10us);
            CHECK(this_token::stop_requested());
            ++returned;
        };
        const auto free = rt.operation("free", {.run_timeout = 1ms}, wait);
        const auto serial = rt.operation(
            "serial", {.sticky = sticky::by_anchor("a", sticky::serial), .run_timeout = 1ms}, wait);
        const auto lead =
            rt.operation("lead", {.external_calls = {"free"}, .run_timeout = 1ms}, wait);
        std::vector<token<void>> made;
        for (int i = 0; i < 4; ++i) {
            made.push_back(free());
            made.push_back(serial());
            made.push_back(lead());
        }
        for (const token<void>& each : made) {
            REQUIRE(ends(each));
            CHECK(each.state() == token_state::timed_out);
            each.join();
        }
        CHECK(returned == 12);
        // Keys are free when the workers have done what comes after a callable.
        rt.stop();
        check_ledger(rt);
        check_nothing_is_anchored(rt);
        CHECK(rt.stats().total().timed_out == 12);
    }
}

TEST_CASE("the_shorter_of_two_limits_is_over_first") {
    runtime rt({.cores = 2});
    hold gate;
    const auto patient = rt.operation(
        "patient", {.weight = weight::heavy, .run_timeout = long_time}, [&] { gate.pass(); });
    const auto hasty =
        rt.operation("hasty", {.weight = weight::heavy, .run_timeout = 2ms}, [&] { gate.pass(); });
    // The thread that keeps the time sleeps for the long one by now.
    const token<void> first = patient();
    REQUIRE(gate.await(1));
    const token<void> second = hasty();
    REQUIRE(ends(second));
    CHECK(second.state() == token_state::timed_out);
    CHECK(first.state() == token_state::executing);
    gate.release();
    second.join();
    CHECK(ends(first));
    CHECK(first.state() == token_state::completed);
    settle_locality(rt);
}

TEST_CASE("a_timed_token_may_be_killed_and_waited_for_by_its_worker") {
    runtime rt({.cores = 1});
    hold gate;
    const auto inner = rt.operation("inner", {.run_timeout = long_time}, [](int n) { return n; });
    const auto outer = rt.operation("outer", {.run_timeout = long_time}, [&] {
        int sum = 0;
        for (int i = 0; i < 10; ++i) sum += inner(i).get();
        token<int> last = inner(5);
        return sum + std::move(last).get();
    });
    CHECK(outer().get() == 50);
    const auto held = rt.operation("held", {.run_timeout = long_time}, [&] { gate.pass(); });
    const token<void> t = held();
    REQUIRE(gate.await(1));
    CHECK(t.kill("not wanted"));
    gate.release();
    t.join();
    CHECK(t.state() == token_state::killed);
    settle_locality(rt);
}

TEST_CASE("a_run_timeout_below_zero_is_refused") {
    runtime rt({.cores = 1});
    try {
        static_cast<void>(rt.operation("op", {.run_timeout = -5ns}, [] {}));
        CHECK(false);
    } catch (const operation_error& why) {
        CHECK(std::string(why.what()).find("run_timeout is -5 ns") != std::string::npos);
    }
    const auto longest =
        rt.operation("longest", {.run_timeout = std::chrono::nanoseconds::max()}, [] { return 1; });
    CHECK(longest().get() == 1);
}

TEST_CASE("an_operation_that_is_refused_starts_no_thread") {
    runtime rt({.cores = 1});
    const auto first = rt.operation("op", [] { return 1; });
    CHECK(first().get() == 1);
    const std::ptrdiff_t before = threads_of_this_process();
    CHECK_THROWS_AS(static_cast<void>(rt.operation("op", {.run_timeout = long_time}, [] {})),
                    operation_error);
    CHECK_THROWS_AS(
        static_cast<void>(rt.operation(
            "other", {.sticky = sticky::by_anchor(""), .run_timeout = long_time}, [] {})),
        operation_error);
    CHECK(threads_of_this_process() == before);
    const auto timed = rt.operation("timed", {.run_timeout = long_time}, [] { return 2; });
    CHECK(threads_of_this_process() == before + 1);
    const auto again = rt.operation("again", {.run_timeout = 2 * long_time}, [] { return 3; });
    CHECK(threads_of_this_process() == before + 1);
    CHECK(timed().get() + again().get() == 5);
}

TEST_CASE("a_runtime_that_was_started_again_times_runs") {
    runtime rt({.cores = 2});
    const auto wait = [](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::sleep_for(10us);
    };
    const auto op = rt.operation("op", {.run_timeout = 1ms}, wait);
    for (int round = 0; round < 3; ++round) {
        const token<void> late = op();
        REQUIRE(ends(late));
        CHECK(late.state() == token_state::timed_out);
        rt.stop();
        check_ledger(rt);
        rt.start();
    }
    const auto other = rt.operation("other", {.run_timeout = 2ms}, wait);
    const token<void> late = other();
    REQUIRE(ends(late));
    CHECK(late.state() == token_state::timed_out);
    late.join();
    settle_locality(rt);
}

TEST_CASE("runs_that_end_about_when_their_time_does_end_once") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        const auto op = rt.operation("op", {.run_timeout = 100us}, [](std::size_t pauses) {
            const auto until =
                std::chrono::steady_clock::now() + std::chrono::microseconds(50 + pauses);
            while (std::chrono::steady_clock::now() < until) {}
            return pauses;
        });
        std::vector<token<std::size_t>> made;
        for (std::size_t i = 0; i < scaled(500); ++i) {
            made.push_back(op(i % 100));
            if (i % 3 == 0) op.post(i % 100);
        }
        std::uint64_t late = 0;
        for (std::size_t i = 0; i < made.size(); ++i) {
            REQUIRE(ends(made[i]));
            if (made[i].state() == token_state::timed_out) {
                ++late;
                CHECK_THROWS_AS(static_cast<void>(made[i].get()), token_timed_out);
            } else {
                CHECK(made[i].get() == i % 100);
            }
        }
        settle_locality(rt);
        CHECK(rt.stats().total().timed_out >= late);
        CHECK(rt.stats().total().killed == 0);
    }
}

TEST_CASE("a_call_may_have_time_limits_of_its_own") {
    for (const bool limited : {false, true}) {
        INFO("the operation has limits ", limited);
        runtime rt({.cores = 1});
        operation_traits traits;
        if (limited) traits = {.queue_timeout = 1h, .run_timeout = 1h};
        const auto op = rt.operation("op", traits, [](const std::stop_token& stop, bool waits) {
            while (waits && !stop.stop_requested()) std::this_thread::yield();
            return 7;
        });
        const token<int> endless = op.with({.run_timeout = 1ms})(true);
        REQUIRE(ends(endless));
        CHECK(endless.state() == token_state::timed_out);
        endless.join();
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        held();
        REQUIRE(gate.await(1));
        const token<int> late = op.with({.queue_timeout = 1ms})(false);
        const token<int> patient = op.with({.queue_timeout = 1h, .run_timeout = 1h})(false);
        const token<int> plain = op(false);
        REQUIRE(ends(late));
        CHECK_THROWS_AS(demand(late), token_timed_out);
        gate.release();
        CHECK(result_of(patient) == 7);
        CHECK(result_of(plain) == 7);
        CHECK(result_of(*op.with({}).try_call(false)) == 7);
        CHECK_THROWS_AS(op.with({.queue_timeout = -1ns})(false), operation_error);
        settle(rt);
        CHECK(op.stats().counts.timed_out == 2);
    }
}

}  // namespace tokengate::test
