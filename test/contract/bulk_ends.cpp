// SPDX-License-Identifier: Apache-2.0
// How bulks end that do not simply run: killed, stopped, dropped.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// Whether it was killed for this reason.
bool killed_by(const bulk<void>& which, const std::string& reason) {
    try {
        which.get();
    } catch (const token_killed& why) {
        return std::string(why.what()).find(reason) != std::string::npos;
    }
    return false;
}

}  // namespace

TEST_CASE("a_bulk_killed_before_it_begins_never_runs") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        const auto places = static_cast<std::size_t>(*shape.cores * *shape.workers_per_core);
        hold gate;
        std::atomic<int> ran{0};
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto shared = std::make_shared<int>(0);
        const auto op = rt.operation("op", [&](const std::shared_ptr<int>&) { ++ran; });
        for (std::size_t i = 0; i < places; ++i) held();
        REQUIRE(gate.await(places));
        const auto made = op.bulk(std::vector(1000, shared));
        CHECK(shared.use_count() == 1001);
        CHECK(made.state(500) == token_state::admitted);
        CHECK(made.kill());
        CHECK_FALSE(made.kill());
        // Its arguments are gone at once.
        CHECK(shared.use_count() == 1);
        CHECK(made.done());
        CHECK(made.state(500) == token_state::killed);
        CHECK_THROWS_AS(made.get(), token_killed);
        CHECK(made.failures().empty());
        gate.release();
        settle(rt);
        CHECK(ran == 0);
        CHECK(rt.stats().total().killed == 1000);
    });
}

TEST_CASE("a_bulk_killed_while_it_runs_is_over_at_once_and_what_has_not_begun_never_runs") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        std::atomic<std::size_t> ran{0};
        const auto shared = std::make_shared<int>(0);
        const auto op = rt.operation("op", [&](std::size_t i, const std::shared_ptr<int>& p) {
            ++ran;
            gate.pass();
            if (i % 2 == 0) throw std::runtime_error("late");
            return p;
        });
        std::vector<std::tuple<std::size_t, std::shared_ptr<int>>> given;
        for (std::size_t i = 0; i < 30'000; ++i) given.emplace_back(i, shared);
        std::size_t begun = 0;
        {
            const auto made = op.bulk(std::move(given));
            REQUIRE(gate.await(1));
            CHECK(made.kill());
            CHECK(made.done());
            CHECK_THROWS_AS(made.get(), token_killed);
            CHECK(made.failures().empty());
            // Those that execute are killed, too: nothing of it is in flight any more.
            REQUIRE(rt.wait_idle_for(hang_limit));
            CHECK(rt.stats().total().killed == 30'000);
            begun = ran;
            gate.release();
            rt.stop();
            CHECK(ran == begun);
            CHECK(begun <= static_cast<std::size_t>(*shape.cores * *shape.workers_per_core));
        }
        CHECK(shared.use_count() == 1);
        check_ledger(rt);
        CHECK(rt.stats().total().completed == 0);
        CHECK(executed_in(rt.stats()) == begun);
    });
}

TEST_CASE("of_several_threads_that_kill_a_running_bulk_each_token_is_counted_once") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&](int i) {
            ++ran;
            return std::make_shared<int>(i);
        });
        std::uint64_t all = 0;
        for (std::size_t round = 0; round < scaled(100); ++round) {
            const int count = 1 + static_cast<int>(round) * 37 % 5000;
            const auto made = op.bulk(numbers<int>(0, count));
            std::vector<std::thread> crowd;
            for (int t = 0; t < 2; ++t) crowd.emplace_back([&] { made.kill(); });
            made.wait();
            for (std::thread& each : crowd) each.join();
            all += static_cast<std::uint64_t>(count);
            REQUIRE(rt.wait_idle_for(hang_limit));
            const token_counts seen = rt.stats().total();
            REQUIRE(seen.accepted == all);
            REQUIRE(seen.completed + seen.killed == all);
        }
        rt.stop();
        check_ledger(rt);
        CHECK(executed_in(rt.stats()) == ran);
    });
}

