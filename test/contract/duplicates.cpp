// SPDX-License-Identifier: Apache-2.0
// duplicates::coalesce: calls that are equal to one in flight get its token.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::array<int, 3> small_widths{1, 2, 4};

/// All have one hash.
struct badly_hashed {
    int value = 0;
    friend bool operator==(const badly_hashed&, const badly_hashed&) = default;
    // NOLINTNEXTLINE(readability-identifier-naming): the name that absl looks for
    template <class H>
    friend H AbslHashValue(H state, const badly_hashed&) {
        return H::combine(std::move(state), 0);
    }
};

/// Its comparison throws if both are 13.
struct unlucky {
    int value = 0;
    friend bool operator==(const unlucky& a, const unlucky& b) {
        if (a.value == 13 && b.value == 13) throw std::runtime_error("bad luck");
        return a.value == b.value;
    }
    // NOLINTNEXTLINE(readability-identifier-naming): as above
    template <class H>
    friend H AbslHashValue(H state, const unlucky& one) {
        return H::combine(std::move(state), one.value);
    }
};

struct no_equality {
    // NOLINTNEXTLINE(readability-identifier-naming): as above
    template <class H>
    friend H AbslHashValue(H state, const no_equality&) {
        return H::combine(std::move(state), 0);
    }
};

const operation_traits coalescing{.duplicates = duplicates::coalesce};

}  // namespace

TEST_CASE("a_call_equal_to_one_in_flight_gets_its_token_while_it_waits_and_while_it_runs") {
    for (const int cores : {1, 2}) {
        runtime rt({.cores = cores});
        hold gate;
        std::atomic<int> ran{0};
        const auto op = rt.operation("op", {.duplicates = duplicates::coalesce},
                                     [&](int number, const std::string& text) {
                                         ++ran;
                                         gate.pass();
                                         return text + std::to_string(number);
                                     });
        const auto busy = rt.operation("busy", [&] { gate.pass(); });
        const token<std::string> running = op(1, "a");
        REQUIRE(gate.await(1));
        for (int i = 1; i < cores; ++i) busy();
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        const token<std::string> waiting = op(2, "a");
        for (int i = 0; i < 3; ++i) {
            CHECK(op(1, "a") == running);
            CHECK(op(2, std::string("a")) == waiting);
            op.post(1, "a");
            CHECK(op.try_call(2, "a") == std::optional(waiting));
        }
        const token<std::string> other = op(1, "b");
        CHECK(other != running);
        CHECK(op.stats().coalesced == 12);
        CHECK(op.stats().counts.accepted == 3);
        gate.release();
        CHECK(result_of(running) == "a1");
        CHECK(result_of(waiting) == "a2");
        CHECK(result_of(other) == "b1");
        CHECK(ran == 3);
        // It has ended: the next one is another.
        const token<std::string> again = op(1, "a");
        CHECK(again != running);
        CHECK(result_of(again) == "a1");
        CHECK(ran == 4);
        settle_locality(rt);
    }
}

TEST_CASE("operations_that_do_not_ask_for_it_run_every_call") {
    runtime rt({.cores = 2});
    hold gate;
    const auto op =
        rt.operation("op", {.duplicates = duplicates::allow}, [&](int) { gate.pass(); });
    const token<void> first = op(1);
    CHECK(op(1) != first);
    gate.release();
    settle_locality(rt);
    CHECK(op.stats().counts.accepted == 2);
    CHECK(op.stats().coalesced == 0);
}

TEST_CASE("calls_are_equal_by_value_and_not_by_hash") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op =
        rt.operation("op", {.duplicates = duplicates::coalesce}, [&](const badly_hashed& what) {
            gate.pass();
            return what.value;
        });
    std::vector<token<int>> made;
    for (int i = 0; i < 50; ++i) made.push_back(op(badly_hashed{i}));
    for (int i = 0; i < 50; ++i) {
        CHECK(op(badly_hashed{i}) == made[static_cast<std::size_t>(i)]);
        for (int j = 0; j < i; ++j) {
            REQUIRE(made[static_cast<std::size_t>(i)] != made[static_cast<std::size_t>(j)]);
        }
    }
    gate.release();
    for (int i = 0; i < 50; ++i) CHECK(result_of(made[static_cast<std::size_t>(i)]) == i);
    settle_locality(rt);
}

