// SPDX-License-Identifier: Apache-2.0
// kill(): a token that has not begun never runs; one that runs is over for everybody who waits.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::array<int, 4> small_widths{1, 2, 4, 8};

}  // namespace

TEST_CASE("a_token_killed_before_it_begins_never_runs") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> ran{0};
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto shared = std::make_shared<int>(0);
        const auto op = rt.operation("op", [&](const std::shared_ptr<int>&) { ++ran; });
        for (int i = 0; i < cores; ++i) held();
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        std::vector<token<void>> made;
        for (int i = 0; i < 100; ++i) made.push_back(op(shared));
        CHECK(shared.use_count() == 101);
        for (const auto& each : made) {
            CHECK(each.kill());
            CHECK(each.state() == token_state::killed);
            CHECK_FALSE(each.kill());
            CHECK_THROWS_AS(demand(each), token_killed);
        }
        // Its arguments are gone at once.
        CHECK(shared.use_count() == 1);
        gate.release();
        settle_locality(rt);
        CHECK(ran == 0);
        CHECK(rt.stats().total().killed == 100);
    }
}

TEST_CASE("a_token_killed_while_it_runs_is_over_at_once_and_its_late_result_is_dropped") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::array<hold, 2> gates;
        const auto result = std::make_shared<int>(1);
        std::atomic<int> returned{0};
        const auto op = rt.operation("op", [&](bool throws) {
            gates[throws ? 1 : 0].pass();
            ++returned;
            if (throws) throw std::runtime_error("late");
            return result;
        });
        for (const bool throws : {false, true}) {
            hold& gate = gates[throws ? 1 : 0];
            const token<std::shared_ptr<int>> t = op(throws);
            REQUIRE(gate.await(1));
            CHECK(t.kill());
            CHECK(t.state() == token_state::killed);
            CHECK_THROWS_AS(demand(t), token_killed);
            CHECK_FALSE(t.kill());
            gate.release();
        }
        rt.stop();
        CHECK(returned == 2);
        CHECK(result.use_count() == 1);
        check_ledger(rt);
        CHECK(rt.stats().total().killed == 2);
        CHECK(rt.stats().total().completed == 0);
    }
}

TEST_CASE("a_token_that_has_ended_cannot_be_killed") {
    runtime rt({.cores = 2});
    const auto fine = rt.operation("fine", [] { return 1; });
    const auto fails = rt.operation("fails", [] { throw std::runtime_error("on purpose"); });
    for (int i = 0; i < 100; ++i) {
        const token<int> a = fine();
        const token<void> b = fails();
        CHECK(result_of(a) == 1);
        REQUIRE(ends(b));
        CHECK_FALSE(a.kill());
        CHECK_FALSE(b.kill());
        CHECK(a.get() == 1);
        CHECK_THROWS_AS(demand(b), std::runtime_error);
    }
    CHECK_THROWS_AS(token<int>().kill(), empty_token);
    settle_locality(rt);
    CHECK(rt.stats().total().killed == 0);
}

TEST_CASE("of_several_threads_that_kill_a_token_exactly_one_is_told_that_it_did") {
    for (const int cores : small_widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .sticky_slots = 64});
        std::atomic<std::uint64_t> ran{0};
        const auto free = rt.operation("free", [&] { ++ran; });
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_anchor("a")}, [&] { ++ran; });
        const auto serial = rt.operation(
            "serial", {.sticky = sticky::by_anchor("b", sticky::serial)}, [&] { ++ran; });
        const auto lead = rt.operation("lead", {.external_calls = {"free"}}, [&] {
            ++ran;
            free();
        });
        std::uint64_t killed = 0;
        for (std::size_t round = 0; round < scaled(50); ++round) {
            std::vector<token<void>> made;
            for (int i = 0; i < 10; ++i) {
                made.push_back(free());
                made.push_back(keyed());
                made.push_back(serial());
                made.push_back(lead());
            }
            std::vector<std::atomic<int>> won(made.size());
            std::vector<std::thread> crowd;
            for (int t = 0; t < 3; ++t) {
                crowd.emplace_back([&, t] {
                    for (std::size_t i = 0; i < made.size(); ++i) {
                        // From both ends, so that they meet.
                        const std::size_t each = t == 1 ? made.size() - 1 - i : i;
                        if (made[each].kill()) ++won[each];
                    }
                });
            }
            for (std::thread& each : crowd) each.join();
            for (std::size_t i = 0; i < made.size(); ++i) {
                REQUIRE(won[i] == (made[i].state() == token_state::killed ? 1 : 0));
                killed += static_cast<std::uint64_t>(won[i].load());
                CHECK(made[i].done());
            }
            // Not the books yet: a lead that was killed while it ran may still make its call.
            REQUIRE(rt.wait_idle_for(hang_limit));
        }
        rt.stop();
        CHECK(rt.stats().total().killed == killed);
        CHECK(ran <= rt.stats().total().accepted);
        check_ledger(rt);
        check_nothing_is_anchored(rt);
    }
}