TEST_CASE("a_stop_with_a_deadline_kills_each_token_of_a_bulk_once_and_names_the_straggler") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        std::atomic<std::size_t> ran{0};
        const auto op = rt.operation("op", [&](std::size_t) {
            // The second one of a stretch, mostly.
            if (++ran >= 2) gate.pass();
        });
        const auto made = op.bulk(numbers<std::size_t>(0, 30'000));
        REQUIRE(gate.await(1));
        const stop_report report = rt.stop(0ms);
        CHECK_FALSE(report.drained);
        REQUIRE(!report.stragglers.empty());
        for (const straggler& each : report.stragglers) {
            CHECK(each.operation == "op");
            CHECK(each.id >= made.id());
            CHECK(each.id < made.id() + 30'000);
        }
        CHECK(made.done());
        CHECK_THROWS_AS(made.get(), token_killed);
        check_ledger(rt);
        CHECK(report.killed == rt.stats().total().killed);
        gate.release();
        rt.stop();
        check_ledger(rt);
        CHECK(executed_in(rt.stats()) == ran);
        rt.start();
        CHECK(
            rt.operation("again", [](int i) { return i; }).bulk(numbers<int>(0, 10)).get().size() ==
            10);
    });
}

TEST_CASE("a_bulk_that_waits_for_room_when_the_runtime_stops_throws_and_what_is_in_ends") {
    runtime rt({.cores = 2, .in_flight_limit = 3});
    hold gate;
    std::atomic<int> ran{0};
    const auto shared = std::make_shared<int>(0);
    const auto op = rt.operation("op", [&](const std::shared_ptr<int>&) {
        ++ran;
        gate.pass();
    });
    std::atomic<bool> thrown{false};
    std::thread submitter([&] {
        try {
            op.bulk(std::vector(100, shared));
        } catch (const runtime_stopped&) {
            thrown = true;
        }
    });
    CHECK(eventually([&] { return rt.stats().total().accepted == 3; }));
    REQUIRE(gate.await(1));
    std::thread stopper([&] { rt.stop(); });
    submitter.join();
    CHECK(thrown);
    gate.release();
    stopper.join();
    CHECK(ran == 3);
    CHECK(shared.use_count() == 1);
    check_ledger(rt);
}

TEST_CASE("a_wait_for_a_bulk_with_a_deadline_ends_on_a_worker_too") {
    for (const int cores : {1, 2}) {
        runtime rt({.cores = cores});
        const auto quick = rt.operation("quick", [](int i) { return i; });
        const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
            const auto all = quick.bulk(numbers(0, 1000));
            while (!all.wait_for(1ms)) {}
            return all.done() && all.get()[999] == 999;
        });
        CHECK(result_of(waits()));
        // On a worker that could run all of it, but is late before it begins.
        const auto late = rt.operation("late", {.weight = weight::heavy}, [&] {
            const auto all = quick.bulk(numbers(0, 1000));
            static_cast<void>(all.wait_until(std::chrono::steady_clock::time_point{}));
            return all.wait_for(hang_limit);
        });
        CHECK(result_of(late()));
        settle(rt);
        // From outside: while one of them is held.
        hold other;
        const auto stays = rt.operation("stays", [&](int) { other.pass(); });
        const auto made = stays.bulk(numbers(0, 10));
        CHECK_FALSE(made.wait_for(1ms));
        CHECK_FALSE(made.done());
        other.release();
        REQUIRE(ends(made));
        settle(rt);
    }
}

TEST_CASE("a_bulk_whose_handle_is_dropped_runs_all_the_same_and_one_may_outlive_its_runtime") {
    std::atomic<int> ran{0};
    bulk<int> kept;
    {
        runtime rt({.cores = 2});
        const auto op = rt.operation("op", [&](int i) {
            ++ran;
            return i;
        });
        static_cast<void>(op.bulk(numbers<int>(0, 1000)));
        kept = op.bulk(numbers<int>(0, 1000));
    }
    CHECK(ran == 2000);
    CHECK(kept.get()[999] == 999);
    CHECK_FALSE(kept.kill());
}

TEST_CASE("a_bulk_that_is_awaited_dies_with_its_operation") {
    constexpr std::size_t count = 1000;
    for (const bool executing : {false, true}) {
        for (const bool alone : {false, true}) {
            INFO("by ", std::string(executing ? "kill()" : "cancel()"),
                 std::string(alone ? ", isolated" : ""));
            runtime rt({.cores = 1});
            std::atomic<std::size_t> ran{0};
            std::optional<operation<void(std::size_t)>> op;
            op = rt.operation("op", [&](std::size_t i) {
                if (i == 0) {
                    static_cast<void>(executing ? op->kill("enough") : op->cancel("enough"));
                }
                ++ran;
            });
            const auto parent = rt.operation("parent", [&] {
                const bulk<void> all = op->bulk(numbers(std::size_t{0}, count));
                if (alone) {
                    all.wait(isolated);
                } else {
                    all.wait();
                }
                CHECK(killed_by(all, "enough"));
            });
            REQUIRE(ends(parent()));
            settle_locality(rt);
            // Of the stretch that had been taken out before.
            CHECK(ran <= 64);
            const token_counts counts = rt.stats().total();
            CHECK(counts.killed >= count - 64);
            CHECK(counts.killed + counts.completed == count + 1);
        }
    }
}

