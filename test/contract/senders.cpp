// SPDX-License-Identifier: Apache-2.0
// Tokens as senders: what holds with stdexec, and with the stand-in for it.
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

#include <tokengate/senders.hpp>
#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "receivers.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

template <class R>
using awaiting = run_of<R, token_sender<R>>;

static_assert(stdexec::sender<token_sender<int>>);
static_assert(std::is_same_v<
              stdexec::completion_signatures_of_t<token_sender<int>, recorder<int>::environment>,
              token_sender<int>::completion_signatures>);
static_assert(stdexec::sender_to<token_sender<int>, recorder<int>>);
static_assert(stdexec::sender_to<const token_sender<int&>&, recorder<int&>>);
static_assert(stdexec::sender_to<token_sender<void>, recorder<void>>);
static_assert(
    stdexec::operation_state<stdexec::connect_result_t<token_sender<int>, recorder<int>>>);

/// A stop token whose callbacks do something as soon as they are there.
struct meddling_token {
    const std::function<void(const std::function<void()>& stop)>* meddle = nullptr;

    template <class Function>
    struct callback_type {
        explicit callback_type(const meddling_token& token, const Function& function) {
            (*token.meddle)(function);
        }
    };
    [[nodiscard]] bool stop_requested() const noexcept { return false; }
    [[nodiscard]] bool stop_possible() const noexcept { return true; }
    bool operator==(const meddling_token&) const noexcept = default;
};

struct meddled_recorder : recorder<int> {
    meddling_token token;

    meddled_recorder(record<int>& to, meddling_token stop) noexcept
        : recorder<int>(to), token(stop) {}
    struct environment {
        meddling_token stop;
        [[nodiscard]] meddling_token query(stdexec::get_stop_token_t) const noexcept {
            return stop;
        }
    };
    [[nodiscard]] environment get_env() const noexcept { return {token}; }
};

}  // namespace

TEST_CASE("a_token_sends_its_result_or_nothing_or_a_reference") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        int object = 1;
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto nothing = rt.operation("nothing", [] {});
        const auto refer = rt.operation("refer", [&]() -> int& { return object; });
        for (int i = 0; i < 20; ++i) {
            awaiting<int> one(as_sender(number(i)));
            awaiting<void> none(as_sender(nothing()));
            awaiting<int&> same(as_sender(refer()));
            one.start();
            none.start();
            same.start();
            CHECK(one.seen.ends_by(one.seen.values));
            CHECK(one.seen.value == i);
            CHECK(none.seen.ends_by(none.seen.values));
            CHECK(same.seen.ends_by(same.seen.values));
            CHECK(same.seen.value == &object);
        }
        settle_locality(rt);
    });
}

TEST_CASE("a_result_is_moved_out_of_a_token_that_nobody_else_holds_else_copied") {
    runtime rt({.cores = 2});
    hold gate;
    const auto box = rt.operation("box", [&](int value) {
        gate.pass();
        return std::make_unique<int>(value);
    });
    const auto text = rt.operation("text", [&] {
        gate.pass();
        return std::string(100, 'x');
    });
    const token<std::unique_ptr<int>> shared = box(2);
    const token<std::string> kept = text();
    awaiting<std::unique_ptr<int>> moved(as_sender(box(1)));
    awaiting<std::unique_ptr<int>> refused(as_sender(shared));
    awaiting<std::string> copied(as_sender(kept));
    moved.start();
    refused.start();
    copied.start();
    gate.release();
    CHECK(moved.seen.ends_by(moved.seen.values));
    CHECK(**moved.seen.value == 1);
    CHECK(refused.seen.ends_by(refused.seen.errors));
    CHECK(holds<result_shared>(refused.seen.error));
    CHECK(*shared.get() == 2);
    CHECK(copied.seen.ends_by(copied.seen.values));
    CHECK(copied.seen.value == kept.get());
    settle_locality(rt);
}

TEST_CASE("a_sender_of_a_handle_that_holds_no_token_is_refused") {
    CHECK_THROWS_AS(static_cast<void>(as_sender(token<int>())), empty_token);
}

