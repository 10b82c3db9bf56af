// SPDX-License-Identifier: Apache-2.0
// Waiting inside tokens.
#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// One worker, for whom nobody stands in: what runs is in the order in which it takes it. Too short
/// a life for the one look of 1024 that begins with the mailbox.
const config one_worker{.cores = 1, .workers_per_core = 1, .reserve_workers = 0};

}  // namespace

TEST_CASE("a_token_can_wait_for_its_children_even_on_a_single_worker") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto child = rt.operation("child", [](int n) { return n; });
        const auto parent = rt.operation("parent", [&](int count) {
            std::vector<token<int>> children;
            for (int i = 0; i < count; ++i) children.push_back(child(i));
            int sum = 0;
            for (const auto& each : children) sum += each.get();
            return sum;
        });
        std::vector<token<int>> parents;
        for (int i = 0; i < 20; ++i) parents.push_back(parent(100));
        for (const auto& each : parents) CHECK(result_of(each) == 4950);
        settle(rt);
    }
}

TEST_CASE("waits_can_be_nested_in_every_class") {
    for (const int cores : {1, 2, 3, 4, 64}) {
        for (const stealing steal : {stealing::strict, stealing::soft}) {
            INFO(cores, " domains, ", std::string(to_string(steal)));
            runtime rt({.cores = cores, .steal = steal});
            std::array<const operation<int(int)>*, weight_count> operations{};
            const auto body = [&](int depth) -> int {
                if (depth == 0) return 1;
                int sum = 0;
                for (const auto* each : operations) sum += (*each)(depth - 1).get();
                return sum;
            };
            const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, body);
            const auto medium = rt.operation("medium", {.weight = weight::medium}, body);
            const auto light = rt.operation("light", {.weight = weight::light}, body);
            operations = {&heavy, &medium, &light};
            CHECK(result_of(heavy(5)) == 243);
            CHECK(result_of(light(5)) == 243);
            settle(rt);
        }
    }
}

TEST_CASE("a_chain_of_waits_ends") {
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const operation<int(int)>* self = nullptr;
        const auto chain =
            rt.operation("chain", [&](int n) { return n == 0 ? 0 : (*self)(n - 1).get() + 1; });
        self = &chain;
        CHECK(result_of(chain(50)) == 50);
        settle(rt);
    }
}

TEST_CASE("a_worker_that_waits_runs_other_tokens") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    std::atomic<int> ran{0};
    const auto held = rt.operation("held", {.weight = weight::light}, [&] { gate.pass(); });
    const auto other = rt.operation("other", {.weight = weight::heavy}, [&] { ran.fetch_add(1); });
    const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] { held().wait(); });
    const token<void> t = waits();
    REQUIRE(gate.await(1));
    // Worker 1 is held and worker 0 waits for it.
    std::vector<token<void>> others;
    for (int i = 0; i < 100; ++i) others.push_back(other());
    for (const auto& each : others) REQUIRE(ends(each));
    CHECK_FALSE(t.done());
    gate.release();
    REQUIRE(ends(t));
    settle(rt);
}

TEST_CASE("a_worker_that_sleeps_in_a_wait_is_woken_by_the_end_of_the_token") {
    for (const int cores : {2, 4}) {
        runtime rt({.cores = cores, .spin_time = 0us});
        for (int round = 0; round < 200; ++round) {
            hold gate;
            const std::string number = std::to_string(round);
            const auto held = rt.operation("held " + number, [&] { gate.pass(); });
            const token<void> first = held();
            REQUIRE(gate.await(1));
            const auto waits = rt.operation("waits " + number, {.weight = weight::heavy},
                                            [&, first] { first.wait(); });
            const token<void> a = waits();
            const token<void> b = waits();
            if (round % 2 == 0) std::this_thread::sleep_for(200us);
            gate.release();
            REQUIRE(ends(a));
            REQUIRE(ends(b));
        }
        settle(rt);
    }
}

TEST_CASE("a_wait_inside_a_token_that_times_out_does_not_touch_the_awaited_token") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    const auto held = rt.operation("held", {.weight = weight::light}, [&] {
        gate.pass();
        return 5;
    });
    const token<int> awaited = held();
    REQUIRE(gate.await(1));
    const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
        int early = 0;
        for (int i = 0; i < 5; ++i) early += awaited.wait_for(1ms) ? 1 : 0;
        return early;
    });
    CHECK(result_of(waits()) == 0);
    CHECK(awaited.state() == token_state::executing);
    gate.release();
    CHECK(result_of(awaited) == 5);
    settle(rt);
}

TEST_CASE("a_worker_whose_time_to_wait_is_over_does_not_begin_other_tokens") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    std::atomic<int> ran{0};
    const auto held = rt.operation("held", {.weight = weight::light}, [&] { gate.pass(); });
    const auto other = rt.operation("other", {.weight = weight::heavy}, [&] { ran.fetch_add(1); });
    const token<void> awaited = held();
    REQUIRE(gate.await(1));
    const auto waits = rt.operation("waits", {.weight = weight::heavy}, [&] {
        for (int i = 0; i < 1000; ++i) other();
        static_cast<void>(awaited.wait_for(0s));
        return ran.load();
    });
    CHECK(result_of(waits()) <= 1);
    gate.release();
    settle(rt);
    CHECK(ran == 1000);
}

