// SPDX-License-Identifier: Apache-2.0
// pause() and resume(): what is paused waits in order, aside, and nobody else notices.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// What ran, in the order in which it began.
class record {
  public:
    void add(std::size_t what) {
        const std::scoped_lock guard(lock_);
        seen_.push_back(what);
    }
    [[nodiscard]] std::vector<std::size_t> seen() {
        const std::scoped_lock guard(lock_);
        return seen_;
    }

  private:
    std::mutex lock_;
    std::vector<std::size_t> seen_;
};

}  // namespace

TEST_CASE("a_paused_operation_begins_nothing_and_others_do_not_notice") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        std::atomic<int> ran{0};
        const auto paused = rt.operation("paused", [&] { ++ran; });
        const auto other = rt.operation("other", [](int i) { return i + 1; });
        paused.pause();
        paused.pause();
        CHECK(paused.paused());
        std::vector<token<void>> waiting;
        for (int i = 0; i < 200; ++i) {
            waiting.push_back(paused());
            CHECK(result_of(other(i)) == i + 1);
        }
        CHECK(ran == 0);
        for (const auto& each : waiting) CHECK_FALSE(each.done());
        CHECK_FALSE(waiting.front().wait_for(1ms));
        paused.resume();
        CHECK_FALSE(paused.paused());
        for (const auto& each : waiting) REQUIRE(ends(each));
        paused.resume();
        settle_locality(rt);
        CHECK(ran == 200);
    }
}

TEST_CASE("paused_tokens_wait_in_order_and_later_ones_behind_them") {
    runtime rt({.cores = 1});
    for (const bool anchored : {false, true}) {
        INFO("anchored ", anchored);
        hold gate;
        record began;
        const auto held = rt.operation(anchored ? "held 1" : "held 0", [&] { gate.pass(); });
        const auto op =
            rt.operation(anchored ? "op 1" : "op 0",
                         {.sticky = anchored ? sticky(sticky::by_anchor("a")) : sticky()},
                         [&](std::size_t i) { began.add(i); });
        held();
        REQUIRE(gate.await(1));
        std::size_t made = 0;
        for (; made < 50; ++made) op(made);  // these wait in their lane when the pause comes
        op.pause();
        for (; made < 100; ++made) op(made);
        gate.release();
        REQUIRE(eventually([&] { return rt.stats().total().in_flight() == 100; }));
        CHECK(began.seen().empty());
        op.resume();
        for (; made < 300; ++made) {
            // Paused again while what waited runs.
            if (made % 20 == 0) op.pause();
            if (made % 20 == 5) op.resume();
            op(made);
        }
        op.resume();
        settle_locality(rt);
        const std::vector<std::size_t> order = began.seen();
        REQUIRE(order.size() == made);
        for (std::size_t i = 0; i < made; ++i) REQUIRE(order[i] == i);
    }
}

TEST_CASE("a_paused_operation_never_blocks_another") {
    runtime rt({.cores = 2, .mailbox_capacity = 16, .in_flight_limit = 32});
    std::atomic<int> ran{0};
    const auto paused = rt.operation("paused", [&] { ++ran; });
    const auto other = rt.operation("other", [] { return 1; });
    paused.pause();
    int accepted = 0;
    // Until as many wait aside as the runtime lets in.
    const bool refused = eventually([&] {
        if (!paused.try_call()) return rt.stats().total().in_flight() >= 32;
        ++accepted;
        return false;
    });
    CHECK(refused);
    CHECK(accepted >= 32);
    CHECK(accepted <= 32 + 32);
    for (int i = 0; i < 100; ++i) CHECK(result_of(other()) == 1);
    std::atomic<bool> through{false};
    std::thread caller([&] {
        paused();
        through = true;
    });
    CHECK(result_of(other()) == 1);
    paused.resume();
    caller.join();
    CHECK(through);
    settle_locality(rt);
    CHECK(ran == accepted + 1);
    // All credits have come back.
    for (int i = 0; i < 32; ++i) REQUIRE(eventually([&] { return other.try_call().has_value(); }));
    settle_locality(rt);
}

