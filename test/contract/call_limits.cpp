// SPDX-License-Identifier: Apache-2.0
// Limits of calls: tokens in flight and rates; what becomes of calls beyond them.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "limited.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// How many are between enter() and leave(), and how many were at most.
class occupancy {
  public:
    void enter() {
        const int now = ++inside_;
        int most = most_;
        while (most < now && !most_.compare_exchange_weak(most, now)) {}
    }
    void leave() { --inside_; }
    [[nodiscard]] int most() const { return most_; }

  private:
    std::atomic<int> inside_{0};
    std::atomic<int> most_{0};
};

/// An argument that is alive from its call to the end of its token: what is in flight.
class passenger {
  public:
    explicit passenger(occupancy& where) : where_(&where) { where.enter(); }
    passenger(passenger&& other) noexcept : where_(std::exchange(other.where_, nullptr)) {}
    passenger(const passenger&) = delete;
    passenger& operator=(const passenger&) = delete;
    passenger& operator=(passenger&&) = delete;
    ~passenger() {
        if (where_ != nullptr) where_->leave();
    }

  private:
    occupancy* where_;
};

/// What a call passes: it becomes a passenger in the token, when that has been let in.
struct ticket {
    occupancy* where;
    operator passenger() const { return passenger(*where); }
};

}  // namespace

TEST_CASE("never_more_tokens_in_flight_than_the_limit_whoever_calls") {
    for (const int cores : small_widths) {
        for (const std::size_t limit : {std::size_t{1}, std::size_t{3}, std::size_t{16}}) {
            INFO(cores, " domains, limit ", limit);
            const bool inside = limit == 3;  // tokens call, too
            runtime rt({.cores = cores, .workers_per_core = 2});
            occupancy seen;
            std::atomic<int> ran{0};
            const auto op = rt.operation("op", {.in_flight = {.tokens = limit}},
                                         [&](const passenger&) { ++ran; });
            const auto caller = rt.operation("caller", [&] {
                for (int i = 0; i < 20; ++i) op.post(ticket{&seen});
            });
            from_threads(4, [&](int thread) {
                for (int i = 0; i < 200; ++i) {
                    if (thread % 2 == 0) {
                        op.post(ticket{&seen});
                    } else if (inside && i % 20 == 0) {
                        caller.post();
                    }
                }
            });
            settle_locality(rt);
            CHECK(ran == 2 * 200 + (inside ? 2 * 10 * 20 : 0));
            // A worker that would wait for ever goes beyond the limit, each with one token.
            CHECK(seen.most() <= static_cast<int>(limit) + (inside ? 2 * cores : 0));
            CHECK(op.stats().counts.refused == 0);
            CHECK(op.stats().dropped == 0);
        }
    }
}

TEST_CASE("every_call_is_let_in_refused_or_takes_a_place_and_the_books_say_so") {
    for (const when_full policy : all_policies) {
        INFO(std::string(to_string(policy)));
        runtime rt({.cores = 2});
        occupancy seen;
        std::atomic<std::uint64_t> called{0};
        std::atomic<std::uint64_t> refused{0};
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", {.in_flight = {.tokens = 4, .policy = policy}},
                                     [&](const passenger&) {
                                         if (++ran % 7 == 0) throw std::runtime_error("on purpose");
                                     });
        from_threads(4, [&](int thread) {
            for (int i = 0; i < 500; ++i) {
                ++called;
                if (thread == 0) {
                    if (!op.try_call(ticket{&seen})) ++refused;
                    continue;
                }
                try {
                    const token<void> t = op(ticket{&seen});
                    if (i % 5 == 0) t.kill("on purpose");
                } catch (const call_refused&) {
                    ++refused;
                }
            }
        });
        settle_locality(rt);
        const operation_stats found = op.stats();
        CHECK(seen.most() <= 4);
        CHECK(found.counts.accepted == called - refused);
        CHECK(found.counts.refused == refused);
        CHECK(found.counts.completed + found.counts.failed <= ran);
        if (policy == when_full::drop_oldest) {
            CHECK(found.counts.killed >= found.dropped);
        } else {
            CHECK(found.dropped == 0);
        }
        // Each place has come back.
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        for (int i = 0; i < 2; ++i) held();
        REQUIRE(gate.await(2));
        for (int i = 0; i < 4; ++i) CHECK(op.try_call(ticket{&seen}).has_value());
        CHECK(op.try_call(ticket{&seen}).has_value() == (policy == when_full::drop_oldest));
        gate.release();
        settle(rt);
    }
}

