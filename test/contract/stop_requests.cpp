// SPDX-License-Identifier: Apache-2.0
// What a callable learns when its token is killed, and join(): who waits for the callable itself.
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::array<int, 4> small_widths{1, 2, 4, 8};

// Blocks until it is told; at the end of the day the hang guard does.
void wait_for_stop(const std::stop_token& told) {
    std::mutex lock;
    std::condition_variable_any changed;
    std::unique_lock guard(lock);
    changed.wait(guard, told, [] { return false; });
}

std::string reason_of(const token<void>& which) {
    REQUIRE(ends(which));
    try {
        which.get();
    } catch (const token_killed& why) {
        CHECK(why.id() == which.id());
        if (!why.reason().empty()) {
            CHECK(std::string(why.what()).find(why.reason()) != std::string::npos);
        }
        return why.reason();
    }
    return "not killed";
}

}  // namespace

TEST_CASE("a_callable_sees_that_its_token_was_killed") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::atomic<bool> begun{false};
        std::atomic<bool> early{false};
        const auto op = rt.operation("op", [&] {
            early = this_token::stop_requested();
            begun = true;
            while (!this_token::stop_requested()) std::this_thread::sleep_for(1us);
        });
        const token<void> t = op();
        REQUIRE(eventually([&] { return begun.load(); }));
        CHECK(t.kill());
        t.join();
        settle_locality(rt);
        CHECK_FALSE(early);
        CHECK(rt.stats().total().killed == 1);
    }
}

TEST_CASE("a_stop_token_is_no_parameter_of_the_operation") {
    runtime rt({.cores = 2});
    const auto by_value = rt.operation(
        "by_value", [](std::stop_token told, int n) { return told.stop_possible() ? n : 0; });
    const auto by_reference = rt.operation(
        "by_reference", [](const std::stop_token& told) { return told.stop_possible(); });
    const auto keyed =
        rt.operation("keyed", {.sticky = sticky::by_arguments()},
                     [](const std::stop_token&, const std::string& s) { return s.size(); });
    static_assert(std::is_same_v<decltype(by_value), const operation<int(int)>>);
    static_assert(std::is_same_v<decltype(by_reference), const operation<bool()>>);
    CHECK(by_value(7).get() == 7);
    CHECK(by_reference().get());
    CHECK(keyed("ab").get() == 2);
    const bulk<int> many = by_value.bulk(std::vector<int>{1, 2, 3});
    CHECK(many.get() == std::vector<int>{1, 2, 3});
}

TEST_CASE("a_stop_token_is_told_when_its_token_is_killed") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> told{0};
        const auto op = rt.operation("op", [&](const std::stop_token& stop) {
            // Alive until it was called: callbacks that are gone by then are not.
            std::atomic<bool> called{false};
            const std::stop_callback on_stop(stop, [&] {
                ++told;
                called = true;
            });
            gate.pass();
            wait_for_stop(stop);
            while (!called) std::this_thread::yield();
        });
        std::vector<token<void>> made;
        for (int i = 0; i < 10; ++i) {
            const token<void> t = op();
            REQUIRE(gate.await(static_cast<std::size_t>(i) + 1));
            gate.release();
            CHECK(t.kill());
            REQUIRE(eventually([&] { return told == i + 1; }));
            t.join();
        }
        settle_locality(rt);
        CHECK(told == 10);
    }
}

TEST_CASE("a_stop_token_that_is_asked_for_after_the_kill_has_been_told") {
    runtime rt({.cores = 2});
    hold gate;
    std::atomic<bool> told{false};
    const auto op = rt.operation("op", [&] {
        gate.pass();
        told = this_token::stop_token().stop_requested();
    });
    const token<void> t = op();
    REQUIRE(gate.await(1));
    CHECK(t.kill());
    gate.release();
    t.join();
    CHECK(told);
    settle_locality(rt);
}

TEST_CASE("outside_of_tokens_nothing_is_ever_told_to_stop") {
    CHECK_FALSE(this_token::stop_requested());
    CHECK_FALSE(this_token::stop_token().stop_possible());
}

TEST_CASE("each_run_of_a_callable_has_a_stop_token_of_its_own") {
    runtime rt({.cores = 1});
    std::vector<std::stop_token> kept;
    const auto op = rt.operation("op", [&](std::stop_token stop) {
        CHECK(stop == this_token::stop_token());
        kept.push_back(std::move(stop));
    });
    for (int i = 0; i < 3; ++i) op().get();
    REQUIRE(kept.size() == 3);
    CHECK(kept[0] != kept[1]);
    CHECK(kept[1] != kept[2]);
    for (const std::stop_token& each : kept) {
        // Nobody is left who could tell it.
        CHECK_FALSE(each.stop_possible());
        CHECK_FALSE(each.stop_requested());
    }
}

