// SPDX-License-Identifier: Apache-2.0
// What a runtime counts of each operation.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

namespace {

/// The counts of an operation are these, and none besides.
void check_counts(const operation_stats& seen, const token_counts& expected,
                  std::uint64_t executions) {
    INFO("operation ", std::string(seen.name));
    CHECK(seen.counts.accepted == expected.accepted);
    CHECK(seen.counts.completed == expected.completed);
    CHECK(seen.counts.failed == expected.failed);
    CHECK(seen.counts.killed == expected.killed);
    CHECK(seen.counts.timed_out == expected.timed_out);
    CHECK(seen.counts.refused == expected.refused);
    CHECK(seen.executions == executions);
}

}  // namespace

TEST_CASE("counts_by_operation_add_up_to_those_by_weight") {
    for (const int cores : widths) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            runtime rt({.cores = cores, .workers_per_core = workers});
            const auto fine =
                rt.operation("fine", {.weight = weight::light}, [](int n) { return n; });
            const auto odd = rt.operation("odd", [](int n) {
                if (n % 2 == 1) throw std::runtime_error("odd");
                return n;
            });
            const auto spawns =
                rt.operation("spawns", {.weight = weight::heavy}, [&](int n) { fine.post(n); });
            const auto sticks =
                rt.operation("sticks", {.sticky = sticky::by_arguments()}, [](int n) { return n; });
            const auto idle = rt.operation("idle", {.weight = weight::light}, [] {});
            const int calls = static_cast<int>(scaled(1000));
            constexpr int threads = 3;
            std::vector<std::thread> crowd;
            for (int t = 0; t < threads; ++t) {
                crowd.emplace_back([&] {
                    for (int i = 0; i < calls; ++i) {
                        odd.post(i);
                        spawns.post(i);
                        if (i % 10 == 0) sticks(i % 4);
                    }
                    odd.bulk(numbers<int>(0, calls));
                });
            }
            for (std::thread& each : crowd) each.join();
            settle(rt);
            const auto all = static_cast<std::uint64_t>(threads * calls);
            const std::uint64_t stuck = threads * ((static_cast<std::uint64_t>(calls) + 9) / 10);
            check_counts(fine.stats(), {.accepted = all, .completed = all}, all);
            check_counts(odd.stats(), {.accepted = 2 * all, .completed = all, .failed = all},
                         2 * all);
            check_counts(spawns.stats(), {.accepted = all, .completed = all}, all);
            check_counts(sticks.stats(), {.accepted = stuck, .completed = stuck}, stuck);
            check_counts(idle.stats(), {}, 0);
            const runtime_stats seen = rt.stats();
            CHECK(seen.by_weight[index_of(weight::heavy)].completed == all);
            CHECK(seen.by_weight[index_of(weight::medium)].failed == all);
            CHECK(seen.by_weight[index_of(weight::light)].accepted == all);
            CHECK(executed_in(seen) == 4 * all + stuck);
        }
    }
}

TEST_CASE("operations_are_listed_in_the_order_of_their_declaration_with_name_and_class") {
    runtime rt({.cores = 4});
    CHECK(rt.stats().operations.empty());
    const auto second = [&] {
        static_cast<void>(rt.operation("first", {.weight = weight::light}, [] {}));
        return rt.operation("second", {.weight = weight::heavy}, [](int n) { return n; });
    }();
    CHECK(second(1).get() == 1);
    // A declaration that fails is none.
    CHECK_THROWS_AS(static_cast<void>(rt.operation("first", [] {})), operation_error);
    static_cast<void>(rt.operation("third", [] {}));
    settle(rt);
    const std::vector<operation_stats> listed = rt.stats().operations;
    REQUIRE(listed.size() == 3);
    CHECK(listed[0].name == "first");
    CHECK(listed[0].weight_class == weight::light);
    CHECK(listed[1].name == "second");
    CHECK(listed[1].weight_class == weight::heavy);
    CHECK(listed[2].name == "third");
    CHECK(listed[2].weight_class == weight::medium);
    CHECK(listed[0].counts.accepted == 0);
    check_counts(listed[1], {.accepted = 1, .completed = 1}, 1);
    CHECK(second.stats().name == "second");
    CHECK(second.stats().weight_class == weight::heavy);
}

TEST_CASE("a_refusal_is_counted_for_the_operation_that_was_called") {
    runtime rt({.cores = 1, .in_flight_limit = 1});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto other = rt.operation("other", [] {});
    const token<void> busy = held();
    REQUIRE(gate.await(1));
    for (int i = 0; i < 7; ++i) CHECK_FALSE(other.try_call().has_value());
    for (int i = 0; i < 3; ++i) CHECK_FALSE(held.try_call().has_value());
    CHECK(held.stats().counts.in_flight() == 1);
    CHECK(other.stats().counts.in_flight() == 0);
    gate.release();
    REQUIRE(ends(busy));
    settle(rt);
    check_counts(held.stats(), {.accepted = 1, .completed = 1, .refused = 3}, 1);
    check_counts(other.stats(), {.refused = 7}, 0);
}