TEST_CASE("a_value_never_runs_twice_at_once_and_every_handle_gets_the_right_result") {
    constexpr std::size_t values = 100;
    const auto hammer = [&](const config& shape, const operation_traits& traits) {
        runtime rt(shape);
        std::array<std::atomic<int>, values> inside{};
        std::atomic<int> together{0};
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", traits, [&](std::size_t value) {
            if (++inside[value] != 1) ++together;
            ++ran;
            --inside[value];
            return 3 * value;
        });
        const std::size_t each_thread = scaled(100'000) / 4;
        std::atomic<std::uint64_t> wrong{0};
        std::vector<std::thread> callers;
        for (unsigned thread = 0; thread < 4; ++thread) {
            callers.emplace_back([&, thread] {
                std::uint64_t random = 77 + thread;
                std::vector<std::pair<std::size_t, token<std::size_t>>> made;
                for (std::size_t i = 0; i < each_thread; ++i) {
                    random = random * 6364136223846793005U + 1442695040888963407U;
                    const std::size_t value = (random >> 33U) % values;
                    made.emplace_back(value, op(value));
                    if (made.size() < 64) continue;
                    for (const auto& [wanted, t] : made) {
                        if (result_of(t) != 3 * wanted) ++wrong;
                    }
                    made.clear();
                }
            });
        }
        for (std::thread& each : callers) each.join();
        settle_locality(rt);
        CHECK(wrong == 0);
        CHECK(together == 0);
        const operation_stats found = op.stats();
        CHECK(found.counts.accepted + found.coalesced == 4 * each_thread);
        CHECK(found.counts.accepted == ran);
        CHECK(found.counts.completed == ran);
    };
    hammer({.cores = 2, .workers_per_core = 2}, {.duplicates = duplicates::coalesce});
    hammer({.cores = 2},
           {.sticky = sticky::by_anchor("a", sticky::serial), .duplicates = duplicates::coalesce});
    hammer({.cores = 4, .mailbox_capacity = 16, .in_flight_limit = 20},
           {.sticky = sticky::by_arguments(),
            .in_flight = {.tokens = 10},
            .duplicates = duplicates::coalesce});
    hammer({.cores = 1, .memory_limit = 4000}, {.duplicates = duplicates::coalesce});
}

TEST_CASE("a_value_can_be_called_again_however_its_token_has_ended") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        hold gate;
        const auto op = rt.operation("op", {.run_timeout = 1ms, .duplicates = duplicates::coalesce},
                                     [&](int what) {
                                         if (what == 1) throw std::runtime_error("on purpose");
                                         if (what == 2) gate.pass();
                                     });
        const token<void> failed = op(1);
        REQUIRE(ends(failed));
        CHECK(op(1) != failed);
        const token<void> timed_out = op(2);
        REQUIRE(ends(timed_out));
        // Its callable runs still.
        const token<void> next = op(2);
        CHECK(next != timed_out);
        CHECK(next.kill("a handle of all who have it"));
        CHECK(op(2) != next);
        gate.release();
        settle_locality(rt);
        // Killed for all who have a handle.
        op.pause();
        const token<void> mine = op(3);
        const token<void> yours = op(3);
        CHECK(mine == yours);
        CHECK(mine.kill("enough"));
        CHECK_THROWS_AS(demand(yours), token_killed);
        CHECK(op(3) != mine);
        op.resume();
        settle_locality(rt);
    }
}

TEST_CASE("a_retried_token_stays_the_token_of_its_value") {
    runtime rt({.cores = 1});
    std::atomic<int> attempts{0};
    const auto op = rt.operation("op",
                                 {.retry = {.attempts = 2, .initial_delay = 1h, .max_delay = 1h},
                                  .duplicates = duplicates::coalesce},
                                 [&](int) {
                                     ++attempts;
                                     throw std::runtime_error("again");
                                 });
    const token<void> t = op(1);
    REQUIRE(eventually([&] { return t.attempts() == 1 && t.state() == token_state::waiting; }));
    CHECK(op(1) == t);
    CHECK(t.kill());
    CHECK(op(1) != t);
    CHECK(op.cancel() <= 1);
    CHECK_FALSE(rt.stop(0ms).stragglers.size() > 1);
    check_ledger(rt);
}