TEST_CASE("a_call_that_blocks_goes_on_when_a_token_ends_whichever_way") {
    for (const int how : {0, 1, 2, 3, 4}) {
        INFO("way ", how);
        runtime rt({.cores = 2});
        hold gate;
        std::atomic<int> ran{0};
        const auto op =
            rt.operation("op",
                         {.queue_timeout = how == 4 ? 20ms : 0ms,
                          .retry = {.attempts = 2, .initial_delay = 1h, .max_delay = 1h},
                          .in_flight = {.tokens = 1}},
                         [&](int what) {
                             if (what == 0) gate.pass();
                             if (what == 1) throw std::runtime_error("again");
                             ++ran;
                         });
        const auto busy = rt.operation("busy", [&] { gate.pass(); });
        if (how == 2 || how == 4) {
            for (int i = 0; i < 2; ++i) busy();
            REQUIRE(gate.await(2));
        }
        const token<void> first = op(how == 1 ? 1 : how == 0 || how == 3 ? 0 : 2);
        if (how == 0 || how == 3) REQUIRE(gate.await(1));
        if (how == 1) REQUIRE(eventually([&] { return first.state() == token_state::waiting; }));
        std::atomic<bool> through{false};
        std::optional<token<void>> second;
        std::thread caller([&] {
            second = op(3);
            through = true;
        });
        CHECK_FALSE(op.try_call(3).has_value());
        CHECK_FALSE(through);
        if (how == 0) gate.release();            // completes
        if (how == 1 || how == 2) first.kill();  // while it backs off, while it waits
        if (how == 3) {
            first.kill();  // while it runs: its callable holds the place
            CHECK_FALSE(op.try_call(3).has_value());
            gate.release();
        }
        caller.join();
        gate.release();
        if (how != 4) REQUIRE(ends(*second));
        settle_locality(rt);
    }
}

TEST_CASE("a_refused_call_says_which_limit_with_its_figures_and_leaves_its_arguments_alone") {
    runtime rt({.cores = 1});
    hold gate;
    const auto held =
        rt.operation("held", {.in_flight = {.tokens = 2, .policy = when_full::refuse}},
                     [&](const std::string&) { gate.pass(); });
    held("a");
    held("b");
    std::string text(100, 'x');
    const std::string said = message_of([&] { held(std::move(text)); });
    CHECK(contains(said, "'held'"));
    CHECK(contains(said, "in_flight limit of 2 tokens"));
    CHECK(contains(said, "Nothing was accepted"));
    CHECK(text == std::string(100, 'x'));
    CHECK_FALSE(held.try_call(std::move(text)).has_value());
    CHECK(text == std::string(100, 'x'));
    CHECK_THROWS_AS(held.post("c"), call_refused);
    CHECK_THROWS_AS(static_cast<void>(held.bulk(std::vector<std::string>{"d", "e"})), call_refused);
    CHECK(held.stats().counts.refused == 4);
    gate.release();
    settle_locality(rt);
    const auto rare = rt.operation(
        "rare", {.rate = {.per_second = 0.0001, .burst = 2, .policy = when_full::refuse}}, [] {});
    rare();
    rare();
    CHECK(contains(message_of([&] { rare(); }), "rate limit of 1e-04 calls per second"));
    CHECK_THROWS_AS(
        static_cast<void>(rt.operation("wrong", {.in_flight = {.tokens = ~0ULL}}, [] {})),
        operation_error);
    CHECK_THROWS_AS(static_cast<void>(rt.operation("wrong", {.rate = {.per_second = -1}}, [] {})),
                    operation_error);
    settle(rt);
}