TEST_CASE("a_token_that_fails_or_times_out_sends_its_error_and_one_that_is_killed_stops") {
    runtime rt({.cores = 2});
    hold gate;
    const auto broken = rt.operation("broken", []() -> int { throw std::runtime_error("broken"); });
    const auto next = rt.operation("next", [](int value) { return value; });
    const auto late = rt.operation("late", {.run_timeout = 1ms}, [](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::yield();
        return 1;
    });
    const auto held = rt.operation("held", [&] {
        gate.pass();
        return 1;
    });
    awaiting<int> failing(as_sender(broken()));
    awaiting<int> dependent(as_sender(next(broken())));
    awaiting<int> timing(as_sender(late()));
    const token<int> victim = held();
    awaiting<int> dying(as_sender(victim));
    for (awaiting<int>* each : {&failing, &dependent, &timing, &dying}) each->start();
    CHECK(failing.seen.ends_by(failing.seen.errors));
    CHECK(holds<std::runtime_error>(failing.seen.error));
    CHECK(dependent.seen.ends_by(dependent.seen.errors));
    CHECK(holds<dependency_failed>(dependent.seen.error));
    CHECK(timing.seen.ends_by(timing.seen.errors));
    CHECK(holds<token_timed_out>(timing.seen.error));
    CHECK(dying.seen.completions() == 0);
    CHECK(victim.kill());
    CHECK(dying.seen.ends_by(dying.seen.stops));
    gate.release();
    settle_locality(rt);
}

TEST_CASE("a_token_that_has_ended_completes_where_it_is_started") {
    runtime rt({.cores = 2});
    const auto number = rt.operation("number", [](int value) { return value; });
    const token<int> ended = number(5);
    CHECK(result_of(ended) == 5);
    awaiting<int> one(as_sender(ended));
    one.start();
    CHECK(one.seen.completions() == 1);
    CHECK(one.seen.value == 5);
    CHECK(one.seen.where == std::this_thread::get_id());
    // Also inside a completion.
    awaiting<int> outer(as_sender(ended));
    awaiting<int> inner(as_sender(ended));
    bool before_return = false;
    outer.seen.then = [&] {
        inner.start();
        before_return = inner.seen.values == 1;
    };
    outer.start();
    CHECK(before_return);
    settle_locality(rt);
}

TEST_CASE("who_asks_to_stop_waits_no_more_and_harms_no_token") {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held", [&] {
        gate.pass();
        return 7;
    });
    const token<int> awaited = held();
    stdexec::inplace_stop_source early;
    early.request_stop();
    awaiting<int> never(as_sender(awaited), early.get_token());
    never.start();
    CHECK(never.seen.completions() == 1);
    CHECK(never.seen.stops == 1);
    stdexec::inplace_stop_source source;
    awaiting<int> given_up(as_sender(awaited), source.get_token());
    awaiting<int> patient(as_sender(awaited));
    given_up.start();
    patient.start();
    CHECK(given_up.seen.completions() == 0);
    source.request_stop();
    CHECK(given_up.seen.completions() == 1);
    CHECK(given_up.seen.stops == 1);
    CHECK(given_up.seen.where == std::this_thread::get_id());
    CHECK_FALSE(awaited.done());
    gate.release();
    CHECK(patient.seen.ends_by(patient.seen.values));
    CHECK(patient.seen.value == 7);
    CHECK(given_up.seen.completions() == 1);
    settle_locality(rt);
}

TEST_CASE("a_stop_at_the_moment_of_the_end_completes_once") {
    runtime rt({.cores = 2});
    const auto empty = rt.operation("empty", [] { return 1; });
    const auto aside = rt.operation("aside", [] { return 1; });
    aside.pause();
    // Three threads meet in each round: one starts, one asks to stop, one ends the token, which
    // does that by itself in every second round.
    const std::size_t rounds = scaled(2000);
    std::barrier meet(3);
    std::unique_ptr<awaiting<int>> run;
    std::unique_ptr<stdexec::inplace_stop_source> source;
    token<int> awaited;
    std::thread stopping([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
            meet.arrive_and_wait();
            source->request_stop();
            meet.arrive_and_wait();
        }
    });
    std::thread ending([&] {
        for (std::size_t i = 0; i < rounds; ++i) {
            meet.arrive_and_wait();
            awaited.kill();
            meet.arrive_and_wait();
        }
    });
    std::size_t wrong = 0;
    std::size_t by_value = 0;
    std::size_t stopped = 0;
    for (std::size_t i = 0; i < rounds; ++i) {
        source = std::make_unique<stdexec::inplace_stop_source>();
        awaited = i % 2 == 0 ? aside() : empty();
        run = std::make_unique<awaiting<int>>(as_sender(awaited), source->get_token());
        const bool waits = i % 4 < 2;
        if (waits) run->start();
        meet.arrive_and_wait();
        if (!waits) run->start();
        meet.arrive_and_wait();
        // A worker may be about to tell.
        if (!eventually([&] { return run->seen.completions() != 0; })) ++wrong;
        REQUIRE(rt.wait_idle_for(hang_limit));
        if (run->seen.completions() != 1 || run->seen.errors != 0) ++wrong;
        by_value += static_cast<std::size_t>(run->seen.values.load());
        stopped += static_cast<std::size_t>(run->seen.stops.load());
    }
    stopping.join();
    ending.join();
    CHECK(wrong == 0);
    CHECK(by_value + stopped == rounds);
    aside.resume();
    settle_locality(rt);
}