TEST_CASE("a_token_can_kill_itself") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        std::optional<token<int>> self;
        std::atomic<bool> known{false};
        bool first = false;
        bool second = true;
        const auto op = rt.operation("op", [&] {
            while (!known) std::this_thread::yield();
            first = self->kill();
            second = self->kill();
            return 1;
        });
        self = op();
        known = true;
        CHECK_THROWS_AS(demand(*self), token_killed);
        rt.stop();
        CHECK(first);
        CHECK_FALSE(second);
        check_ledger(rt);
        CHECK(rt.stats().total().killed == 1);
    }
}

TEST_CASE("whoever_waits_for_a_killed_token_is_woken") {
    for (const int cores : {2, 4, 8}) {
        for (const bool alone : {false, true}) {
            runtime rt({.cores = cores, .spin_time = 0us});
            hold gate;
            const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
            const token<void> t = held();
            REQUIRE(gate.await(1));
            std::atomic<int> told{0};
            const auto ask = [&](bool isolated_too) {
                try {
                    if (isolated_too) {
                        t.get(isolated);
                    } else {
                        t.get();
                    }
                } catch (const token_killed& killed) {
                    told += killed.id() == t.id() ? 1 : 0;
                }
            };
            const auto waits =
                rt.operation("waits", {.weight = weight::heavy}, [&] { ask(alone); });
            const token<void> inside = waits();
            std::thread outside([&] { ask(false); });
            std::this_thread::sleep_for(1ms);
            CHECK(t.kill());
            outside.join();
            REQUIRE(ends(inside));
            CHECK(told == 2);
            gate.release();
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_killed_serial_token_does_not_hold_up_the_ones_behind_it") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        hold gate;
        std::vector<int> order;
        const auto op =
            rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)}, [&](int n) {
                if (n == 0) gate.pass();
                order.push_back(n);
            });
        std::vector<token<void>> made;
        for (int n = 0; n < 10; ++n) made.push_back(op(n));
        REQUIRE(gate.await(1));
        for (const std::size_t n : {1U, 4U, 5U, 9U}) CHECK(made[n].kill());
        CHECK(made[0].kill());
        // Its callable still runs: the next one waits for that.
        CHECK(made[2].state() == token_state::waiting);
        gate.release();
        settle_locality(rt);
        CHECK(order == std::vector<int>{0, 2, 3, 6, 7, 8});
        CHECK(rt.stats().total().killed == 5);
    }
}

TEST_CASE("a_long_line_of_killed_serial_tokens_is_skipped") {
    runtime rt({.cores = 2, .mailbox_capacity = 100'000});
    hold gate;
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)}, [&] {
        gate.pass();
        ++ran;
    });
    std::vector<token<void>> made;
    for (std::size_t i = 0; i < scaled(50'000); ++i) made.push_back(op());
    REQUIRE(gate.await(1));
    for (std::size_t i = 1; i + 1 < made.size(); ++i) CHECK(made[i].kill());
    gate.release();
    REQUIRE(ends(made.back()));
    settle_locality(rt);
    CHECK(ran == 2);
}

TEST_CASE("a_serial_token_that_was_to_run_next_can_be_killed") {
    // Its turn has come, but all workers are busy.
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 1, .workers_per_core = workers, .sticky_slots = 64});
        hold gate;
        std::atomic<int> ran{0};
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)},
                                     [&] { ++ran; });
        for (int i = 0; i < workers; ++i) held();
        REQUIRE(gate.await(static_cast<std::size_t>(workers)));
        const token<void> first = op();
        const token<void> second = op();
        const token<void> third = op();
        CHECK(first.state() == token_state::admitted);
        CHECK(second.state() == token_state::waiting);
        CHECK(first.kill());
        CHECK(second.state() == token_state::admitted);
        CHECK(second.kill());
        CHECK(third.state() == token_state::admitted);
        gate.release();
        settle_locality(rt);
        CHECK(ran == 1);
        CHECK(third.state() == token_state::completed);
    }
}

TEST_CASE("killed_tokens_make_room_for_others") {
    for (const bool keyed : {false, true}) {
        runtime rt({.cores = 1, .in_flight_limit = 3});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        operation_traits traits;
        if (keyed) traits.sticky = sticky::by_anchor("key", sticky::serial);
        const auto op = rt.operation("op", traits, [] {});
        held();
        REQUIRE(gate.await(1));
        for (int round = 0; round < 100; ++round) {
            const token<void> a = op();
            const token<void> b = op();
            CHECK_FALSE(op.try_call());
            CHECK(b.kill());
            CHECK(a.kill());
        }
        gate.release();
        settle_locality(rt);
        CHECK(rt.stats().total().killed == 200);
    }
}