TEST_CASE("drop_oldest_kills_the_oldest_that_has_not_begun_and_says_why") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op = rt.operation(
        "op", {.in_flight = {.tokens = 4, .policy = when_full::drop_oldest}}, [&](int i) {
            if (i == 0) gate.pass();
            return i;
        });
    std::vector<token<int>> made;
    made.push_back(op(0));
    REQUIRE(gate.await(1));
    for (int i = 1; i < 4; ++i) made.push_back(op(i));
    for (int i = 4; i < 10; ++i) {
        made.push_back(op(i));
        // The one that runs stays, of the others the oldest is dropped.
        for (int j = 1; j <= i; ++j) {
            INFO(j, " after ", i);
            CHECK((made[static_cast<std::size_t>(j)].state() == token_state::killed) ==
                  (j <= i - 3));
        }
    }
    try {
        demand(made[1]);
        CHECK(false);
    } catch (const token_killed& why) {
        CHECK(contains(why.reason(), "dropped for a newer call"));
        CHECK(contains(why.reason(), "in_flight limit of 4 tokens"));
    }
    auto late = op.try_call(10);
    REQUIRE(late.has_value());
    gate.release();
    CHECK(result_of(*late) == 10);
    settle_locality(rt);
    CHECK(op.stats().dropped == 7);
    CHECK(op.stats().counts.killed == 7);
    CHECK(op.stats().counts.accepted == 11);
}

TEST_CASE("drop_oldest_refuses_if_all_have_begun") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op = rt.operation(
        "op", {.in_flight = {.tokens = 1, .policy = when_full::drop_oldest}}, [&] { gate.pass(); });
    op();
    REQUIRE(gate.await(1));
    CHECK(contains(message_of([&] { op(); }), "none of its tokens waits"));
    CHECK_FALSE(op.try_call().has_value());
    CHECK(op.stats().counts.refused == 2);
    CHECK(op.stats().dropped == 0);
    gate.release();
    settle_locality(rt);
}

