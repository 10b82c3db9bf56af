// SPDX-License-Identifier: Apache-2.0
// pause() and resume() of single tokens.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "limited.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("a_paused_token_does_not_begin_and_others_pass_it_by") {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto all = static_cast<std::size_t>(cores);
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        std::atomic<int> ran{0};
        const auto op = rt.operation("op", [&](int i) {
            ++ran;
            return i;
        });
        for (std::size_t i = 0; i < all; ++i) held();
        REQUIRE(gate.await(all));
        std::vector<token<int>> made;
        for (int i = 0; i < 30; ++i) made.push_back(op(i));
        for (std::size_t i = 0; i < made.size(); i += 3) {
            CHECK(made[i].pause());
            CHECK(made[i].pause());
            CHECK(made[i].paused());
        }
        gate.release();
        for (std::size_t i = 0; i < made.size(); ++i) {
            if (i % 3 != 0) CHECK(result_of(made[i]) == static_cast<int>(i));
        }
        CHECK(ran == 20);
        CHECK_FALSE(made[0].wait_for(1ms));
        for (std::size_t i = 0; i < made.size(); i += 3) {
            CHECK(made[i].resume());
            CHECK_FALSE(made[i].resume());
            CHECK(result_of(made[i]) == static_cast<int>(i));
            CHECK_FALSE(made[i].pause());  // it has ended
            CHECK_FALSE(made[i].paused());
        }
        settle_locality(rt);
        CHECK(ran == 30);
    }
}

TEST_CASE("a_paused_token_can_be_killed_wherever_it_is") {
    for (const int cores : {1, 2}) {
        runtime rt({.cores = cores});
        hold gate;
        const auto shared = std::make_shared<int>(0);
        const auto op = rt.operation("op", [](const std::shared_ptr<int>&) {});
        const auto turns = rt.operation("turns", {.sticky = sticky::by_anchor("a", sticky::serial)},
                                        [&](const std::shared_ptr<int>& p) {
                                            if (p == nullptr) gate.pass();
                                        });
        const token<void> first = turns(nullptr);
        REQUIRE(gate.await(1));
        const token<void> in_line = turns(shared);
        const token<void> behind = turns(shared);
        CHECK(in_line.pause());
        const token<void> kept = op(shared);
        if (kept.pause()) {
            REQUIRE(eventually([&] { return kept.state() == token_state::waiting || cores == 1; }));
            CHECK(kept.kill());
        }
        gate.release();
        REQUIRE(ends(first));
        // Its turn has come, and those behind it wait for it.
        CHECK_FALSE(behind.wait_for(1ms));
        CHECK(in_line.kill("waited long enough"));
        REQUIRE(ends(behind));
        settle_locality(rt);
        CHECK(behind.state() == token_state::completed);
        CHECK(shared.use_count() == 1);
    }
}

TEST_CASE("what_was_killed_while_it_was_set_aside_takes_no_room") {
    // Of a runtime with room for that one alone, by each of the ways to be set aside.
    for (const bool by_itself : {true, false}) {
        for (const bool times_out : {true, false}) {
            INFO((by_itself ? "the token" : "the operation"), " is paused, and it ",
                 (times_out ? "times out" : "is killed"));
            runtime rt({.cores = 1, .in_flight_limit = 1});
            const auto op = rt.operation("op", [] {});
            const auto other = rt.operation("other", [] {});
            op.pause();
            const auto limited =
                times_out ? op.with({.queue_timeout = 1ms}) : op.with({.queue_timeout = 1h});
            const token<void> one = limited();
            if (by_itself && one.pause()) {
                op.resume();
                // Behind what comes to run it, and finds it paused.
                REQUIRE(ends(other()));
            }
            REQUIRE(eventually([&] { return one.done() || op.stats().set_aside == 1; }));
            if (!times_out) CHECK(one.kill());
            REQUIRE(ends(one));
            // Before anybody asks how many wait, which finds those that do not.
            const auto next = op.try_call();
            CHECK(next);
            if (next) static_cast<void>(next->kill());  // it may have run
            CHECK(op.stats().set_aside == 0);
            op.resume();
            settle_locality(rt);
        }
    }
}

TEST_CASE("what_was_killed_while_it_was_set_aside_gives_its_memory_back") {
    constexpr std::size_t count = 1000;
    for (const bool by_itself : {true, false}) {
        INFO((by_itself ? "the tokens are" : "the operation is"), " paused");
        runtime rt({.cores = 1});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto op = rt.operation("op", [] {});
        const token<void> first = held();
        REQUIRE(gate.await(1));
        const std::size_t before = detail::usage_of_pool().nodes_out;
        if (!by_itself) op.pause();
        std::vector<token<void>> made;
        for (std::size_t i = 0; i < count; ++i) {
            made.push_back(op());
            if (by_itself) REQUIRE(made.back().pause());
        }
        gate.release();
        REQUIRE(eventually([&] { return op.stats().set_aside == count; }));
        // Half of them, and then the others.
        for (std::size_t i = 0; i < count; i += 2) CHECK(made[i].kill());
        CHECK(op.stats().set_aside == count / 2);
        for (std::size_t i = 1; i < count; i += 2) CHECK(made[i].kill());
        CHECK(op.stats().set_aside == 0);
        made.clear();
        CHECK(eventually([&] { return detail::usage_of_pool().nodes_out <= before; }));
        op.resume();
        settle_locality(rt);
    }
}

