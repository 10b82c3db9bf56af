// SPDX-License-Identifier: Apache-2.0
// Runtimes come and go: construction, idleness, restart, several at a time.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

TEST_CASE("a_runtime_tells_what_it_runs_with") {
    runtime rt({.cores = 3, .workers_per_core = 2, .retry_stride = 9});
    CHECK(rt.running());
    CHECK(rt.settings().cores == 3);
    CHECK(rt.settings().workers_per_core == 2);
    CHECK(rt.settings().retry_stride == 9);
    CHECK(rt.topology().size() == 3);
    CHECK(rt.stats().domains.size() == 3);
    CHECK(rt.stats().total().accepted == 0);
    settle(rt);
}

TEST_CASE("a_wrong_configuration_starts_nothing") {
    CHECK_THROWS_AS(runtime({.cores = 0}), config_error);
    CHECK_THROWS_AS(runtime({.cores = -3}), config_error);
    CHECK_THROWS_AS(runtime({.cores = 1024, .workers_per_core = 64}), config_error);
    CHECK_THROWS_AS(runtime({.synthetic = "this is no machine"}), topology_error);
}

TEST_CASE("a_runtime_on_a_synthetic_machine_has_its_domains") {
    runtime rt({.synthetic = "pack:2 [numa] l3:4 core:8 pu:1"});
    CHECK(rt.settings().cores == 64);
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", [&] { ran.fetch_add(1); });
    for (int i = 0; i < 1000; ++i) op();
    settle(rt);
    CHECK(ran == 1000);
}

TEST_CASE("wait_idle_waits_for_all_that_was_accepted_before") {
    for (const int cores : widths) {
        runtime rt({.cores = cores});
        rt.wait_idle();
        std::atomic<int> ran{0};
        const operation<void(int)>* self = nullptr;
        const auto op = rt.operation("op", [&](int n) {
            ran.fetch_add(1);
            if (n > 0) (*self)(n - 1);
        });
        self = &op;
        for (int i = 0; i < 50; ++i) {
            op(20);
            rt.wait_idle();
            REQUIRE(ran == (i + 1) * 21);
        }
        check_ledger(rt);
    }
}

TEST_CASE("wait_idle_for_gives_up_when_its_time_is_over") {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    held();
    REQUIRE(gate.await(1));
    CHECK_FALSE(rt.wait_idle_for(1ms));
    CHECK_FALSE(rt.wait_idle_for(0ns));
    CHECK_FALSE(rt.wait_idle_for(-1ns));
    gate.release();
    settle(rt);
}

TEST_CASE("wait_idle_inside_a_token_of_the_runtime_throws") {
    runtime rt({.cores = 2});
    runtime other({.cores = 1});
    const auto op = rt.operation("op", [&](bool own) { (own ? rt : other).wait_idle(); });
    CHECK_THROWS_AS(demand(op(true)), error);
    const token<void> fine = op(false);
    REQUIRE(ends(fine));
    fine.get();
    settle(rt);
}

TEST_CASE("a_stopped_runtime_can_be_started_again_100_times") {
    runtime rt({.cores = 3});
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", [&] { return ran.fetch_add(1); });
    for (int round = 0; round < 100; ++round) {
        for (int i = 0; i < 10; ++i) op();
        if (round % 3 == 0) REQUIRE(ends(op()));
        REQUIRE(rt.stop().drained);
        CHECK_FALSE(rt.running());
        CHECK_THROWS_AS(op(), runtime_stopped);
        rt.start();
        CHECK(rt.running());
        rt.start();  // no effect
    }
    CHECK(ran == 100 * 10 + 34);
    settle(rt);
}

TEST_CASE("a_runtime_with_a_straggler_starts_again_once_that_has_returned") {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held one", [&] { gate.pass(); });
    held();
    REQUIRE(gate.await(1));
    CHECK(rt.stop(1ms).stragglers.size() == 1);
    try {
        rt.start();
        FAIL("a straggler still runs");
    } catch (const error& refused) {
        CHECK(std::string(refused.what()).find("'held one'") != std::string::npos);
    }
    gate.release();
    rt.stop();
    rt.start();
    CHECK(rt.operation("after", [] { return 1; })().get() == 1);
    settle(rt);
}

TEST_CASE("start_inside_a_token_throws") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", [&] { rt.start(); });
    CHECK_THROWS_AS(demand(op()), error);
    settle(rt);
}

TEST_CASE("several_runtimes_work_side_by_side") {
    std::vector<std::unique_ptr<runtime>> runtimes;
    std::vector<operation<int(int)>> operations;
    for (int i = 0; i < 5; ++i) {
        runtimes.push_back(std::make_unique<runtime>(config{.cores = 2}));
        operations.push_back(runtimes.back()->operation("op", [i](int n) { return i * n; }));
    }
    for (int n = 0; n < 200; ++n) {
        std::vector<token<int>> tokens;
        for (const auto& op : operations) tokens.push_back(op(n));
        for (int i = 0; i < 5; ++i) {
            CHECK(result_of(tokens[static_cast<std::size_t>(i)]) == i * n);
        }
    }
    runtimes.erase(runtimes.begin() + 2);
    CHECK(operations[4](5).get() == 20);
    for (auto& each : runtimes) settle(*each);
}

TEST_CASE("a_thread_may_use_many_runtimes_one_after_another") {
    for (std::size_t i = 0; i < scaled_starts(200); ++i) {
        runtime rt({.cores = 1});
        CHECK(rt.operation("op", [i] { return i; })().get() == i);
        settle(rt);
    }
}

TEST_CASE("threads_that_come_and_go_leave_their_counts_behind") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [] {});
    for (int i = 0; i < 200; ++i) std::thread([&] { op(); }).join();
    settle(rt);
    CHECK(rt.stats().total().completed == 200);
}

TEST_CASE("destroying_a_runtime_inside_its_own_token_ends_the_process_with_a_reason" *
          doctest::skip(no_threads_in_children)) {
    const std::string end = in_child([] {
        auto* rt = new runtime({.cores = 1});
        rt->operation("op", [rt] { delete rt; })().wait();
        return 0;
    });
    CHECK(end == "killed by signal Aborted");
}

namespace {

struct caller_at_end {
    const operation<void()>* call = nullptr;
    ~caller_at_end() {
        for (int i = 0; call != nullptr && i < 100; ++i) (*call)();
    }
};
thread_local caller_at_end at_end;

}  // namespace

TEST_CASE("destructors_of_a_threads_own_objects_may_still_call_operations") {
    runtime rt({.cores = 2});
    std::atomic<int> ran{0};
    const auto op = rt.operation("late", [&] { ++ran; });
    for (int round = 0; round < 3; ++round) {
        // Made before the thread's first call, and so destroyed after what the library keeps.
        std::thread([&] {
            at_end.call = &op;
            op();
        }).join();
    }
    settle(rt);
    CHECK(ran.load() == 303);
}

}  // namespace tokengate::test