TEST_CASE("a_token_at_the_limit_of_its_own_operation_goes_on") {
    for (const int cores : small_widths) {
        for (const int reserves : {0, 4}) {
            INFO(cores, " domains, ", reserves, " reserves");
            runtime rt({.cores = cores, .reserve_workers = reserves});
            std::atomic<int> ran{0};
            std::optional<operation<int(int)>> self;
            const auto body = [&](int depth) -> int {
                ++ran;
                return depth == 0 ? 0 : 1 + (*self)(depth - 1).get();
            };
            self = rt.operation("self", {.in_flight = {.tokens = 1}}, body);
            CHECK(result_of((*self)(20)) == 20);
            std::optional<operation<void(int)>> serial;
            serial = rt.operation(
                "serial",
                {.sticky = sticky::by_anchor("s", sticky::serial), .in_flight = {.tokens = 1}},
                [&](int depth) {
                    ++ran;
                    if (depth > 0) (*serial).post(depth - 1);
                });
            (*serial)(5);
            // Two operations that wait for each other.
            std::optional<operation<int(int)>> ping;
            const auto pong = rt.operation("pong", {.in_flight = {.tokens = 1}}, [&](int depth) {
                return depth == 0 ? 0 : 1 + (*ping)(depth - 1).get();
            });
            ping = rt.operation("ping", {.in_flight = {.tokens = 1}}, [&](int depth) {
                return depth == 0 ? 0 : 1 + pong(depth - 1).get();
            });
            CHECK(result_of((*ping)(8)) == 8);
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_token_at_the_limit_does_not_wait_for_one_that_was_killed_while_it_was_set_aside") {
    runtime rt({.cores = 2});
    hold gate;
    hold begun;
    std::optional<operation<int(int)>> pair;
    std::optional<token<int>> first;
    // The second holds the other place, and waits for the first.
    pair = rt.operation("pair", {.in_flight = {.tokens = 2}}, [&](int which) {
        if (which == 0) {
            begun.pass();
            return 1 + (*pair)(2).get();
        }
        if (which == 1) {
            begun.pass();
            return first->get(isolated);
        }
        return 0;
    });
    const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
    const token<void> one = held();
    const token<void> other = held();
    REQUIRE(gate.await(2));
    const token<int> dead = (*pair)(2);
    REQUIRE(dead.pause());
    gate.release();
    REQUIRE(eventually([&] { return pair->stats().set_aside == 1; }));
    CHECK(dead.kill());
    first = (*pair)(0);
    const token<int> second = (*pair)(1);
    REQUIRE(begun.await(2));
    begun.release();
    REQUIRE(ends(*first));
    REQUIRE(ends(second));
    CHECK(first->get() == 1);
    CHECK(second.get() == 1);
    settle_locality(rt);
}

TEST_CASE("a_call_that_blocks_at_a_limit_ends_with_the_runtime") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op = rt.operation("op", {.in_flight = {.tokens = 1}}, [&] { gate.pass(); });
    const auto rare = rt.operation("rare", {.rate = {.per_second = 0.0001}}, [] {});
    op();
    rare();
    REQUIRE(gate.await(1));
    std::atomic<int> thrown{0};
    const auto call = [&](const auto& which) {
        try {
            which.post();
        } catch (const runtime_stopped&) {
            ++thrown;
        }
    };
    std::thread first([&] { call(op); });
    std::thread second([&] { call(rare); });
    CHECK_FALSE(rt.stop(0ms).drained);
    first.join();
    second.join();
    CHECK(thrown == 2);
    gate.release();
    rt.stop();
    check_ledger(rt);
}

TEST_CASE("a_rate_is_never_exceeded") {
    for (const when_full policy : all_policies) {
        for (const double burst : {1.0, 10.0}) {
            INFO(std::string(to_string(policy)), ", burst ", burst);
            runtime rt({.cores = 2});
            constexpr double rate = 2000;
            const auto op = rt.operation(
                "op", {.rate = {.per_second = rate, .burst = burst, .policy = policy}}, [](int) {});
            const auto begin = std::chrono::steady_clock::now();
            std::mutex lock;
            std::uint64_t let_in = 0;
            from_threads(4, [&](int thread) {
                for (int i = 0; i < 40; ++i) {
                    bool accepted = true;
                    try {
                        if (thread == 0) {
                            accepted = op.try_call(i).has_value();
                        } else {
                            op.post(i);
                        }
                    } catch (const call_refused&) {
                        accepted = false;
                    }
                    const std::scoped_lock guard(lock);
                    if (accepted) ++let_in;
                    const std::chrono::duration<double> elapsed =
                        std::chrono::steady_clock::now() - begin;
                    // Those that were dropped gave their turns to others.
                    const auto dropped = static_cast<double>(op.stats().dropped);
                    if (policy != when_full::drop_oldest) {
                        CHECK(static_cast<double>(let_in) <= burst + rate * elapsed.count());
                    } else {
                        CHECK(static_cast<double>(let_in) <=
                              burst + rate * elapsed.count() + dropped);
                    }
                }
            });
            settle_locality(rt);
            CHECK(op.stats().counts.accepted == let_in);
            if (policy == when_full::block) CHECK(let_in >= 3 * 40);
            CHECK(let_in >= static_cast<std::uint64_t>(burst));
        }
    }
}

TEST_CASE("a_refused_call_uses_nothing_of_the_rate_up") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op =
        rt.operation("op",
                     {.in_flight = {.tokens = 1, .policy = when_full::refuse},
                      .rate = {.per_second = 0.0001, .burst = 3, .policy = when_full::refuse}},
                     [&](const std::string&) { gate.pass(); });
    op("first");
    REQUIRE(gate.await(1));
    for (int i = 0; i < 10; ++i) CHECK_FALSE(op.try_call("no room").has_value());
    gate.release();
    REQUIRE(rt.wait_idle_for(hang_limit));
    CHECK(ends(op("second")));
    REQUIRE(rt.wait_idle_for(hang_limit));
    CHECK(ends(op("third")));
    REQUIRE(rt.wait_idle_for(hang_limit));
    CHECK(contains(message_of([&] { op("fourth"); }), "rate limit"));
    settle_locality(rt);
}

TEST_CASE("a_call_whose_arguments_throw_gives_everything_back") {
    runtime rt({.cores = 1, .memory_limit = 1'000'000});
    struct thrower {
        operator std::shared_ptr<int>() const { throw std::runtime_error("no argument"); }
    };
    hold gate;
    const auto op =
        rt.operation("op",
                     {.in_flight = {.tokens = 1, .policy = when_full::refuse},
                      .rate = {.per_second = 0.0001, .burst = 1, .policy = when_full::refuse}},
                     [&](const std::shared_ptr<int>&) {});
    for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(op(thrower()), std::runtime_error);
    CHECK(rt.stats().memory_bytes == 0);
    CHECK(ends(op(nullptr)));
    settle_locality(rt);
    CHECK(rt.stats().memory_bytes == 0);
    CHECK(op.stats().counts.accepted == 1);
}

}  // namespace tokengate::test
