// SPDX-License-Identifier: Apache-2.0
// pause(), resume(), drain(), cancel(), kill(), stop() and start(): twice is as once, whoever
// calls.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <ostream>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "limited.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr int crowd = 4;

/// How a control is given.
enum class giving : std::uint8_t { once, twice, from_threads };

/// Calls body(give), which returns what became of it, for each number of domains: give(control)
/// calls the control once, twice, or once from each of several threads at a time. All must come to
/// the same.
template <class Body>
void check_as_once(Body&& body) {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        const auto given = [&](giving how) {
            return body(cores, [how](const auto& control) {
                if (how == giving::from_threads) {
                    from_threads(crowd, [&](int) { control(); });
                    return;
                }
                control();
                if (how == giving::twice) control();
            });
        };
        const auto expected = given(giving::once);
        CHECK(given(giving::twice) == expected);
        CHECK(given(giving::from_threads) == expected);
    }
}

/// What a test compares: what became of tokens, what the books say, and what else it has seen.
struct outcome {
    std::vector<token_state> states;
    std::array<std::uint64_t, 6> books{};
    std::vector<std::uint64_t> seen;

    bool operator==(const outcome&) const = default;

    void note(std::uint64_t what) { seen.push_back(what); }
    void note(const std::vector<token<void>>& tokens) {
        for (const auto& each : tokens) states.push_back(each.state());
    }
    void note_books(const runtime& rt) {
        const token_counts all = rt.stats().total();
        books = {all.accepted, all.completed, all.failed, all.killed, all.timed_out, all.refused};
    }

    friend std::ostream& operator<<(std::ostream& out, const outcome& what) {
        for (const token_state each : what.states) out << to_string(each) << " ";
        out << "| books";
        for (const std::uint64_t each : what.books) out << " " << each;
        out << " | seen";
        for (const std::uint64_t each : what.seen) out << " " << each;
        return out;
    }
};

std::vector<token<void>> calls_of(const operation<void()>& op, std::size_t count) {
    std::vector<token<void>> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(op());
    return made;
}

/// Waits until a worker has taken all of them out and set them aside.
void await_aside(const operation<void()>& op, std::size_t count) {
    REQUIRE(eventually([&] { return op.stats().set_aside == count; }));
}

}  // namespace

TEST_CASE("an_operation_that_is_paused_or_resumed_twice_is_as_if_once") {
    check_as_once([](int cores, const auto& give) {
        runtime rt({.cores = cores});
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        outcome seen;
        give([&] { op.pause(); });
        CHECK(op.paused());
        const std::vector<token<void>> first = calls_of(op, 20);
        await_aside(op, 20);
        give([&] { op.pause(); });  // with tokens that wait
        seen.note(first);
        seen.note(ran);
        give([&] { op.resume(); });
        CHECK_FALSE(op.paused());
        settle_locality(rt);
        seen.note(first);
        give([&] { op.resume(); });  // with nothing to resume
        REQUIRE(ends(op()));
        settle_locality(rt);
        seen.note(ran);
        seen.note(op.stats().executions);
        seen.note_books(rt);
        return seen;
    });
}

TEST_CASE("a_runtime_that_is_paused_or_resumed_twice_is_as_if_once") {
    check_as_once([](int cores, const auto& give) {
        runtime rt({.cores = cores});
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        const auto other = rt.operation("other", [&] { ++ran; });
        outcome seen;
        op.pause();  // one that is paused already
        give([&] { rt.pause(); });
        CHECK(op.paused());
        CHECK(other.paused());
        const std::vector<token<void>> first = calls_of(op, 10);
        const std::vector<token<void>> second = calls_of(other, 10);
        await_aside(op, 10);
        await_aside(other, 10);
        seen.note(first);
        seen.note(second);
        seen.note(ran);
        give([&] { rt.resume(); });
        CHECK_FALSE(op.paused());
        CHECK_FALSE(other.paused());
        settle_locality(rt);
        seen.note(first);
        seen.note(second);
        seen.note(ran);
        seen.note_books(rt);
        return seen;
    });
}