TEST_CASE("what_runs_on_top_of_a_killed_token_is_not_told") {
    runtime rt({.cores = 1});
    hold gate;
    std::atomic<bool> inner_told{true};
    std::atomic<bool> outer_told{false};
    const auto inner = rt.operation("inner", [&] {
        gate.pass();
        inner_told = this_token::stop_requested() || this_token::stop_token().stop_requested();
    });
    const auto outer = rt.operation("outer", [&](const std::stop_token& stop) {
        const std::stop_callback called(stop, [&] { outer_told = true; });
        inner().get();
        CHECK(this_token::stop_requested());
    });
    const token<void> t = outer();
    REQUIRE(gate.await(1));
    CHECK(t.kill());
    // Its callback does not wait for what runs on top of it.
    CHECK(outer_told);
    gate.release();
    t.join();
    CHECK_FALSE(inner_told);
    settle_locality(rt);
}

TEST_CASE("a_deadline_of_stop_asks_what_runs_to_stop") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::atomic<int> running{0};
        const auto op =
            rt.operation("op", {.weight = weight::heavy}, [&](const std::stop_token& stop) {
                ++running;
                wait_for_stop(stop);
                --running;
            });
        for (int i = 0; i < cores; ++i) op.post();
        REQUIRE(eventually([&] { return running == cores; }));
        const stop_report ended = rt.stop(1ms);
        CHECK_FALSE(ended.drained);
        CHECK(ended.killed == static_cast<std::uint64_t>(cores));
        // The second one waits for the workers.
        rt.stop();
        CHECK(running == 0);
        check_ledger(rt);
    }
}

TEST_CASE("the_elements_of_a_killed_bulk_that_run_are_asked_to_stop") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::atomic<int> begun{0};
        const auto op = rt.operation("op", [&](const std::stop_token& stop, int) {
            ++begun;
            wait_for_stop(stop);
        });
        const bulk<void> all = op.bulk(std::vector<int>(100));
        REQUIRE(eventually([&] { return begun > 0; }));
        CHECK(all.kill("enough"));
        all.join();
        const int before = begun;
        settle_locality(rt);
        CHECK(begun == before);
        // One that has asked for its stop token after the kill may have returned before the killer
        // came by.
        const token_counts counts = rt.stats().total();
        CHECK(counts.killed + counts.completed == 100);
        CHECK(counts.completed <= static_cast<std::uint64_t>(cores));
        try {
            all.get();
            CHECK(false);
        } catch (const token_killed& why) {
            CHECK(why.reason() == "enough");
        }
    }
}

TEST_CASE("join_returns_when_the_callable_has") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<bool> returned{false};
        const auto op = rt.operation("op", [&] {
            gate.pass();
            std::this_thread::sleep_for(1ms);
            returned = true;
        });
        const token<void> t = op();
        REQUIRE(gate.await(1));
        CHECK(t.kill());
        CHECK(t.done());
        CHECK_FALSE(returned);
        std::atomic<int> joined{0};
        std::vector<std::thread> joiners;
        for (int i = 0; i < 3; ++i) {
            joiners.emplace_back([&] {
                t.join();
                if (returned) ++joined;
            });
        }
        gate.release();
        for (std::thread& each : joiners) each.join();
        CHECK(joined == 3);
        settle_locality(rt);
    }
}

TEST_CASE("join_of_what_runs_no_more_or_never_ran_returns_at_once") {
    std::optional<runtime> rt(std::in_place, config{.cores = 1});
    hold gate;
    const auto fails = rt->operation("fails", [] { throw std::runtime_error("on purpose"); });
    const auto held = rt->operation("held", [&] { gate.pass(); });
    const token<void> thrown = fails();
    thrown.join();
    CHECK(thrown.state() == token_state::failed);
    const token<void> first = held();
    const token<void> waits = held();
    REQUIRE(gate.await(1));
    CHECK(waits.kill());
    waits.join();
    CHECK(first.kill());
    gate.release();
    first.join();
    CHECK_THROWS_AS(token<void>().join(), empty_token);
    rt.reset();
    first.join();
    thrown.join();
}

TEST_CASE("a_token_that_joins_itself_gets_deadlock") {
    runtime rt({.cores = 1});
    token<void> self;
    hold gate;
    std::atomic<int> thrown{0};
    const auto op = rt.operation("op", [&] {
        gate.pass();
        // Alive first, then killed.
        for (int i = 0; i < 2; ++i) {
            try {
                self.join();
            } catch (const deadlock&) {
                ++thrown;
            }
            self.kill();
        }
    });
    self = op();
    REQUIRE(gate.await(1));
    gate.release();
    self.join();
    CHECK(thrown == 2);
    settle_locality(rt);
}