TEST_CASE("an_end_or_a_stop_while_it_is_being_started_waits_until_it_is") {
    runtime rt({.cores = 2});
    const auto aside = rt.operation("aside", [] { return 1; });
    aside.pause();
    using step = void (*)(const token<int>&, const std::function<void()>&);
    const step end = [](const token<int>& which, const auto&) { CHECK(which.kill()); };
    const step stop = [](const token<int>&, const auto& ask) { ask(); };
    for (const auto& steps : {std::pair{end, stop}, std::pair{stop, end}}) {
        const token<int> awaited = aside();
        record<int> seen;
        int early = 0;
        const std::function<void(const std::function<void()>&)> meddle = [&](const auto& ask) {
            steps.first(awaited, ask);
            early += seen.completions();
            steps.second(awaited, ask);
            early += seen.completions();
        };
        auto state =
            stdexec::connect(as_sender(awaited), meddled_recorder(seen, meddling_token{&meddle}));
        stdexec::start(state);
        CHECK(early == 0);
        CHECK(seen.completions() == 1);
        CHECK(seen.stops == 1);
    }
    aside.resume();
    settle_locality(rt);
}

TEST_CASE("a_stop_that_comes_too_late_changes_nothing") {
    runtime rt({.cores = 2});
    const auto aside = rt.operation("aside", [] { return 1; });
    aside.pause();
    stdexec::inplace_stop_source source;
    const token<int> awaited = aside();
    awaiting<int> run(as_sender(awaited), source.get_token());
    // While it is told of the end, before it has let go of the stop token: by another receiver of
    // the same token, which comes first or last.
    awaiting<int> first(as_sender(awaited));
    awaiting<int> last(as_sender(awaited));
    first.seen.then = last.seen.then = [&] { source.request_stop(); };
    first.start();
    run.start();
    last.start();
    CHECK(awaited.kill());
    CHECK(run.seen.completions() == 1);
    CHECK(run.seen.stops == 1);
    aside.resume();
    settle_locality(rt);
}

TEST_CASE("chains_of_any_length_do_not_use_up_the_stack") {
    runtime rt({.cores = 2});
    const std::size_t length = scaled(100'000);
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto aside = rt.operation("aside", [] { return 1; });
    aside.pause();
    const token<int> ended = number(1);
    ended.wait();
    // Each is started when the one before it has come.
    std::deque<awaiting<int>> ready;
    for (std::size_t i = 0; i < length; ++i) {
        ready.emplace_back(as_sender(ended));
        if (i != 0) ready[i - 1].seen.then = [&last = ready[i]] { last.start(); };
    }
    ready.front().start();
    CHECK(ready.back().seen.values == 1);
    // Each ends the token of the next.
    std::deque<awaiting<int>> waiting;
    for (std::size_t i = 0; i < length / 10; ++i) {
        const token<int> each = aside();
        waiting.emplace_back(as_sender(each));
        waiting.back().start();
        if (i != 0) waiting[i - 1].seen.then = [each] { static_cast<void>(each.kill()); };
        if (i == 0) ready.front().seen.then = [each] { static_cast<void>(each.kill()); };
    }
    ready.front().seen.then();
    CHECK(waiting.back().seen.stops == 1);
    // Each goes on in a token of its own.
    const scheduler where = get_scheduler(rt);
    std::deque<run_of<void, scheduler::sender>> hops;
    for (std::size_t i = 0; i < length / 10; ++i) {
        hops.emplace_back(where.schedule());
        if (i != 0) hops[i - 1].seen.then = [&last = hops[i]] { last.start(); };
    }
    hops.front().start();
    CHECK(hops.back().seen.ends_by(hops.back().seen.values));
    aside.resume();
    settle_locality(rt);
}

}  // namespace tokengate::test
