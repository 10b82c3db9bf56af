// SPDX-License-Identifier: Apache-2.0
// Coroutines that wait for tokens: orchestrators, and callables of operations.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

task<int> sum_of(const operation<int(int)>& number, int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += co_await number(i);
    co_return sum;
}

task<int> nested(const operation<int(int)>& number, int depth) {
    if (depth == 0) co_return co_await number(1);
    const int below = co_await nested(number, depth - 1);
    co_return below + 1;
}

}  // namespace

TEST_CASE("a_coroutine_awaits_tokens_on_the_thread_that_waits_for_it") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        CHECK(sync_wait(sum_of(number, 100)) == 4950);
        CHECK(sync_wait(nested(number, 1000)) == 1001);
        const std::thread::id self = std::this_thread::get_id();
        const bool stayed = sync_wait([](const auto& op, std::thread::id here) -> task<bool> {
            for (int i = 0; i < 100; ++i) {
                static_cast<void>(co_await op(i));
                if (std::this_thread::get_id() != here) co_return false;
            }
            co_return true;
        }(number, self));
        CHECK(stayed);
        settle_locality(rt);
    });
}

TEST_CASE("what_a_token_throws_is_thrown_by_co_await_and_reaches_who_waits_for_the_task") {
    runtime rt({.cores = 2});
    const auto broken =
        rt.operation("broken", []() -> int { throw std::runtime_error("out of luck"); });
    const auto nothing = rt.operation("nothing", [] {});
    const auto brave = [](const auto& op) -> task<std::string> {
        try {
            static_cast<void>(co_await op());
        } catch (const std::runtime_error& why) {
            co_return why.what();
        }
        co_return "no error";
    };
    CHECK(sync_wait(brave(broken)) == "out of luck");
    const auto careless = [](const auto& op) -> task<> { static_cast<void>(co_await op()); };
    CHECK_THROWS_WITH_AS(sync_wait(careless(broken)), "out of luck", std::runtime_error);
    sync_wait([](const auto& op) -> task<> { co_await op(); }(nothing));
    CHECK_THROWS_AS(sync_wait([]() -> task<> { co_await token<void>(); }()), empty_token);
    settle_locality(rt);
}

TEST_CASE("results_may_be_moved_only_references_or_nothing") {
    runtime rt({.cores = 2});
    int object = 1;
    const auto box = rt.operation("box", [](int value) { return std::make_unique<int>(value); });
    const auto refer = rt.operation("refer", [&]() -> int& { return object; });
    const auto boxed = sync_wait([](const auto& op) -> task<std::unique_ptr<int>> {
        std::unique_ptr<int> made = co_await op(5);
        const token<std::unique_ptr<int>> kept = op(6);
        const std::unique_ptr<int>& seen = co_await kept;
        *made += *seen;
        co_return made;
    }(box));
    CHECK(*boxed == 11);
    int& same = sync_wait([](const auto& op) -> task<int&> { co_return co_await op(); }(refer));
    CHECK(&same == &object);
    settle_locality(rt);
}

TEST_CASE("gather_gives_results_in_order_or_the_first_failure_at_once") {
    runtime rt({.cores = 4});
    hold gate;
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto nothing = rt.operation("nothing", [] {});
    const auto slow = rt.operation("slow", [&] {
        gate.pass();
        return 1;
    });
    const auto broken = rt.operation("broken", []() -> int { throw std::runtime_error("broken"); });
    const auto [a, b, c] = sync_wait(gather(number(1), nothing(), number(3)));
    CHECK(a == 1);
    CHECK(c == 3);
    static_cast<void>(b);
    std::vector<token<int>> many;
    for (int i = 0; i < 1000; ++i) many.push_back(number(i));
    const std::vector<int> all = sync_wait(gather(many));
    std::vector<int> expected(1000);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(all == expected);
    CHECK(sync_wait(gather(std::vector<token<int>>())).empty());
    // The slow one has not ended.
    const token<int> waits = slow();
    CHECK_THROWS_WITH_AS(sync_wait(gather(waits, broken())), "broken", std::runtime_error);
    CHECK_FALSE(waits.done());
    std::vector<token<int>> mixed{waits, broken(), number(1)};
    CHECK_THROWS_WITH_AS(sync_wait(gather(mixed)), "broken", std::runtime_error);
    CHECK(sync_wait(when_any(mixed)) != 0);
    gate.release();
    sync_wait(gather_outcomes(mixed));
    for (const auto& each : mixed) CHECK(each.done());
    CHECK(result_of(waits) == 1);
    settle_locality(rt);
}

