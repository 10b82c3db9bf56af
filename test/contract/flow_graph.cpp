// SPDX-License-Identifier: Apache-2.0
// Operations as nodes of oneTBB's flow graphs.
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <oneapi/tbb/flow_graph.h>

#include <tokengate/flow_graph.hpp>
#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

namespace flow = tbb::flow;
using namespace std::chrono_literals;

constexpr std::array<int, 4> core_counts{1, 2, 4, 8};

/// Calls body(runtime) for each number of domains, and checks the books afterwards.
template <class Body>
void for_each_width(Body&& body) {
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        body(rt);
        settle_locality(rt);
    }
}

/// Adds up what comes in.
class adder {
  public:
    explicit adder(flow::graph& graph)
        : node(graph, flow::unlimited, [this](long value) {
              sum += value;
              ++count;
          }) {}

    std::atomic<long> sum{0};
    std::atomic<int> count{0};
    flow::function_node<long> node;
};

}  // namespace

TEST_CASE("a_graph_waits_for_its_tokens_and_gets_all_their_results") {
    for_each_width([](runtime& rt) {
        const auto square =
            rt.operation("square", for_flow_graph([](int n) { return long{n} * n; }));
        for (int round = 0; round < 3; ++round) {
            flow::graph graph;
            auto squares = make_async_node(graph, square);
            adder all(graph);
            flow::make_edge(squares, all.node);
            for (int n = 0; n < 1000; ++n) squares.try_put(n);
            graph.wait_for_all();
            CHECK(all.count == 1000);
            CHECK(all.sum == 332'833'500);
        }
    });
}

TEST_CASE("tokens_of_a_graph_hold_up_no_thread_of_onetbb") {
    for_each_width([](runtime& rt) {
        hold gate;
        const auto held = rt.operation("held", for_flow_graph([&](const std::string& text) {
                                           gate.pass();
                                           return static_cast<long>(text.size());
                                       }));
        flow::graph graph;
        auto slow = make_async_node(graph, held);
        adder late(graph);
        flow::make_edge(slow, late.node);
        // By way of the graph, all that is held is released after everything else has run.
        flow::function_node<int> last(graph, flow::serial, [&](int) { gate.release(); });
        for (int i = 0; i < 100; ++i) slow.try_put("abc");
        last.try_put(0);
        graph.wait_for_all();
        CHECK(late.sum == 300);
    });
}

TEST_CASE("what_a_callable_throws_comes_out_of_wait_for_all_and_the_graph_works_again") {
    for_each_width([](runtime& rt) {
        const auto fussy = rt.operation("fussy", for_flow_graph([](int n) {
                                            if (n < 0) throw std::runtime_error("negative");
                                            return long{n};
                                        }));
        flow::graph graph;
        auto node = make_async_node(graph, fussy);
        adder all(graph);
        flow::make_edge(node, all.node);
        for (int round = 0; round < 5; ++round) {
            for (int n = -1; n < 20; ++n) node.try_put(n);
            CHECK_THROWS_AS(graph.wait_for_all(), std::runtime_error);
            CHECK(graph.is_cancelled());
            graph.reset();
        }
        all.sum = 0;
        node.try_put(7);
        graph.wait_for_all();
        CHECK(all.sum == 7);
    });
}

TEST_CASE("a_callable_of_a_graph_is_called_again_before_the_graph_fails") {
    for_each_width([](runtime& rt) {
        std::atomic<int> calls{0};
        const auto flaky =
            rt.operation("flaky", {.retry = {.attempts = 3}}, for_flow_graph([&](int n) {
                             ++calls;
                             if (this_token::attempt() < 3) throw std::runtime_error("again");
                             return long{n};
                         }));
        flow::graph graph;
        auto node = make_async_node(graph, flaky);
        adder all(graph);
        flow::make_edge(node, all.node);
        for (int n = 0; n < 10; ++n) node.try_put(n);
        graph.wait_for_all();
        CHECK(all.sum == 45);
        CHECK(calls == 30);
    });
}