TEST_CASE(
    "what_is_killed_before_it_runs_while_it_runs_or_out_of_time_is_counted_for_its_operation") {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto runs = rt.operation("runs", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto slow = rt.operation("slow", {.weight = weight::heavy, .run_timeout = 1ms},
                                       [&] { gate.pass(); });
        const auto waits = rt.operation("waits", {.weight = weight::heavy}, [] {});
        // All workers are busy, one of them with the slow one.
        std::vector<token<void>> busy;
        for (int i = 1; i < cores; ++i) busy.push_back(runs());
        const token<void> late = slow();
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        REQUIRE(ends(late));
        std::vector<token<void>> waiting;
        for (int i = 0; i < 5; ++i) waiting.push_back(waits());
        for (const token<void>& each : waiting) CHECK(each.kill());
        for (const token<void>& each : busy) CHECK(each.kill());
        // Idle, although their callables still run.
        REQUIRE(rt.wait_idle_for(hang_limit));
        const auto others = static_cast<std::uint64_t>(cores - 1);
        CHECK(runs.stats().counts.killed == others);
        CHECK(slow.stats().counts.timed_out == 1);
        gate.release();
        rt.stop();
        check_ledger(rt);
        check_counts(runs.stats(), {.accepted = others, .killed = others}, others);
        check_counts(slow.stats(), {.accepted = 1, .timed_out = 1}, 1);
        check_counts(waits.stats(), {.accepted = 5, .killed = 5}, 0);
    }
}