TEST_CASE("when_any_gives_the_first_to_end_and_harms_no_other") {
    runtime rt({.cores = 2});
    hold gate;
    const auto slow = rt.operation("slow", [&](int value) {
        gate.pass();
        return value;
    });
    const auto fast =
        rt.operation("fast", {.weight = weight::heavy}, [](int value) { return value; });
    const token<int> held = slow(1);
    REQUIRE(gate.await(1));
    const token<int> quick = fast(2);
    CHECK(sync_wait(when_any(held, quick)) == 1);
    CHECK_FALSE(held.done());
    CHECK_THROWS_AS(sync_wait(when_any(std::vector<token<int>>())), std::invalid_argument);
    // Again and again for the same one, which ends last.
    for (int i = 0; i < 1000; ++i) CHECK(sync_wait(when_any(held, quick)) == 1);
    gate.release();
    CHECK(result_of(held) == 1);
    settle_locality(rt);
}

TEST_CASE("as_completed_delivers_each_token_once_when_it_has_ended") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto work = rt.operation("work", [](int value) {
            if (value % 10 == 3) throw std::runtime_error("unlucky");
            return value;
        });
        std::vector<token<int>> tokens;
        for (int i = 0; i < 500; ++i) tokens.push_back(work(i));
        const auto seen = sync_wait([](const auto& all) -> task<std::pair<std::set<int>, int>> {
            std::set<int> found;
            int failures = 0;
            auto done = as_completed(all);
            while (const auto each = co_await done.next()) {
                if (!each->done()) throw std::logic_error("it has not ended");
                if (each->state() == token_state::completed) {
                    found.insert(each->get());
                } else {
                    ++failures;
                }
            }
            co_return std::pair(found, failures);
        }(tokens));
        CHECK(seen.first.size() == 450);
        CHECK(seen.second == 50);
        settle_locality(rt);
    });
}

TEST_CASE("as_completed_may_be_dropped_before_all_have_ended") {
    runtime rt({.cores = 2});
    hold gate;
    const auto slow = rt.operation("slow", [&](int value) {
        if (value != 0) gate.pass();
        return value;
    });
    std::vector<token<int>> tokens;
    for (int i = 0; i < 10; ++i) tokens.push_back(slow(i));
    sync_wait([](const auto& all) -> task<> {
        auto done = as_completed(all);
        const auto first = co_await done.next();
        if (!first || first->get() != 0) throw std::logic_error("another one came first");
    }(tokens));
    gate.release();
    for (int i = 0; i < 10; ++i) CHECK(result_of(tokens[static_cast<std::size_t>(i)]) == i);
    settle_locality(rt);
}

TEST_CASE("an_operation_may_be_a_coroutine_and_delivers_what_that_returns") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto sum = rt.operation("sum", [&](int count) -> task<int> {
            int all = 0;
            for (int i = 0; i < count; ++i) all += co_await number(i);
            co_return all;
        });
        const auto text = rt.operation("text", [&](const std::string& word) -> task<std::string> {
            const int size = co_await number(static_cast<int>(word.size()));
            co_return word + std::to_string(size);
        });
        const auto broken = rt.operation("broken", [&](int value) -> task<> {
            static_cast<void>(co_await number(value));
            throw std::runtime_error("too late");
        });
        const auto at_once =
            rt.operation("at once", [](int value) -> task<int> { co_return value; });
        static_assert(std::is_same_v<decltype(sum(1)), token<int>>);
        CHECK(result_of(sum(50)) == 1225);
        CHECK(result_of(at_once(3)) == 3);
        CHECK(result_of(text("a word that is too long to be kept inside of a string")).size() ==
              55);
        const token<void> failed = broken(1);
        REQUIRE(ends(failed));
        CHECK_THROWS_WITH_AS(demand(failed), "too late", std::runtime_error);
        std::vector<token<int>> many;
        for (int i = 0; i < 200; ++i) many.push_back(sum(i % 20));
        for (int i = 0; i < 200; ++i) {
            CHECK(result_of(many[static_cast<std::size_t>(i)]) == (i % 20) * (i % 20 - 1) / 2);
        }
        CHECK(result_of(sum(sum(number(4)))) == 15);
        settle_locality(rt);
    });
}

