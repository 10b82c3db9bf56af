// SPDX-License-Identifier: Apache-2.0
// Where tokens go that a token creates.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// Occupies all workers but one.
void occupy(const operation<void()>& held, hold& gate, int count) {
    for (int i = 0; i < count; ++i) held();
    REQUIRE(gate.await(static_cast<std::size_t>(count)));
}

}  // namespace

TEST_CASE("what_a_token_creates_inside_its_range_stays_on_its_worker_and_has_no_position") {
    for (const int cores : {1, 2, 4, 8}) {
        runtime rt({.cores = cores, .first_core = {.heavy = 0, .medium = 0, .light = 0}});
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto child = rt.operation("child", [] { return here(); });
        const auto parent = rt.operation("parent", [&] {
            int elsewhere = 0;
            std::vector<token<unsigned>> made;
            for (int i = 0; i < 50; ++i) made.push_back(child());
            for (const auto& each : made) {
                elsewhere += each.position() || each.domain() != here() ? 1 : 0;
            }
            for (const auto& each : made) elsewhere += each.get() != here() ? 1 : 0;
            return elsewhere;
        });
        occupy(held, gate, cores - 1);
        CHECK(result_of(parent()) == 0);
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("staggered_tokens_and_those_of_other_ranges_are_placed_by_position") {
    for (const int cores : {4, 8}) {
        runtime rt({.cores = cores, .steal = stealing::strict});
        const auto staggered =
            rt.operation("staggered", {.placement = placement::staggered}, [] {});
        const auto light = rt.operation("light", {.weight = weight::light}, [] {});
        const auto inside = rt.operation("inside", {.weight = weight::heavy}, [] {});
        // In domain 0, or in whatever domain takes it.
        const auto parent = rt.operation("parent", {.weight = weight::heavy}, [&] {
            bool right = true;
            for (int i = 0; i < 20; ++i) {
                right = right && staggered().position().has_value();
                right = right && light().position().has_value() == (here() < 2);
                right = right && !inside().position().has_value();
            }
            return right;
        });
        for (int i = 0; i < 20; ++i) CHECK(result_of(parent()));
        settle_locality(rt);
    }
}

TEST_CASE("a_worker_below_a_range_runs_what_it_has_created_there_when_its_domain_has_nothing") {
    runtime rt({.cores = 2, .steal = stealing::soft});
    hold low;
    hold high;
    hold root;
    std::mutex lock;
    std::vector<bool> children;  // in the order of their turns: is it a child, or a heavy token?
    const auto note = [&](bool child) {
        const std::scoped_lock guard(lock);
        children.push_back(child);
    };
    const auto held =
        rt.operation("held", {.weight = weight::heavy}, [&] { (here() == 0 ? low : high).pass(); });
    const auto child = rt.operation("child", [&] { note(true); });
    const auto noted = rt.operation("noted", {.weight = weight::heavy}, [&] { note(false); });
    const auto parent = rt.operation("parent", {.weight = weight::heavy}, [&] {
        bool right = here() == 0;
        for (int i = 0; i < 10; ++i) {
            const token<void> made = child();
            // Placed in the range of its class, and out of the order of positions.
            right = right && made.domain() == 1 && !made.position();
        }
        root.pass();
        return right;
    });
    // Domain 1 stays occupied.
    held();
    held();
    REQUIRE(low.await(1));
    REQUIRE(high.await(1));
    low.release();
    const token<bool> made = parent();
    REQUIRE(root.await(1));
    std::size_t of_domain_0 = 0;
    for (int i = 0; i < 8; ++i) of_domain_0 += noted().domain() == 0 ? 1U : 0U;
    REQUIRE(of_domain_0 > 0);
    root.release();
    CHECK(result_of(made));
    CHECK(eventually([&] { return rt.stats().total().completed == 1 + 1 + 10 + 8; }));
    for (std::size_t i = 0; i < of_domain_0; ++i) CHECK_FALSE(children[i]);
    high.release();
    settle_locality(rt);
}

TEST_CASE("idle_workers_take_what_a_busy_one_has_created") {
    for (const std::chrono::microseconds spin : {0us, 20us}) {
        for (const int cores : {2, 4, 8}) {
            runtime rt({.cores = cores, .spin_time = spin, .steal = stealing::soft});
            hold gate;
            const auto child = rt.operation("child", [&] { gate.pass(); });
            // It does not help: each child needs a worker of its own.
            const auto parent = rt.operation("parent", [&] {
                for (int i = 0; i < cores - 1; ++i) child();
                return gate.await(static_cast<std::size_t>(cores) - 1);
            });
            CHECK(result_of(parent()));
            gate.release();
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_deque_that_is_full_sends_tokens_to_the_mailboxes") {
    for_each_shape([](config shape) {
        shape.deque_capacity = 2;
        runtime rt(shape);
        std::atomic<int> ran{0};
        std::atomic<int> by_position{0};
        const auto child = rt.operation("child", {.weight = weight::heavy}, [&] { ++ran; });
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_anchor("key")}, [&] { ++ran; });
        const auto parent = rt.operation("parent", {.weight = weight::heavy}, [&] {
            for (int i = 0; i < 100; ++i) {
                by_position += child().position() ? 1 : 0;
                keyed();
            }
        });
        parent();
        settle_locality(rt);
        CHECK(ran == 200);
        // A single worker takes nothing out of its deque meanwhile.
        if (*shape.cores == 1 && *shape.workers_per_core == 1) CHECK(by_position == 98);
    });
}

TEST_CASE("tokens_that_create_more_than_the_limits_allow_go_on") {
    for (const std::int64_t limit : {1, 2, 7}) {
        for_each_shape([&](config shape) {
            if (*shape.cores > 8) return;
            shape.deque_capacity = 4;
            shape.in_flight_limit = limit;
            shape.mailbox_capacity = limit;
            runtime rt(shape);
            std::atomic<int> ran{0};
            std::optional<operation<void(int)>> op;
            const auto keyed =
                rt.operation("keyed", {.sticky = sticky::by_arguments()}, [&](int) { ++ran; });
            op = rt.operation("op", {.weight = weight::heavy}, [&](int depth) {
                ++ran;
                if (depth == 0) return;
                for (int i = 0; i < 4; ++i) {
                    (*op)(depth - 1);
                    keyed(i);
                }
            });
            for (int i = 0; i < 3; ++i) (*op)(3);
            settle_locality(rt);
            CHECK(ran == 3 * (1 + 2 * 4 + 2 * 16 + 2 * 64 - 0));
        });
    }
}

TEST_CASE("a_worker_at_the_limit_can_be_refused") {
    runtime rt({.cores = 1, .in_flight_limit = 3});
    std::atomic<int> ran{0};
    const auto child = rt.operation("child", [&] { ++ran; });
    const auto parent = rt.operation("parent", [&] {
        int accepted = 0;
        while (child.try_call()) ++accepted;
        return accepted;
    });
    for (int round = 1; round <= 10; ++round) {
        CHECK(result_of(parent()) == 2);
        settle_locality(rt);
        CHECK(ran == 2 * round);
        CHECK(rt.stats().total().refused == static_cast<std::uint64_t>(round));
    }
}

TEST_CASE("what_is_left_in_a_deque_when_its_worker_blocks_is_run_by_others") {
    // The children are free in the first case, anchored in the second one, whose domain has one
    // worker only.
    for (const bool led : {false, true}) {
        for (const int cores : {2, 4}) {
            runtime rt({.cores = cores, .steal = stealing::soft});
            std::atomic<int> ran{0};
            const auto child = rt.operation("child", [&] { ++ran; });
            operation_traits traits{.weight = weight::heavy};
            if (led) traits.external_calls = {"child"};
            const auto parent = rt.operation("parent", traits, [&] {
                for (int i = 0; i < 20; ++i) child();
                return blocking([&] { return eventually([&] { return ran == 20; }); });
            });
            CHECK(result_of(parent()));
            settle_locality(rt);
        }
    }
}

}  // namespace tokengate::test