TEST_CASE("a_paused_token_dies_with_its_operation_when_its_turn_comes") {
    for (const bool resumes : {false, true}) {
        INFO((resumes ? "resumed afterwards" : "never resumed"));
        runtime rt({.cores = 1});
        hold gate;
        int ran = 0;
        const auto turns =
            rt.operation("turns", {.sticky = sticky::by_anchor("a", sticky::serial)}, [&](int i) {
                ++ran;
                if (i == 0) gate.pass();
            });
        const token<void> first = turns(0);
        REQUIRE(gate.await(1));
        const token<void> behind = turns(1);
        const token<void> last = turns(2);
        REQUIRE(behind.pause());
        CHECK(turns.kill("no more of them") > 0);
        gate.release();
        if (resumes) static_cast<void>(behind.resume());
        REQUIRE(ends(behind));
        REQUIRE(ends(last));
        CHECK(behind.state() == token_state::killed);
        CHECK(last.state() == token_state::killed);
        settle_locality(rt);
        CHECK(ran == 1);
    }
}

TEST_CASE("a_bulk_that_is_awaited_stays_where_it_is_while_its_operation_is_paused") {
    for (const bool alone : {false, true}) {
        INFO("awaited ", (alone ? "in isolation" : "openly"));
        constexpr std::size_t count = 1000;
        runtime rt({.cores = 1});
        std::atomic<std::size_t> ran{0};
        std::optional<operation<void(std::size_t)>> op;
        op = rt.operation("op", [&](std::size_t i) {
            if (i == 0) op->pause();
            ++ran;
        });
        std::atomic<bool> over{false};
        const auto parent = rt.operation("parent", [&] {
            std::vector<std::size_t> numbers(count);
            std::iota(numbers.begin(), numbers.end(), std::size_t{0});
            const bulk<void> all = op->bulk(numbers);
            if (alone) {
                all.wait(isolated);
            } else {
                all.wait();
            }
            over = true;
        });
        const token<void> waits = parent();
        REQUIRE(eventually([&] { return op->paused(); }));
        CHECK_FALSE(waits.wait_for(50ms));
        const std::size_t then = ran;
        // Of the stretch that had been taken out before.
        CHECK(then <= 64);
        CHECK_FALSE(over);
        op->resume();
        REQUIRE(ends(waits));
        CHECK(ran == count);
        CHECK(eventually([&] { return op->stats().set_aside == 0; }));
        settle_locality(rt);
    }
}

TEST_CASE("a_bulk_that_was_killed_while_its_operation_was_paused_takes_no_room") {
    for (const bool is_aside : {true, false}) {
        INFO("killed ", (is_aside ? "while it is set aside" : "before a worker has taken it out"));
        runtime rt({.cores = 1, .in_flight_limit = 3});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto op = rt.operation("op", [] {});
        const auto other = rt.operation("other", [] {});
        const token<void> first = held();
        REQUIRE(gate.await(1));
        // Before the pause: later it would be made of single tokens.
        const bulk<void> many = op.bulk(std::size_t{2});
        op.pause();
        if (is_aside) {
            gate.release();
            REQUIRE(eventually([&] { return op.stats().set_aside == 2; }));
        }
        CHECK(many.kill());
        if (!is_aside) gate.release();
        REQUIRE(ends(first));
        REQUIRE(ends(other()));  // behind what is left of it
        CHECK(op.stats().set_aside == 0);
        CHECK(op.try_call());
        op.resume();
        settle_locality(rt);
    }
}