TEST_CASE("ten_thousand_suspended_coroutine_operations_on_two_workers_finish") {
    const std::size_t count = scaled(10'000);
    runtime rt({.cores = 2});
    hold gate;
    const auto source = rt.operation("source", [&] {
        gate.pass();
        return 1;
    });
    const token<int> first = source();
    std::atomic<std::size_t> begun{0};
    const auto waits = rt.operation("waits", [&](int value) -> task<int> {
        ++begun;
        const int got = co_await first;
        co_return got + value;
    });
    std::vector<token<int>> all;
    REQUIRE(gate.await(1));
    for (std::size_t i = 0; i < count; ++i) all.push_back(waits(static_cast<int>(i)));
    // One worker is inside `source`; the other begins them all.
    REQUIRE(eventually([&] { return begun == count; }));
    REQUIRE(eventually([&] {
        return std::all_of(all.begin(), all.end(),
                           [](const auto& each) { return each.state() == token_state::waiting; });
    }));
    gate.release();
    for (std::size_t i = 0; i < count; ++i) CHECK(result_of(all[i]) == static_cast<int>(i) + 1);
    settle_locality(rt);
    CHECK(waits.stats().executions == count);
}

TEST_CASE("a_coroutine_operation_goes_on_in_its_domain_and_keeps_its_seed") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number =
            rt.operation("number", {.weight = weight::heavy}, [](int value) { return value; });
        const auto child = rt.operation("child", [](int value) { return value; });
        const auto lead =
            rt.operation("lead", {.external_calls = {"child"}}, [&](int n) -> task<bool> {
                const unsigned home = here();
                const token<int> before = child(n);
                const std::string seed = before.seed();
                bool same = !seed.empty();
                for (int i = 0; i < 20; ++i) {
                    static_cast<void>(co_await number(i));
                    const token<int> later = child(i);
                    same = same && here() == home && later.seed() == seed;
                    static_cast<void>(co_await later);
                    same = same && here() == home;
                }
                co_return same;
            });
        const auto plain = rt.operation("plain", [&](int) -> task<bool> {
            const unsigned home = here();
            bool same = true;
            for (int i = 0; i < 20; ++i) {
                static_cast<void>(co_await number(i));
                same = same && here() == home;
            }
            co_return same;
        });
        std::vector<token<bool>> all;
        for (int i = 0; i < 40; ++i) {
            all.push_back(lead(i));
            all.push_back(plain(i));
        }
        for (const auto& each : all) CHECK(result_of(each));
        settle_locality(rt);
    });
}

TEST_CASE("a_suspended_token_that_is_killed_is_destroyed_with_all_that_it_holds") {
    struct counted {
        std::atomic<int>* alive;
        explicit counted(std::atomic<int>& of) : alive(&of) { ++*alive; }
        counted(const counted& other) : alive(other.alive) { ++*alive; }
        counted& operator=(const counted&) = delete;
        ~counted() { --*alive; }
    };
    for (const int how : {0, 1, 2, 3}) {
        INFO("way ", how);
        hold gate;
        std::atomic<int> alive{0};
        std::atomic<int> waiting{0};
        runtime other({.cores = 2});
        runtime rt({.cores = 2});
        const auto source = other.operation("source", [&] {
            gate.pass();
            return 1;
        });
        const token<int> first = source();
        const auto inner = [&](counted held) -> task<int> {
            const counted more = held;
            const auto [a, b] = co_await gather(first, first);
            co_return a + b;
        };
        const auto waits = rt.operation("waits", [&](int, const counted& given) -> task<int> {
            const counted mine = given;
            ++waiting;
            co_return how % 2 == 0 ? co_await first : co_await inner(mine);
        });
        std::vector<token<int>> all;
        for (int i = 0; i < 20; ++i) all.push_back(waits(i, counted(alive)));
        REQUIRE(eventually([&] {
            return std::all_of(all.begin(), all.end(),
                               [](const auto& t) { return t.state() == token_state::waiting; });
        }));
        CHECK(waiting == 20);
        CHECK(alive >= 40);
        if (how < 2) {
            for (const auto& each : all) CHECK(each.kill());
        } else {
            CHECK(waits.kill("enough") == 20);
        }
        for (const auto& each : all) CHECK_THROWS_AS(demand(each), token_killed);
        CHECK(alive == 0);
        settle_locality(rt);
        gate.release();
        CHECK(result_of(first) == 1);
        settle_locality(other);
    }
}