TEST_CASE("arguments_are_gone_with_the_token_and_a_call_that_joins_another_leaves_nothing_behind") {
    runtime rt({.cores = 1, .memory_limit = 1'000'000});
    hold gate;
    const auto shared = std::make_shared<int>(0);
    const auto op = rt.operation("op",
                                 {.in_flight = {.tokens = 2, .policy = when_full::refuse},
                                  .rate = {.per_second = 0.0001, .burst = 2},
                                  .duplicates = duplicates::coalesce},
                                 [&](const std::shared_ptr<int>&) { gate.pass(); });
    {
        const token<void> t = op(shared);
        for (int i = 0; i < 20; ++i) CHECK(op(shared) == t);
        gate.release();
        REQUIRE(ends(t));
        CHECK(shared.use_count() == 1);
    }
    CHECK(ends(op(shared)));
    settle_locality(rt);
    CHECK(shared.use_count() == 1);
    CHECK(rt.stats().memory_bytes == 0);
    CHECK(op.stats().counts.accepted == 2);
}

TEST_CASE("a_comparison_that_throws_makes_the_call_throw_and_nothing_else") {
    runtime rt({.cores = 1, .memory_limit = 1'000'000});
    hold gate;
    const auto op = rt.operation("op", {.duplicates = duplicates::coalesce},
                                 [&](const unlucky&) { gate.pass(); });
    const token<void> t = op(unlucky{13});
    for (int i = 0; i < 10; ++i) CHECK_THROWS_AS(op(unlucky{13}), std::runtime_error);
    const token<void> u = op(unlucky{14});
    CHECK(op(unlucky{14}) == u);
    gate.release();
    settle_locality(rt);
    CHECK(op.stats().counts.accepted == 2);
    CHECK(rt.stats().memory_bytes == 0);
}

TEST_CASE("an_operation_whose_arguments_cannot_be_compared_cannot_be_declared_so") {
    runtime rt({.cores = 1});
    const auto refused = [&](auto callable) {
        try {
            static_cast<void>(rt.operation("op", {.duplicates = duplicates::coalesce}, callable));
        } catch (const operation_error& why) {
            return std::string(why.what()).find("cannot be compared") != std::string::npos;
        }
        return false;
    };
    CHECK(refused([](const no_equality&) {}));
    CHECK(refused([](std::unique_ptr<int>) {}));
    CHECK(refused([](const std::vector<no_equality>&) {}));
    const auto generic = rt.operation("generic", coalescing, [](const auto&) {});
    CHECK_THROWS_AS(generic(no_equality{}), operation_error);
    CHECK(ends(generic(1)));
    settle(rt);
}

TEST_CASE("generic_operations_operations_without_arguments_and_bulks_coalesce_too") {
    runtime rt({.cores = 1});
    hold gate;
    std::atomic<int> ran{0};
    const auto busy = rt.operation("busy", [&] { gate.pass(); });
    busy();
    REQUIRE(gate.await(1));
    const auto generic = rt.operation("generic", coalescing, [&](const auto& what) {
        ++ran;
        return what;
    });
    const auto nothing = rt.operation("nothing", coalescing, [&] { return ++ran; });
    const auto numbers_of = rt.operation("numbers", coalescing, [&](int i) {
        ++ran;
        return i;
    });
    const token<int> one = generic(1);
    CHECK(generic(1) == one);
    const auto text = generic(std::string("1"));
    const auto wide = generic(1L);
    CHECK(wide.id() != one.id());  // another type
    const token<int> first = nothing();
    CHECK(nothing() == first);
    const auto all = numbers_of.bulk(std::vector<int>{1, 2, 1, 2, 3});
    gate.release();
    CHECK(result_of(text) == "1");
    CHECK(result_of(wide) == 1);
    CHECK(all.get() == std::vector<int>{1, 2, 1, 2, 3});
    CHECK(result_of(first) > 0);
    settle_locality(rt);
    CHECK(ran == 3 + 1 + 3);
}

TEST_CASE("a_token_that_calls_itself_gets_itself") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores});
        std::optional<operation<bool(int)>> self;
        self = rt.operation("self", {.duplicates = duplicates::coalesce}, [&](int n) {
            const token<bool> t = (*self)(n);
            CHECK_THROWS_AS(demand(t), deadlock);
            return true;
        });
        for (int i = 0; i < 10; ++i) CHECK(result_of((*self)(i)));
        settle_locality(rt);
        CHECK((*self).stats().counts.accepted == 10);
        CHECK((*self).stats().coalesced == 10);
    }
}

}  // namespace tokengate::test