TEST_CASE("a_stretch_of_a_bulk_that_is_killed_half_way_is_counted_for_its_operation") {
    runtime rt({.cores = 1});
    hold gate;
    const auto other = rt.operation("other", [] {});
    const auto op = rt.operation("op", [&](int i) {
        if (i == 10) gate.pass();
        if (i % 5 == 3) throw std::runtime_error("three");
    });
    other().get();
    // In one stretch with those before it: as long as they can be, since it is one worker's.
    const bulk<void> made = op.bulk(numbers<int>(0, 100'000));
    REQUIRE(gate.await(1));
    CHECK(made.kill());
    REQUIRE(rt.wait_idle_for(hang_limit));
    gate.release();
    rt.stop();
    check_ledger(rt);
    check_counts(op.stats(),
                 {.accepted = 100'000, .completed = 8, .failed = 2, .killed = 100'000 - 10}, 11);
    check_counts(other.stats(), {.accepted = 1, .completed = 1}, 1);
}

TEST_CASE("a_stop_out_of_time_counts_what_it_kills_for_its_operation") {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto runs = rt.operation("runs", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto each = rt.operation("each", {.weight = weight::heavy}, [](int) {});
        const auto bulky = rt.operation("bulky", {.weight = weight::heavy}, [](int) {});
        const auto line =
            rt.operation("line", {.sticky = sticky::by_arguments(sticky::serial)}, [](int) {});
        const auto places = static_cast<std::uint64_t>(cores);
        for (std::uint64_t i = 0; i < places; ++i) runs.post();
        REQUIRE(gate.await(places));
        for (int i = 0; i < 100; ++i) each.post(i);
        for (int i = 0; i < 50; ++i) line.post(i % 3);
        bulky.bulk(numbers<int>(0, 1000));
        const stop_report report = rt.stop(1ns);
        CHECK_FALSE(report.drained);
        CHECK(report.killed == places + 1150);
        gate.release();
        rt.stop();
        check_ledger(rt);
        check_counts(runs.stats(), {.accepted = places, .killed = places}, places);
        check_counts(each.stats(), {.accepted = 100, .killed = 100}, 0);
        check_counts(bulky.stats(), {.accepted = 1000, .killed = 1000}, 0);
        check_counts(line.stats(), {.accepted = 50, .killed = 50}, 0);
    }
}

TEST_CASE("counts_go_on_after_a_new_start_and_those_of_two_runtimes_are_apart") {
    runtime a({.cores = 2});
    runtime b({.cores = 2});
    const auto in_a = a.operation("same", [] {});
    static_cast<void>(b.operation("first", [] {}));
    const auto in_b = b.operation("same", [] {});
    in_a().get();
    for (int i = 0; i < 3; ++i) in_b().get();
    a.stop();
    a.start();
    in_a().get();
    settle(a);
    settle(b);
    check_counts(in_a.stats(), {.accepted = 2, .completed = 2}, 2);
    check_counts(in_b.stats(), {.accepted = 3, .completed = 3}, 3);
}

TEST_CASE("a_runtime_is_idle_only_when_operations_declared_meanwhile_have_finished_too") {
    runtime rt({.cores = 2});
    std::atomic<bool> over{false};
    // Whoever counts is never in step with those who declare.
    std::thread watcher([&] {
        while (!over.load()) {
            CHECK(rt.wait_idle_for(hang_limit));
            for (const operation_stats& each : rt.stats().operations) {
                CHECK(each.counts.in_flight() <= each.counts.accepted);
            }
        }
    });
    std::vector<std::thread> crowd;
    for (int t = 0; t < 3; ++t) {
        crowd.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i) {
                const auto op = rt.operation(std::to_string(t) + " " + std::to_string(i), [] {});
                const token<void> made = op();
                op.post();
                CHECK(rt.wait_idle_for(hang_limit));
                CHECK(made.done());
                check_counts(op.stats(), {.accepted = 2, .completed = 2}, 2);
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    over.store(true);
    watcher.join();
    settle(rt);
    CHECK(rt.stats().operations.size() == 600);
    CHECK(rt.stats().total().completed == 1200);
}

TEST_CASE("a_runtime_in_which_each_token_makes_the_next_one_is_never_idle") {
    // At each moment one of them is in flight: no count may miss it between two looks.
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 2, .workers_per_core = workers});
        std::atomic<bool> over{false};
        std::optional<operation<void()>> op;
        op = rt.operation("op", [&] {
            if (!over) op->post();
        });
        op->post();
        std::size_t idle = 0;
        for (std::size_t i = 0; i < scaled(20'000); ++i) idle += rt.wait_idle_for(0ns) ? 1 : 0;
        over = true;
        CHECK(idle == 0);
        settle(rt);
    }
}

TEST_CASE("an_operation_beyond_the_limit_is_refused_with_what_to_do") {
    runtime rt({.cores = 1, .operation_limit = 2});
    CHECK(rt.settings().operation_limit == 2);
    const auto one = rt.operation("one", [] { return 1; });
    CHECK_THROWS_AS(static_cast<void>(rt.operation("", [] {})), operation_error);
    CHECK_THROWS_AS(static_cast<void>(rt.operation("one", [] {})), operation_error);
    const auto two = rt.operation("two", [] { return 2; });
    try {
        static_cast<void>(rt.operation("three", [] {}));
        FAIL("there was no error");
    } catch (const operation_error& refused) {
        const std::string text = refused.what();
        for (const char* part :
             {"'three'", "has 2 already", "operation_limit", "TOKENGATE_OPERATION_LIMIT"}) {
            INFO(text);
            CHECK(text.find(part) != std::string::npos);
        }
    }
    // The name is what is wrong with this one.
    try {
        static_cast<void>(rt.operation("two", [] {}));
        FAIL("there was no error");
    } catch (const operation_error& refused) {
        CHECK(std::string(refused.what()).find("exists already") != std::string::npos);
    }
    CHECK(one().get() + two().get() == 3);
    settle(rt);
    CHECK(rt.stats().operations.size() == 2);
}

TEST_CASE("a_runtime_may_have_as_many_operations_as_its_limit_says") {
    constexpr int many = 3000;
    runtime rt({.cores = 2, .operation_limit = many});
    std::vector<operation<int()>> all;
    for (int i = 0; i < many; ++i) {
        all.push_back(rt.operation("op " + std::to_string(i), [i] { return i; }));
    }
    seeded random;
    std::vector<std::uint64_t> calls(many, 0);
    for (int i = 0; i < 5000; ++i) {
        const std::size_t which = random.below(many);
        ++calls[which];
        all[which].post();
    }
    settle(rt);
    for (std::size_t i = 0; i < many; ++i) {
        const token_counts counts = all[i].stats().counts;
        CHECK(counts.completed == calls[i]);
    }
    CHECK(rt.stats().total().completed == 5000);
}

TEST_CASE("a_domain_tells_how_many_entries_wait_there") {
    runtime rt({.cores = 1});
    hold gate;
    const auto op = rt.operation("op", [] {});
    const auto keyed = rt.operation("keyed", {.sticky = sticky::by_anchor("a")}, [] {});
    const auto creator = rt.operation("creator", [&] {
        for (int i = 0; i < 5; ++i) op.post();
        gate.pass();
    });
    creator.post();
    REQUIRE(gate.await(1));
    for (int i = 0; i < 30; ++i) {
        op.post();
        keyed.post();
    }
    CHECK(rt.stats().domains[0].queued == 65);
    CHECK(rt.stats().domains[0].executing == 1);
    gate.release();
    settle(rt);
    CHECK(rt.stats().domains[0].queued == 0);
    CHECK(rt.stats().domains[0].executing == 0);
}

}  // namespace tokengate::test