TEST_CASE("a_killed_lead_closes_its_chain_when_its_children_have_ended") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        hold lead_gate;
        hold child_gate;
        const auto child = rt.operation("child", [&] { child_gate.pass(); });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            child();
            lead_gate.pass();
            // It goes on, whatever its handle says, and what it creates still belongs together.
            child();
        });
        const token<void> t = lead();
        REQUIRE(lead_gate.await(1));
        CHECK(t.kill());
        CHECK(rt.stats().locality.open_chains == 1);
        lead_gate.release();
        REQUIRE(child_gate.await(1));
        CHECK(rt.stats().locality.open_chains == 1);
        child_gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("tokens_may_be_killed_while_their_runtime_ends") {
    for (const int cores : {1, 2, 4}) {
        for (std::size_t round = 0; round < scaled(50); ++round) {
            std::vector<token<void>> made;
            std::atomic<bool> go{false};
            std::optional<runtime> rt(std::in_place, config{.cores = cores, .sticky_slots = 64});
            const auto free = rt->operation("free", [] {});
            const auto serial = rt->operation(
                "serial", {.sticky = sticky::by_anchor("key", sticky::serial)}, [] {});
            const auto lead = rt->operation("lead", {.external_calls = {"free"}}, [&] { free(); });
            for (int i = 0; i < 20; ++i) {
                made.push_back(free());
                made.push_back(serial());
                made.push_back(lead());
            }
            std::thread killer([&] {
                while (!go) {}
                for (const auto& each : made) static_cast<void>(each.kill());
            });
            go = true;
            rt.reset();
            killer.join();
            for (const auto& each : made) CHECK(each.done());
        }
    }
}

TEST_CASE("stop_with_a_deadline_kills_a_child_that_its_parent_runs_by_an_rvalue_get") {
    for (const int cores : {1, 2}) {
        INFO(cores, " domains");
        hold gate;
        std::atomic<bool> told{false};
        runtime rt({.cores = cores});
        const auto child = rt.operation("child", {.weight = weight::heavy}, [&] {
            gate.pass();
            return std::string("late");
        });
        const auto parent = rt.operation("parent", {.weight = weight::heavy}, [&] {
            try {
                static_cast<void>(child().get());
            } catch (const token_killed&) {
                told = true;
            }
        });
        const token<void> outer = parent();
        REQUIRE(gate.await(1));
        const stop_report report = rt.stop(1ms);
        CHECK(!report.stragglers.empty());
        CHECK(outer.state() == token_state::killed);
        gate.release();
        CHECK(eventually([&] { return told.load(); }));
        rt.stop();
        const auto total = rt.stats().total();
        CHECK(total.killed == 2);
        CHECK(total.in_flight() == 0);
    }
}

TEST_CASE("stop_with_a_deadline_kills_what_waits_behind_a_straggler_of_its_key") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        hold gate;
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)},
                                     [&] { gate.pass(); });
        const token<void> first = op();
        REQUIRE(gate.await(1));
        std::vector<token<void>> behind;
        for (int i = 0; i < 10; ++i) behind.push_back(op());
        const stop_report report = rt.stop(5ms);
        CHECK(report.killed == 11);
        REQUIRE(report.stragglers.size() == 1);
        CHECK(report.stragglers[0].id == first.id());
        for (const auto& each : behind) CHECK(each.state() == token_state::killed);
        gate.release();
        rt.stop();
        check_ledger(rt);
        check_nothing_is_anchored(rt);
    }
}

TEST_CASE("a_wait_for_a_token_that_is_being_killed_behind_a_turn_is_told_that_it_was_killed") {
    // Its arguments are still being destroyed when the one behind it, which waits for it, has got
    // the turn: it holds up nothing.
    struct slow_to_die {
        hold* gate;
        explicit slow_to_die(hold* where) : gate(where) {}
        slow_to_die(slow_to_die&& other) noexcept : gate(std::exchange(other.gate, nullptr)) {}
        slow_to_die(const slow_to_die&) = delete;
        slow_to_die& operator=(const slow_to_die&) = delete;
        slow_to_die& operator=(slow_to_die&&) = delete;
        ~slow_to_die() {
            if (gate != nullptr) gate->pass();
        }
    };
    for (const int cores : small_widths) {
        // Nobody stands in, so that it can be seen that the wait has begun.
        runtime rt({.cores = cores, .sticky_slots = 64, .reserve_workers = 0});
        hold turn;
        hold dying;
        const sticky key = sticky::by_anchor("key", sticky::serial);
        std::optional<token<void>> victim;
        const auto first = rt.operation("first", {.sticky = key}, [&] { turn.pass(); });
        const auto middle = rt.operation("middle", {.sticky = key}, [](const slow_to_die&) {});
        const auto asks = rt.operation("asks", {.sticky = key}, [&]() -> std::string {
            try {
                victim->get(isolated);
            } catch (const token_killed&) {
                return "killed";
            } catch (const deadlock&) {
                return "deadlock";
            }
            return "a result";
        });
        first();
        REQUIRE(turn.await(1));
        victim = middle(slow_to_die(&dying));
        const token<std::string> last = asks();
        std::thread killer([&] { CHECK(victim->kill()); });
        CHECK(dying.await(1));
        turn.release();
        CHECK(eventually([&] { return last.done() || rt.stats().locality.short_of_reserves > 0; }));
        dying.release();
        killer.join();
        CHECK(result_of(last) == "killed");
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