TEST_CASE("a_serial_token_that_is_paused_keeps_its_turn") {
    runtime rt({.cores = 2});
    hold gate;
    std::vector<int> order;
    const auto turns =
        rt.operation("turns", {.sticky = sticky::by_anchor("a", sticky::serial)}, [&](int i) {
            if (i == 0) gate.pass();
            order.push_back(i);
        });
    std::vector<token<void>> made;
    for (int i = 0; i < 10; ++i) made.push_back(turns(i));
    REQUIRE(gate.await(1));
    CHECK(made[4].pause());
    gate.release();
    REQUIRE(ends(made[3]));
    CHECK_FALSE(made[5].wait_for(1ms));
    CHECK(made[4].resume());
    settle_locality(rt);
    for (int i = 0; i < 10; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a_stop_and_a_drain_end_the_pause_of_tokens") {
    for (const int how : {0, 1, 2}) {
        runtime rt({.cores = 2});
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        std::atomic<int> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        held();
        held();
        REQUIRE(gate.await(2));
        std::vector<token<void>> made;
        for (int i = 0; i < 20; ++i) made.push_back(op());
        for (const auto& each : made) CHECK(each.pause());
        if (how != 1) {
            gate.release();
            REQUIRE(eventually([&] { return op.stats().set_aside == 20; }));
        } else {
            gate.release();
        }
        if (how == 0) CHECK(rt.stop().drained);
        if (how == 1) rt.drain();
        if (how == 2) op.drain();
        CHECK(ran == 20);
        rt.stop();
        check_ledger(rt);
    }
}

TEST_CASE("a_drain_ends_the_pause_of_a_token_that_comes_out_while_others_are_set_aside") {
    for (const bool all : {false, true}) {
        runtime rt({.cores = 1});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        std::atomic<int> ran{0};
        // Of a storage tier, so that whoever takes a token out asks for others first.
        const auto op = rt.operation("op", {.storage = storage::slow}, [&] { ++ran; });
        held();
        REQUIRE(gate.await(1));
        const token<void> paused = op();
        CHECK(paused.pause());
        std::thread draining([&] {
            if (all) {
                rt.drain();
            } else {
                op.drain();
            }
        });
        int called = 1;
        REQUIRE(eventually([&] {
            try {
                op.post();
            } catch (const error&) {
                return true;
            }
            ++called;
            return false;
        }));
        gate.release();
        draining.join();
        CHECK(paused.state() == token_state::completed);
        CHECK(ran == called);
        rt.stop();
        check_ledger(rt);
    }
}

TEST_CASE("a_token_that_is_paused_again_and_again_while_its_operation_drains_runs") {
    runtime rt({.cores = 1});
    const auto held = rt.operation("held", [](hold* gate) { gate->pass(); });
    const auto op = rt.operation("op", [](int i) { return i; });
    for (std::size_t round = 0; round < scaled(300); ++round) {
        hold gate;
        const token<void> first = held(&gate);
        REQUIRE(gate.await(1));
        const token<int> made = op(7);
        REQUIRE(made.pause());
        std::atomic<bool> over{false};
        // Nobody resumes it.
        std::thread insistent([&] {
            while (!over) static_cast<void>(made.pause());
        });
        gate.release();
        first.wait();
        op.drain();
        over = true;
        insistent.join();
        CHECK(result_of(made) == 7);
        op.resume();
    }
}

TEST_CASE("tokens_that_are_paused_and_resumed_all_the_time_are_not_lost") {
    for (const storage tier : {storage::none, storage::slow}) {
        for (const int how : {0, 1, 2}) {
            INFO("way ", how);
            runtime rt({.cores = 2});
            std::atomic<int> ran{0};
            const auto op = rt.operation("op", {.storage = tier}, [&] { ++ran; });
            for (std::size_t round = 0; round < scaled(100); ++round) {
                std::vector<token<void>> made;
                for (int i = 0; i < 50; ++i) made.push_back(op());
                from_threads(3, [&](int thread) {
                    if (thread == 2 && how == 1) op.kill();
                    if (thread == 2 && how == 2) op.cancel();
                    for (bool any = thread != 2; any;) {
                        any = false;
                        for (const auto& each : made) {
                            if (!each.pause()) continue;
                            any = true;
                            static_cast<void>(each.resume());
                        }
                    }
                });
                for (const auto& each : made) REQUIRE(ends(each));
            }
            settle_locality(rt);
            if (how == 0) CHECK(ran == 50 * static_cast<int>(scaled(100)));
        }
    }
}

TEST_CASE("tokens_paused_resumed_and_killed_at_random_leave_nothing_behind") {
    seeded random;
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        // So much that a caller never waits for a line whose first one is paused.
        runtime rt({.cores = cores, .mailbox_capacity = 8192, .in_flight_limit = 10000});
        const auto body = [](std::uint64_t i) {
            if (i % 5 == 0 && this_token::attempt() == 1) throw std::runtime_error("not yet");
        };
        std::vector<operation<void(std::uint64_t)>> ops;
        ops.push_back(rt.operation("free", body));
        ops.push_back(rt.operation("keyed", {.sticky = sticky::by_arguments()}, body));
        ops.push_back(
            rt.operation("serial", {.sticky = sticky::by_anchor("s", sticky::serial)}, body));
        ops.push_back(rt.operation("retried", {.retry = {.attempts = 2}}, body));
        ops.push_back(rt.operation("stored", {.storage = storage::slow}, body));
        ops.push_back(rt.operation("late", {.queue_timeout = 500us}, body));
        std::vector<token<void>> made;
        for (std::size_t i = 0; i < scaled(6000); ++i) {
            const auto& op = ops[random.below(ops.size())];
            made.push_back(op(i));
            const auto& other = made[random.below(made.size())];
            switch (random.below(6)) {
                case 0: static_cast<void>(made.back().pause()); break;
                case 1: static_cast<void>(other.pause()); break;
                case 2: static_cast<void>(other.resume()); break;
                case 3:
                    if (random.one_in(10)) static_cast<void>(other.kill());
                    break;
                case 4:
                    if (random.one_in(50)) {
                        op.pause();
                        op.resume();
                    }
                    break;
                default: break;
            }
            if (made.size() > 40) {
                for (const auto& each : made) static_cast<void>(each.resume());
                made.clear();
            }
        }
        for (const auto& each : made) static_cast<void>(each.resume());
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