TEST_CASE("a_bulk_without_room_obeys_what_its_operation_is_told_meanwhile") {
    // Called in a token beyond all limits: what finds no room is run by who calls.
    constexpr std::size_t count = 100;
    for (const bool pauses : {true, false}) {
        INFO(std::string(pauses ? "pause()" : "cancel()"));
        runtime rt({.cores = 1, .in_flight_limit = 1});
        std::atomic<std::size_t> ran{0};
        std::optional<operation<void(std::size_t)>> op;
        op = rt.operation("op", [&](std::size_t i) {
            if (i == 0) {
                if (pauses) {
                    op->pause();
                } else {
                    op->cancel("enough");
                }
            }
            ++ran;
        });
        std::optional<bulk<void>> all;
        const auto parent =
            rt.operation("parent", [&] { all = op->bulk(numbers(std::size_t{0}, count)); });
        REQUIRE(ends(parent()));
        // Those that had room run when a worker comes to them.
        CHECK(ran <= 2);
        if (pauses) {
            CHECK_FALSE(all->wait_for(20ms));
            CHECK(ran <= 2);
            op->resume();
            all->get();
            CHECK(ran == count);
        } else {
            CHECK_THROWS_AS(all->get(), token_killed);
            CHECK(ran <= 2);
        }
        settle_locality(rt);
        if (!pauses) CHECK(rt.stats().total().killed >= count - 2);
    }
}

TEST_CASE("elements_that_have_not_begun_know_why_their_operation_was_killed") {
    for (const bool is_aside : {false, true}) {
        for (const bool executing : {false, true}) {
            INFO(std::string(is_aside ? "set aside, " : "in lanes, "),
                 std::string(executing ? "kill()" : "cancel()"));
            runtime rt({.cores = 1});
            hold gate;
            const auto busy = rt.operation("busy", [&] { gate.pass(); });
            const auto op = rt.operation("op", [](std::size_t) {});
            busy();
            REQUIRE(gate.await(1));
            // The other way round they would be single tokens.
            const bulk<void> all = op.bulk(numbers<std::size_t>(0, 200));
            if (is_aside) op.pause();
            if (is_aside) {
                gate.release();
                REQUIRE(eventually([&] { return op.stats().set_aside != 0; }));
            }
            static_cast<void>(executing ? op.kill("enough") : op.cancel("enough"));
            gate.release();
            CHECK(killed_by(all, "enough"));
            op.resume();
            settle_locality(rt);
            CHECK(op.stats().counts.killed == 200);
        }
    }
}

TEST_CASE("a_kill_ends_stretches_that_run_although_the_rest_has_died_before") {
    enum class first { pause, cancel };
    for (const first how : {first::pause, first::cancel}) {
        for (const bool by_operation : {true, false}) {
            INFO(std::string(how == first::pause ? "pause(), " : "cancel(), "),
                 std::string(by_operation ? "kill() of the operation" : "kill() of the bulk"));
            constexpr std::size_t count = 200;
            runtime rt({.cores = 1, .workers_per_core = 2});
            hold inside;
            hold other;
            std::atomic<std::size_t> ran{0};
            const auto busy = rt.operation("busy", [&] { other.pass(); });
            const auto op = rt.operation("op", [&](std::size_t i) {
                if (i == 0) inside.pass();
                ++ran;
            });
            busy();
            REQUIRE(other.await(1));
            const bulk<void> all = op.bulk(numbers<std::size_t>(0, count));
            REQUIRE(inside.await(1));
            if (how == first::pause) {
                op.pause();
            } else {
                op.cancel("enough");
            }
            other.release();
            if (how == first::pause) {
                REQUIRE(eventually([&] { return op.stats().set_aside != 0; }));
            } else {
                REQUIRE(ends(all));
            }
            if (by_operation) {
                CHECK(op.kill("enough") >= 2);
            } else {
                CHECK(all.kill("enough"));
            }
            inside.release();
            REQUIRE(ends(all));
            CHECK(killed_by(all, "enough"));
            if (how == first::pause) op.resume();
            settle_locality(rt);
            // Workers leave when the late one has returned, which nobody waits for.
            CHECK(rt.stop().stragglers.empty());
            CHECK(ran == 1);
            CHECK(op.stats().counts.killed == count);
        }
    }
}

}  // namespace tokengate::test
