// SPDX-License-Identifier: Apache-2.0
// Operations that are watched over, without memory or threads: declared, called, paused, killed.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

int one_more(int n) { return n + 1; }

const std::string reason = "a reason that is too long to be kept in a string by itself";

using kind = std::pair<std::string, operation_traits>;

/// Each kind of trait that watches over tokens, and all of them together.
std::vector<kind> watched() {
    const retry_policy twice{.attempts = 2};
    const retry_policy later{.attempts = 2, .initial_delay = 10us};
    return {
        {"queue_timeout", {.queue_timeout = 1h}},
        {"run_timeout", {.run_timeout = 1h}},
        {"retry", {.retry = twice}},
        {"retry with a back-off", {.retry = later}},
        {"storage", {.storage = storage::slow}},
        {"timed", {.timed = true}},
        {"slow_after", {.slow_after = 1h}},
        {"health", {.health = {.block = true}}},
        {"spikes", {.spikes = {.factor = 1000}}},
        {"in_flight", {.in_flight = {.tokens = 4}}},
        {"rate", {.rate = {.per_second = 1e9, .burst = 1e6}}},
        {"duplicates", {.duplicates = duplicates::coalesce}},
        {"all",
         {.sticky = sticky::by_arguments(),
          .queue_timeout = 1h,
          .run_timeout = 1h,
          .retry = later,
          .storage = storage::fast,
          .timed = true,
          .slow_after = 1h,
          .in_flight = {.tokens = 4},
          .duplicates = duplicates::coalesce}},
    };
}

}  // namespace

TEST_CASE("an_operation_without_memory_for_what_watches_over_it_is_not_declared") {
    const clean_hwloc_environment clean;
    for (const kind& each : watched()) {
        INFO(each.first);
        runtime rt(small_machine());
        int number = 0;
        for_each_fault(false, [&](const fault& which) {
            const std::string name =
                "an operation of a long name, number " + std::to_string(++number);
            std::optional<operation<int(int)>> op;
            const ending how =
                attempt(which, [&] { op.emplace(rt.operation(name, each.second, one_more)); });
            CHECK(op.has_value() == how.done);
            if (!op) op.emplace(rt.operation(name, each.second, one_more));
            check_it_works(rt, *op);
            return how;
        });
    }
}

TEST_CASE("an_operation_that_needs_a_thread_to_keep_the_time_is_not_declared_without_one") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto declare = [&] {
        return rt.operation("op", {.queue_timeout = 1h, .retry = {.attempts = 2}}, one_more);
    };
    std::optional<operation<int(int)>> op;
    const ending how =
        attempt_with<refused_threads>({.lasting = true}, [&] { op.emplace(declare()); });
    CHECK_FALSE(how.done);
    CHECK_FALSE(op.has_value());
    op.emplace(declare());
    check_it_works(rt, *op);
}

TEST_CASE("a_watched_call_without_memory_accepts_nothing_and_gives_everything_back") {
    const clean_hwloc_environment clean;
    for (const kind& each : watched()) {
        INFO(each.first);
        runtime rt(small_machine());
        const auto op = rt.operation("op", each.second, [](int n, const std::string& text) {
            if (this_token::attempt() == 1 && n == 20) throw std::runtime_error("perhaps again");
            return n + static_cast<int>(text.size());
        });
        const std::string text(100, 'x');
        for_each_fault(false, [&](const fault& which) {
            const auto before = op.stats().counts;
            std::optional<token<int>> t;
            const ending how = attempt_on_new_thread(which, [&] { t.emplace(op(1, text)); });
            if (how.done) CHECK(result_of(*t) == 101);
            settle_locality(rt);
            CHECK(op.stats().counts.accepted - before.accepted == (how.done ? 1 : 0));
            // Room that was lost would be missed: no more than 4 or 16 fit.
            for (int i = 2; i < 20; ++i) CHECK(result_of(op(i, text)) == i + 100);
            return how;
        });
    }
}

TEST_CASE("retries_need_no_memory_of_workers_or_of_who_keeps_the_time") {
    const clean_hwloc_environment clean;
    for (const auto delay : {0us, 50us}) {
        runtime rt(small_machine());
        std::atomic<int> calls{0};
        const std::runtime_error made_before("not yet");
        const auto error = std::make_exception_ptr(made_before);
        const auto op = rt.operation("op", {.retry = {.attempts = 4, .initial_delay = delay}}, [&] {
            ++calls;
            if (this_token::attempt() < 4) std::rethrow_exception(error);
        });
        std::vector<token<void>> made;
        {
            hold gate;
            const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
            for (int i = 0; i < 2; ++i) held();
            REQUIRE(gate.await(2));
            for (int i = 0; i < 6; ++i) made.push_back(op());
            const ending how = attempt({.lasting = true, .all_threads = true}, [&] {
                gate.release();
                for (const auto& each : made) each.wait();
            });
            CHECK(how.done);
            settle_locality(rt);
        }
        CHECK(calls == 24);
        for (const auto& each : made) CHECK(each.state() == token_state::completed);
    }
}

TEST_CASE("control_without_memory_does_all_or_nothing_and_never_hangs") {
    const clean_hwloc_environment clean;
    for_each_fault(false, [&](const fault& which) {
        runtime rt(small_machine());
        hold gate;
        std::atomic<int> ran{0};
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto op = rt.operation("op", [&](int n) {
            ++ran;
            return n + 1;
        });
        for (int i = 0; i < 2; ++i) held();
        REQUIRE(gate.await(2));
        std::vector<token<int>> made;
        for (int i = 0; i < 6; ++i) made.push_back(op(i));
        const ending how = attempt(which, [&] {
            op.pause();
            static_cast<void>(made[0].pause());
            static_cast<void>(made[0].resume());
            static_cast<void>(op.cancel(reason));
            op.resume();
            rt.pause();
            rt.resume();
            static_cast<void>(rt.cancel(reason));
            static_cast<void>(op.drain_for(0ns));
            op.resume();
        });
        rt.resume();
        gate.release();
        for (const auto& each : made) REQUIRE(ends(each));
        settle_locality(rt);
        if (how.done) CHECK(ran == 0);
        check_it_works(rt, op);
        return how;
    });
}

TEST_CASE("what_is_asked_of_watched_operations_without_memory_changes_nothing") {
    const clean_hwloc_environment clean;
    for (const kind& each : watched()) {
        INFO(each.first);
        config wanted = small_machine();
        wanted.history = 8;
        runtime rt(wanted);
        const auto op = rt.operation("op", each.second, one_more);
        for_each_fault(false, [&](const fault& which) {
            const ending how = attempt(which, [&] {
                static_cast<void>(op.stats());
                static_cast<void>(op.health());
                static_cast<void>(rt.stats());
                static_cast<void>(rt.history());
            });
            check_it_works(rt, op);
            return how;
        });
    }
}

}  // namespace tokengate::test