TEST_CASE("a_token_of_a_graph_that_is_killed_before_it_runs_ends_the_wait") {
    for_each_width([](runtime& rt) {
        const auto never = rt.operation("never", for_flow_graph([](int n) { return n; }));
        never.pause();
        flow::graph graph;
        auto node = make_async_node(graph, never);
        for (int n = 0; n < 10; ++n) node.try_put(n);
        // One that a worker has just taken out might still run; those that are aside do not.
        REQUIRE(eventually([&] { return never.stats().set_aside == 10; }));
        CHECK(never.cancel("not today") == 10);
        never.resume();
        CHECK_THROWS_AS(graph.wait_for_all(), token_killed);
        REQUIRE(rt.wait_idle_for(hang_limit));
        CHECK(never.stats().counts.killed == 10);
        CHECK(never.stats().executions == 0);
    });
}

TEST_CASE("a_token_of_a_graph_that_is_killed_while_it_runs_ends_the_wait_when_it_returns") {
    for_each_width([](runtime& rt) {
        hold begun;
        std::atomic<bool> returned{false};
        const auto endless =
            rt.operation("endless", for_flow_graph([&](const std::stop_token& stop, int n) {
                             begun.release();
                             while (!stop.stop_requested()) std::this_thread::yield();
                             returned = true;
                             return long{n};
                         }));
        flow::graph graph;
        auto node = make_async_node(graph, endless);
        adder all(graph);
        flow::make_edge(node, all.node);
        node.try_put(1);
        begun.pass();
        CHECK(endless.kill() == 1);
        CHECK_THROWS_AS(graph.wait_for_all(), token_killed);
        CHECK(returned);
        CHECK(all.count == 0);
    });
}

TEST_CASE("a_graph_whose_runtime_is_stopped_comes_to_an_end") {
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto endless =
            rt.operation("endless", for_flow_graph([](const std::stop_token& stop, int) {
                             while (!stop.stop_requested()) std::this_thread::yield();
                         }));
        flow::graph graph;
        auto node = make_async_node(graph, endless);
        for (int n = 0; n < 20; ++n) node.try_put(n);
        REQUIRE(eventually([&] { return endless.stats().counts.accepted == 20; }));
        static_cast<void>(rt.stop(0ns));
        CHECK_THROWS_AS(graph.wait_for_all(), token_killed);
        // Calls come to nothing from now on.
        graph.reset();
        node.try_put(1);
        CHECK_THROWS_AS(graph.wait_for_all(), runtime_stopped);
        static_cast<void>(rt.stop());
        check_ledger(rt);
    }
}

TEST_CASE("nodes_of_a_graph_may_be_sticky_and_a_graph_may_be_inside_a_token") {
    for_each_width([](runtime& rt) {
        const auto half = rt.operation("half", {.sticky = sticky::by_arguments()},
                                       for_flow_graph([](long n) { return n / 2; }));
        const auto touch = rt.operation("touch", for_flow_graph([](int) {}));
        const auto whole = rt.operation("whole", {.weight = weight::heavy}, [&](int count) {
            flow::graph graph;
            auto halves = make_async_node(graph, half);
            auto touches = make_async_node(graph, touch);
            std::atomic<int> touched{0};
            flow::function_node<flow::continue_msg> end(
                graph, flow::unlimited, [&](const flow::continue_msg&) { ++touched; });
            adder all(graph);
            flow::make_edge(halves, all.node);
            flow::make_edge(touches, end);
            for (int n = 0; n < count; ++n) {
                halves.try_put(long{2} * n);
                touches.try_put(n);
            }
            // The thread that waits here is the one that runs tokens.
            blocking([&] { graph.wait_for_all(); });
            return all.sum + touched;
        });
        for (int i = 0; i < 3; ++i) CHECK(result_of(whole(100)) == 4950 + 100);
    });
}

}  // namespace tokengate::test