TEST_CASE("a_token_that_is_paused_or_resumed_twice_is_as_if_once_and_one_call_has_resumed_it") {
    check_as_once([](int cores, const auto& give) {
        runtime rt({.cores = cores});
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        outcome seen;
        op.pause();  // so that it has not begun when it is paused
        const std::vector<token<void>> made = calls_of(op, 3);
        std::atomic<std::uint64_t> refused{0};
        give([&] {
            if (!made[1].pause()) ++refused;
        });
        CHECK(made[1].paused());
        seen.note(refused);
        op.resume();
        REQUIRE(ends(made[0]));
        REQUIRE(ends(made[2]));
        CHECK_FALSE(made[1].done());
        seen.note(ran);
        std::atomic<std::uint64_t> resumed{0};
        give([&] {
            if (made[1].resume()) ++resumed;
        });
        seen.note(resumed);
        settle_locality(rt);
        give([&] {
            if (made[1].pause() || made[1].resume()) ++resumed;  // it has ended
        });
        seen.note(resumed);
        seen.note(made);
        seen.note(ran);
        seen.note_books(rt);
        return seen;
    });
}

TEST_CASE("an_operation_or_a_runtime_that_is_drained_twice_is_as_if_once") {
    for (const bool all : {false, true}) {
        INFO("all ", all);
        check_as_once([all](int cores, const auto& give) {
            runtime rt({.cores = cores});
            hold gate;
            std::atomic<std::uint64_t> ran{0};
            const auto op = rt.operation("op", [&] {
                gate.pass();
                ++ran;
            });
            outcome seen;
            const std::vector<token<void>> made = calls_of(op, 10);
            REQUIRE(gate.await(1));
            // It is busy, so that all of them give up.
            std::atomic<std::uint64_t> idle{0};
            give([&] {
                if (all ? rt.drain_for(1ms) : op.drain_for(1ms)) ++idle;
            });
            seen.note(idle);
            gate.release();
            give([&] { all ? rt.drain() : op.drain(); });
            seen.note(made);
            seen.note(ran);
            std::uint64_t turned_away = 0;
            try {
                op();
            } catch (const operation_drained&) {
                turned_away = 1;
            } catch (const runtime_stopped&) {
                turned_away = 2;
            }
            CHECK(turned_away == (all ? 2 : 1));
            give([&] { all ? rt.resume() : op.resume(); });
            CHECK(rt.running());
            REQUIRE(ends(op()));
            settle_locality(rt);
            seen.note(ran);
            seen.note_books(rt);
            return seen;
        });
    }
}

TEST_CASE("what_is_cancelled_or_killed_twice_dies_once_and_is_told_of_once") {
    using control = std::function<std::size_t(runtime&, const operation<void()>&)>;
    const std::array<control, 4> controls{
        [](runtime&, const operation<void()>& op) { return op.cancel("enough"); },
        [](runtime&, const operation<void()>& op) { return op.kill("enough"); },
        [](runtime& rt, const operation<void()>&) { return rt.cancel("enough"); },
        [](runtime& rt, const operation<void()>&) { return rt.kill("enough"); },
    };
    for (std::size_t which = 0; which < controls.size(); ++which) {
        INFO("control ", which);
        check_as_once([&](int cores, const auto& give) {
            runtime rt({.cores = cores});
            hold gate;
            std::atomic<std::uint64_t> ran{0};
            const auto op = rt.operation("op", {.weight = weight::heavy}, [&] {
                gate.pass();
                ++ran;
            });
            outcome seen;
            // One that executes and ten that wait, of the same operation.
            std::vector<token<void>> made = calls_of(op, 1);
            REQUIRE(gate.await(1));
            op.pause();
            for (const auto& each : calls_of(op, 10)) made.push_back(each);
            // The only worker executes: then they lie in a lane and die when it comes to them.
            if (cores > 1) await_aside(op, 10);
            std::atomic<std::uint64_t> told{0};
            give([&] { told += controls[which](rt, op); });
            if (cores > 1) seen.note(told);
            op.resume();
            gate.release();
            for (const auto& each : made) {
                REQUIRE(ends(each));
                each.join();
            }
            seen.note(made);
            seen.note(ran);
            give([&] { told += controls[which](rt, op); });  // there is nothing left
            if (cores > 1) seen.note(told);
            REQUIRE(ends(op()));  // what comes later lives
            settle_locality(rt);
            seen.note(ran);
            seen.note(op.stats().counts.killed);
            seen.note_books(rt);
            return seen;
        });
    }
}