TEST_CASE("a_token_may_join_another_one_while_a_reserve_stands_in_for_its_worker") {
    runtime rt({.cores = 1});
    hold gate;
    std::atomic<bool> order{false};
    std::atomic<bool> returned{false};
    const auto runs = rt.operation("runs", [&] {
        blocking([&] { gate.pass(); });
        returned = true;
    });
    const auto release = rt.operation("release", [&] { gate.release(); });
    const auto joins = rt.operation("joins", [&](const token<void>& other) {
        other.join();
        order = returned.load();
    });
    const token<void> t = runs();
    REQUIRE(gate.await(1));
    CHECK(t.kill());
    const token<void> joined = joins(t);
    // All workers are blocked by now, or will be.
    const token<void> let_go = release();
    REQUIRE(ends(joined));
    REQUIRE(ends(let_go));
    CHECK(order);
    settle_locality(rt);
}

TEST_CASE("a_kill_has_a_reason_and_the_first_one_stays") {
    for (const int cores : small_widths) {
        std::optional<runtime> rt(std::in_place, config{.cores = cores});
        hold gate;
        const auto op = rt->operation("op", {.weight = weight::heavy}, [&] { gate.pass(); });
        std::vector<token<void>> running;
        for (int i = 0; i < cores; ++i) running.push_back(op());
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        const token<void> waits = op();
        const token<void> plain = op();
        const token<void> empty = op();
        CHECK(waits.kill("not needed"));
        CHECK_FALSE(waits.kill("too late"));
        CHECK(running[0].kill("takes too long"));
        CHECK_FALSE(running[0].kill("too late"));
        CHECK(plain.kill());
        CHECK_FALSE(plain.kill("too late"));
        CHECK(empty.kill(""));
        gate.release();
        for (const token<void>& each : running) each.join();
        settle_locality(*rt);
        rt.reset();
        CHECK(reason_of(waits) == "not needed");
        CHECK(reason_of(running[0]) == "takes too long");
        CHECK(reason_of(plain).empty());
        CHECK(reason_of(empty).empty());
    }
}

TEST_CASE("a_reason_ends_with_its_token") {
    runtime rt({.cores = 1});
    for (int i = 0; i < 100; ++i) {
        hold gate;
        const auto name = "op" + std::to_string(i);
        const auto op = rt.operation(name, [&] { gate.pass(); });
        // Nodes are used again: what is killed for a reason in one round is not in the next.
        const token<void> t = op();
        REQUIRE(gate.await(1));
        CHECK((i % 2 == 0 ? t.kill("even") : t.kill()));
        CHECK(reason_of(t) == std::string(i % 2 == 0 ? "even" : ""));
        gate.release();
        // The callable must be out of `gate` before that goes.
        t.join();
    }
}

TEST_CASE("who_joins_a_bulk_hears_of_its_end_whenever_the_kill_comes") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::atomic<int> running{0};
        const auto op = rt.operation("op", [&](std::size_t kind) {
            ++running;
            if (kind == 0) wait_for_stop(this_token::stop_token());
            --running;
        });
        for (std::size_t i = 0; i < scaled(400); ++i) {
            // Those of kind 1 end by themselves, about when the kill comes.
            const bulk<void> some = op.bulk(std::vector<std::size_t>(1 + i % 5, i % 2));
            for (std::size_t spin = 0; spin < i % 70; ++spin) detail::cpu_pause();
            some.kill();
            some.join();
            CHECK(running == 0);
        }
        settle_locality(rt);
    }
}

TEST_CASE("no_stop_request_is_lost_whenever_the_kill_comes") {
    for (const int cores : {1, 4}) {
        runtime rt({.cores = cores});
        std::atomic<std::size_t> begun{0};
        std::atomic<bool> runs{false};
        const auto op = rt.operation("op", [&](std::size_t kind) {
            const bool was = runs.exchange(true);
            CHECK_FALSE(was);
            ++begun;
            if (kind == 0) wait_for_stop(this_token::stop_token());
            while (kind == 1 && !this_token::stop_requested()) std::this_thread::sleep_for(1us);
            runs = false;
        });
        for (std::size_t i = 0; i < scaled(600); ++i) {
            const token<void> t = op(i % 3);
            if (i % 2 == 0) {
                REQUIRE(eventually([&] { return begun > 0; }));
            }
            for (std::size_t spin = 0; spin < i % 50; ++spin) detail::cpu_pause();
            t.kill();
            t.join();
            // Whatever it was at, it is not any more.
            CHECK_FALSE(runs);
            begun = 0;
        }
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