TEST_CASE("a_stop_with_a_deadline_ends_suspended_coroutines") {
    for (const bool gathers : {false, true}) {
        hold gate;
        runtime other({.cores = 2});
        runtime rt({.cores = 2});
        const auto source = other.operation("source", [&] {
            gate.pass();
            return 1;
        });
        const token<int> first = source();
        const auto waits = rt.operation("waits", [&]() -> task<int> {
            if (gathers) co_return std::get<0>(co_await gather(first));
            co_return co_await first;
        });
        std::vector<token<int>> all;
        for (int i = 0; i < 10; ++i) all.push_back(waits());
        const stop_report report = rt.stop(10ms);
        CHECK(report.stragglers.empty());
        for (const auto& each : all) CHECK(each.state() == token_state::killed);
        check_ledger(rt);
        gate.release();
        CHECK(result_of(first) == 1);
        settle_locality(other);
    }
}

TEST_CASE("coroutines_may_be_serial_pinned_paused_watched_and_have_inputs") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        std::atomic<int> inside{0};
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto line =
            rt.operation("line", {.sticky = sticky::by_anchor("line", sticky::serial)},
                         [&](int value) -> task<int> {
                             const bool alone = ++inside == 1;
                             const int got = co_await number(value);
                             --inside;
                             co_return alone ? got : -1;
                         });
        const auto pinned =
            rt.operation("pinned", {.sticky = sticky::by_arguments()},
                         [&](int value) -> task<int> { co_return co_await number(value); });
        const auto watched = rt.operation("watched", {.queue_timeout = 1h, .timed = true},
                                          [&](int value) -> task<int> {
                                              const int got = co_await number(value);
                                              co_return co_await number(got);
                                          });
        std::vector<token<int>> all;
        for (int i = 0; i < 100; ++i) {
            all.push_back(line(number(i)));
            all.push_back(pinned(number(i)));
            all.push_back(watched(number(i)));
        }
        watched.pause();
        watched.resume();
        for (std::size_t i = 0; i < all.size(); ++i) {
            CHECK(result_of(all[i]) == static_cast<int>(i / 3));
        }
        CHECK(all.back().attempts() == 1);
        settle_locality(rt);
    }
}

TEST_CASE("what_a_coroutine_cannot_be_is_said_when_it_is_declared") {
    runtime rt({.cores = 2});
    CHECK_THROWS_AS(
        static_cast<void>(rt.operation("retried", {.retry = {.attempts = 2}},
                                       [](int value) -> task<int> { co_return value; })),
        operation_error);
}

TEST_CASE("coroutines_that_are_killed_at_random_leave_nothing_behind") {
    seeded random;
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .sticky_slots = 64});
        const auto number = rt.operation("number", {.weight = weight::heavy}, [](int value) {
            if (value % 50 == 7) throw std::runtime_error("unlucky");
            return value;
        });
        const auto walk = rt.operation("walk", [&](int value) -> task<int> {
            int sum = 0;
            for (int i = 0; i < value % 5; ++i) sum += co_await number(value + i);
            const auto [a, b] = co_await gather(number(value), number(value + 1));
            co_return sum + a + b;
        });
        const auto line =
            rt.operation("line", {.sticky = sticky::by_anchor("line", sticky::serial)},
                         [&](int value) -> task<int> { co_return co_await number(value); });
        const auto lead =
            rt.operation("lead", {.external_calls = {"walk"}},
                         [&](int value) -> task<int> { co_return co_await walk(value); });
        std::vector<token<int>> all;
        for (std::size_t i = 0; i < scaled(2000); ++i) {
            const int value = static_cast<int>(random.below(1000));
            switch (random.below(4)) {
                case 0: all.push_back(walk(value)); break;
                case 1: all.push_back(line(value)); break;
                case 2: all.push_back(lead(value)); break;
                default:
                    if (!all.empty()) {
                        const auto& victim = all[random.below(all.size())];
                        static_cast<void>(random.one_in(2) ? victim.kill() : victim.pause());
                        if (victim.paused()) static_cast<void>(victim.resume());
                    }
            }
            if (random.one_in(200)) static_cast<void>(walk.kill());
        }
        for (const auto& each : all) {
            while (each.paused()) static_cast<void>(each.resume());
            REQUIRE(ends(each));
            each.join();
        }
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