TEST_CASE("paused_tokens_keep_their_keys_turns_and_chains") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        std::atomic<int> inside{0};
        std::atomic<int> together{0};
        std::atomic<int> ran{0};
        const auto alone =
            rt.operation("alone", {.sticky = sticky::by_anchor("a", sticky::serial)}, [&](int) {
                if (++inside != 1) ++together;
                --inside;
                ++ran;
            });
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_arguments()}, [&](int) { ++ran; });
        const auto child = rt.operation("child", [&] { ++ran; });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            for (int i = 0; i < 3; ++i) child();
            ++ran;
        });
        for (const auto& each : {0, 1, 2, 3}) {
            alone.pause();
            keyed.pause();
            child.pause();
            std::vector<token<void>> made;
            for (int i = 0; i < 30; ++i) {
                made.push_back(alone(i));
                made.push_back(keyed(i % 3));
                if (i % 10 == 0) made.push_back(lead());
            }
            if (each == 1) CHECK(made[0].kill("not this one"));
            if (each == 2) CHECK(made[3].kill());
            alone.resume();
            keyed.resume();
            child.resume();
            settle_locality(rt);
        }
        CHECK(together == 0);
        CHECK(ran == 4 * (60 + 3 * 4) - 2);
    }
}

TEST_CASE("a_paused_token_can_be_killed_and_gives_back_what_it_held") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        std::atomic<int> ran{0};
        const auto shared = std::make_shared<int>(0);
        const auto op = rt.operation("op", [&](const std::shared_ptr<int>&) { ++ran; });
        const auto alone = rt.operation("alone", {.sticky = sticky::by_anchor("a", sticky::serial)},
                                        [&](const std::shared_ptr<int>&) { ++ran; });
        op.pause();
        alone.pause();
        std::vector<token<void>> made;
        for (int i = 0; i < 200; ++i) made.push_back(i % 2 == 0 ? op(shared) : alone(shared));
        for (std::size_t i = 0; i < made.size(); ++i) {
            if (i % 3 == 0) continue;
            CHECK(made[i].kill("enough"));
            CHECK_THROWS_AS(demand(made[i]), token_killed);
        }
        CHECK(shared.use_count() == 1 + 67);
        op.resume();
        alone.resume();
        settle_locality(rt);
        CHECK(ran == 67);
        CHECK(rt.stats().total().killed == 133);
        CHECK(shared.use_count() == 1);
    }
}

TEST_CASE("a_bulk_of_a_paused_operation_waits_too") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        std::atomic<int> ran{0};
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto op = rt.operation("op", [&](int i) {
            ++ran;
            return i;
        });
        const auto all = static_cast<std::size_t>(*shape.cores * *shape.workers_per_core);
        for (std::size_t i = 0; i < all; ++i) held();
        REQUIRE(gate.await(all));
        const auto before = op.bulk(numbers(0, 1000));  // its shares lie in lanes
        op.pause();
        const auto after = op.bulk(numbers(0, 100));
        gate.release();
        REQUIRE(rt.wait_idle_for(0ms) == false);
        CHECK(ran == 0);
        op.resume();
        REQUIRE(ends(before));
        REQUIRE(ends(after));
        settle_locality(rt);
        CHECK(ran == 1100);
    });
}

TEST_CASE("a_pause_of_the_runtime_holds_for_operations_declared_later_too") {
    runtime rt({.cores = 2});
    std::atomic<int> ran{0};
    const auto early = rt.operation("early", [&] { ++ran; });
    rt.pause();
    const auto late = rt.operation("late", [&] { ++ran; });
    CHECK(early.paused());
    CHECK(late.paused());
    early();
    const token<void> last = late();
    CHECK_FALSE(last.wait_for(1ms));
    CHECK(ran == 0);
    rt.resume();
    REQUIRE(ends(last));
    settle_locality(rt);
    CHECK(ran == 2);
    CHECK_FALSE(rt.operation("third", [] {}).paused());
}

TEST_CASE("stop_ends_every_pause_and_the_runtime_starts_without_one") {
    runtime rt({.cores = 2});
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", [&] { ++ran; });
    op.pause();
    for (int i = 0; i < 100; ++i) op();
    CHECK(rt.stop().drained);
    CHECK(ran == 100);
    op.pause();  // no effect: it has stopped
    rt.start();
    CHECK_FALSE(op.paused());
    REQUIRE(ends(op()));
    rt.pause();
    for (int i = 0; i < 100; ++i) op();
    const stop_report report = rt.stop(0ms);
    check_ledger(rt);
    CHECK(report.killed + static_cast<std::uint64_t>(ran) == 201);
}

TEST_CASE("a_worker_that_waits_for_a_paused_token_goes_on_when_that_does") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores});
        hold gate;
        const auto inner = rt.operation("inner", [](int i) { return 2 * i; });
        const auto outer = rt.operation("outer", [&](bool alone) {
            const token<int> t = inner(21);
            gate.pass();
            return alone ? t.get(isolated) : t.get();
        });
        for (const bool alone : {false, true}) {
            inner.pause();
            const token<int> t = outer(alone);
            REQUIRE(gate.await(1));
            gate.release();
            CHECK_FALSE(t.wait_for(1ms));
            inner.resume();
            CHECK(result_of(t) == 42);
        }
        settle_locality(rt);
    }
}