TEST_CASE("a_token_can_wait_for_a_token_of_another_runtime") {
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        runtime a({.cores = cores, .spin_time = 0us});
        runtime b({.cores = cores, .spin_time = 0us});
        const auto inner = b.operation("inner", [](int n) { return n + 1; });
        const auto outer = a.operation("outer", [&](int n) { return inner(n).get() * 2; });
        std::vector<token<int>> tokens;
        for (int i = 0; i < 300; ++i) tokens.push_back(outer(i));
        for (int i = 0; i < 300; ++i) {
            CHECK(result_of(tokens[static_cast<std::size_t>(i)]) == (i + 1) * 2);
        }
        settle(a);
        settle(b);
    }
}

TEST_CASE("runtimes_can_wait_for_each_other_in_turns") {
    runtime a({.cores = 1});
    runtime b({.cores = 1});
    const operation<int(int)>* other = nullptr;
    const auto on_a =
        a.operation("on a", [&](int n) { return n == 0 ? 0 : (*other)(n - 1).get() + 1; });
    const auto on_b =
        b.operation("on b", [&](int n) { return n == 0 ? 0 : on_a(n - 1).get() + 1; });
    other = &on_b;
    CHECK(result_of(on_a(30)) == 30);
    settle(a);
    settle(b);
}

TEST_CASE("the_awaited_token_is_run_first") {
    runtime rt({.cores = 1});
    std::vector<int> order;  // one worker: no lock needed
    const auto op = rt.operation("op", [&](int n) { order.push_back(n); });
    const auto parent = rt.operation("parent", [&] {
        op(1);
        op(2);
        op(3).wait();
        order.push_back(4);
    });
    REQUIRE(ends(parent()));
    settle(rt);
    REQUIRE(order.size() == 4);
    CHECK(order[0] == 3);
    CHECK(order[1] == 4);
}

TEST_CASE("the_awaited_token_is_run_before_those_that_were_created_after_it") {
    runtime rt({.cores = 1});
    std::vector<int> order;  // one worker: no lock needed
    const auto op = rt.operation("op", [&](int n) { order.push_back(n); });
    const auto parent = rt.operation("parent", [&] {
        op(1);
        const token<void> awaited = op(2);
        op(3);
        awaited.wait();
        order.push_back(4);
    });
    REQUIRE(ends(parent()));
    settle(rt);
    REQUIRE(order.size() == 4);
    CHECK(order[0] == 2);
    CHECK(order[1] == 4);
}

TEST_CASE("an_awaited_token_that_lies_behind_other_work_is_run_before_it") {
    for (const bool alone : {false, true}) {
        INFO("alone ", alone);
        runtime rt(one_worker);
        hold gate;
        std::vector<int> order;  // one worker: no lock needed
        token<void> awaited;
        const auto op = rt.operation("op", [&](int n) { order.push_back(n); });
        const auto parent = rt.operation("parent", [&] {
            gate.pass();
            op.post(1);
            if (alone) {
                awaited.get(isolated);
            } else {
                awaited.get();
            }
            order.push_back(0);
        });
        const token<void> begun = parent();
        REQUIRE(gate.await(1));
        for (const int n : {2, 3, 4}) op.post(n);
        awaited = op(5);
        gate.release();
        REQUIRE(ends(begun));
        settle(rt);
        REQUIRE(order.size() == 6);
        CHECK(order[0] == 5);
        CHECK(order[1] == 0);
    }
}

TEST_CASE("a_waiting_worker_runs_what_it_has_created_and_then_other_work_of_its_domain") {
    // Free children, and those of a chain, which lie elsewhere.
    for (const bool leads : {false, true}) {
        INFO("leads ", leads);
        runtime rt(one_worker);
        hold gate;
        std::vector<std::string> order;  // one worker: no lock needed
        const auto note = [&](const char* what) { order.emplace_back(what); };
        token<void> source;
        const auto mine = rt.operation("mine", note);
        const auto other = rt.operation("other", note);
        const auto awaited = rt.operation("awaited", [&] { note("awaited"); });
        const auto parent = rt.operation("parent", [&] {
            mine.post("mine");
            const token<void> last = rt.after(source).call(awaited);  // cannot begin yet
            mine.post("mine");
            last.wait();
            note("parent");
        });
        operation_traits traits;
        if (leads) traits.external_calls = {"parent"};
        const auto elder = rt.operation("elder", traits, [&] {
            gate.pass();
            mine.post("mine");  // what was created before its parent waits, by another token
            parent.post();
        });
        elder.post();
        REQUIRE(gate.await(1));
        other.post("other");
        other.post("other");
        source = other("source");
        other.post("late");
        other.post("late");
        gate.release();
        settle_locality(rt);
        CHECK(order == std::vector<std::string>{"mine", "mine", "mine", "other", "other", "source",
                                                "awaited", "parent", "late", "late"});
    }
}

TEST_CASE("a_waiting_worker_without_work_runs_what_comes_to_its_domain") {
    runtime rt(one_worker);
    hold gate;
    std::vector<int> order;  // one worker: no lock needed
    const auto op = rt.operation("op", [&](int n) { order.push_back(n); });
    const auto paused = rt.operation("paused", [&] { order.push_back(0); });
    const auto parent = rt.operation("parent", [&] {
        const token<void> awaited = paused();
        gate.pass();
        awaited.wait();
        order.push_back(9);
    });
    paused.pause();
    const token<void> waits = parent();
    REQUIRE(gate.await(1));
    gate.release();
    // It waits, and has nothing to do; each of these runs on top of it.
    for (const int n : {1, 2, 3}) REQUIRE(ends(op(n)));
    CHECK_FALSE(waits.done());
    paused.resume();
    REQUIRE(ends(waits));
    settle(rt);
    CHECK(order == std::vector<int>{1, 2, 3, 0, 9});
}

}  // namespace tokengate::test