TEST_CASE("a_token_that_is_killed_twice_dies_once_and_for_the_first_reason") {
    check_as_once([](int cores, const auto& give) {
        runtime rt({.cores = cores});
        hold gate;
        const auto op = rt.operation("op", {.weight = weight::heavy}, [&] { gate.pass(); });
        outcome seen;
        std::vector<token<void>> made = calls_of(op, 1);  // executes
        REQUIRE(gate.await(1));
        op.pause();
        for (const auto& each : calls_of(op, 1)) made.push_back(each);  // waits
        for (const auto& each : made) {
            std::atomic<std::uint64_t> killed{0};
            give([&] {
                // Only the first can be the first.
                if (each.kill(killed == 0 ? "enough" : "again")) ++killed;
            });
            seen.note(killed);
            try {
                each.get();
                seen.note(0);
            } catch (const token_killed& why) {
                CHECK(why.reason() == "enough");
            }
            seen.note(static_cast<std::uint64_t>(each.kill("late")));
            CHECK_THROWS_AS(demand(each), token_killed);
        }
        op.resume();
        gate.release();
        for (const auto& each : made) each.join();
        settle_locality(rt);
        seen.note(made);
        seen.note_books(rt);
        return seen;
    });
}

TEST_CASE("a_runtime_that_is_stopped_or_started_twice_is_as_if_once") {
    check_as_once([](int cores, const auto& give) {
        runtime rt({.cores = cores});
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        const auto threads = [&] {
            std::uint64_t sum = 0;
            for (const domain_stats& each : rt.stats().domains) sum += each.workers;
            return sum;
        };
        outcome seen;
        give([&] { rt.start(); });  // it runs already
        seen.note(threads());
        for (int round = 0; round < 3; ++round) {
            const std::vector<token<void>> made = calls_of(op, 20);
            std::atomic<std::uint64_t> not_drained{0};
            std::atomic<std::uint64_t> killed{0};
            give([&] {
                const stop_report report = rt.stop();
                if (!report.drained) ++not_drained;
                killed += report.killed + report.stragglers.size();
            });
            CHECK_FALSE(rt.running());
            check_ledger(rt);
            seen.note(not_drained);
            seen.note(killed);
            seen.note(made);
            CHECK_THROWS_AS(op(), runtime_stopped);
            give([&] { rt.start(); });
            CHECK(rt.running());
            seen.note(threads());
        }
        REQUIRE(ends(op()));
        settle_locality(rt);
        seen.note(ran);
        seen.note_books(rt);
        return seen;
    });
}

TEST_CASE("controls_may_be_given_twice_inside_a_token_too") {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&] { ++ran; });
        std::vector<token<void>> made;
        std::uint64_t killed = 0;
        const auto controls = rt.operation("controls", [&] {
            op.pause();
            op.pause();
            made = calls_of(op, 10);
            killed += made[0].kill() ? 1 : 0;
            killed += made[0].kill() ? 1 : 0;
            CHECK(made[1].pause());
            CHECK(made[1].pause());
            op.resume();
            op.resume();
            for (std::size_t i = 2; i < made.size(); ++i) made[i].wait();
            CHECK(made[1].resume());
            CHECK_FALSE(made[1].resume());
            made[1].wait();
            op.cancel();
            op.cancel();
        });
        REQUIRE(ends(controls()));
        REQUIRE(ends(op()));
        settle_locality(rt);
        CHECK(killed == 1);
        CHECK(ran == 10);
        CHECK(rt.stats().total().killed == 1);
    }
}

}  // namespace tokengate::test