TEST_CASE("what_is_left_in_a_lane_of_a_token_that_has_ended_does_not_touch_its_result") {
    runtime rt({.cores = 1});
    const auto inner = rt.operation("inner", {.placement = placement::staggered},
                                    [](std::uint64_t i) { return i; });
    const auto other = rt.operation("other", [] {});
    std::vector<token<std::uint64_t>> kept;
    const auto outer = rt.operation("outer", [&] {
        for (std::uint64_t i = 1; i <= 10; ++i) {
            kept.push_back(inner(i));
            kept.back().wait();  // runs it here; its entry stays behind in the lane
        }
        inner.pause();
    });
    REQUIRE(ends(outer()));
    REQUIRE(ends(other()));
    REQUIRE(eventually([&] { return rt.stats().domains[0].queued == 0; }));
    for (std::uint64_t i = 1; i <= 10; ++i) CHECK(kept[i - 1].get() == i);
    inner.resume();
    settle_locality(rt);
}

TEST_CASE("a_token_may_pause_and_resume_operations_its_own_too") {
    runtime rt({.cores = 2});
    std::atomic<int> ran{0};
    std::optional<operation<void()>> self;
    self = rt.operation("self", [&] {
        self->pause();
        ++ran;
    });
    const auto opener = rt.operation("opener", [&] { self->resume(); });
    for (int i = 0; i < 100; ++i) (*self)();
    while (ran < 100) REQUIRE(ends(opener()));
    self->resume();
    settle_locality(rt);
    CHECK(ran == 100);
}

TEST_CASE("whatever_is_paused_and_killed_at_random_the_books_balance_and_nothing_stays_behind") {
    seeded random;
    for (const int cores : {1, 2, 4, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .mailbox_capacity = 64, .in_flight_limit = 256});
        std::atomic<std::uint64_t> ran{0};
        const auto body = [&](std::uint64_t i) {
            ++ran;
            if (i % 7 == 0) throw std::runtime_error("on purpose");
        };
        std::vector<operation<void(std::uint64_t)>> ops;
        ops.push_back(rt.operation("free", body));
        ops.push_back(rt.operation("heavy", {.weight = weight::heavy}, body));
        ops.push_back(rt.operation("keyed", {.sticky = sticky::by_arguments()}, body));
        ops.push_back(
            rt.operation("serial", {.sticky = sticky::by_anchor("s", sticky::serial)}, body));
        const auto lead = rt.operation("lead", {.external_calls = {"free"}}, [&](std::uint64_t i) {
            for (const auto& each : ops) each.post(i);
        });
        std::atomic<bool> over{false};
        std::thread controller([&, mine = seeded(random, 99)]() mutable {
            while (!over) {
                const auto& op = ops[mine.below(ops.size())];
                switch (mine.below(6)) {
                    case 0: op.pause(); break;
                    case 1: op.cancel("at random"); break;
                    case 2:
                        if (mine.one_in(4)) op.kill("at random");
                        break;
                    case 3:
                        if (mine.one_in(4)) rt.pause();
                        break;
                    case 4: rt.resume(); break;
                    default: op.resume(); break;
                }
                std::this_thread::yield();
            }
            rt.resume();
        });
        std::vector<std::thread> callers;
        for (std::uint64_t c = 0; c < 2; ++c) {
            callers.emplace_back([&, mine = seeded(random, c)]() mutable {
                std::vector<token<void>> kept;
                for (std::size_t i = 0; i < scaled(4000); ++i) {
                    if (mine.one_in(50)) {
                        lead.post(i);
                        continue;
                    }
                    const auto& op = ops[mine.below(ops.size())];
                    if (mine.one_in(100)) {
                        op.bulk(numbers(std::uint64_t{0}, mine.below(40)));
                    } else if (mine.one_in(2)) {
                        op.post(i);
                    } else {
                        kept.push_back(op(i));
                    }
                    if (kept.size() > 30) {
                        static_cast<void>(kept[mine.below(kept.size())].kill());
                        kept.clear();
                    }
                }
            });
        }
        for (std::thread& each : callers) each.join();
        over = true;
        controller.join();
        settle_locality(rt);
        CHECK(ran <= executed_in(rt.stats()));  // leads ran, too
    }
}

}  // namespace tokengate::test
