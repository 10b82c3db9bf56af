// SPDX-License-Identifier: Apache-2.0
// What a worker executes, as others see it.
#include "domain/execution_stack.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::execution_stack;
using detail::token_node;

std::vector<token_node*> seen_in(execution_stack& stack) {
    std::vector<token_node*> seen;
    stack.inspect([&](token_node& node) { seen.push_back(&node); });
    return seen;
}

}  // namespace

TEST_CASE("an_onlooker_sees_nested_tokens_innermost_first") {
    execution_stack stack;
    std::vector<token_node> nodes(3);
    CHECK(seen_in(stack).empty());

    execution_stack::frame outer(&nodes[0]);
    execution_stack::frame middle(&nodes[1]);
    execution_stack::frame inner(&nodes[2]);
    stack.push(outer);
    CHECK(seen_in(stack) == std::vector{&nodes[0]});
    stack.push(middle);
    stack.push(inner);
    CHECK(seen_in(stack) == std::vector{&nodes[2], &nodes[1], &nodes[0]});
    stack.pop();
    CHECK(seen_in(stack) == std::vector{&nodes[1], &nodes[0]});
    stack.pop();
    stack.pop();
    CHECK(seen_in(stack).empty());
}

TEST_CASE("a_worker_waits_for_its_onlooker") {
    execution_stack stack;
    token_node node;
    execution_stack::frame frame(&node);
    stack.push(frame);
    std::atomic<bool> looking{false};
    std::atomic<bool> done{false};
    std::atomic<bool> popped_while_looked_at{false};
    std::atomic<bool> popped{false};
    std::thread onlooker([&] {
        stack.inspect([&](token_node&) {
            looking = true;
            // Time for the worker to get past the onlooker, if it could.
            for (int i = 0; i < 2000; ++i) {
                std::this_thread::yield();
                if (popped) popped_while_looked_at = true;
            }
            done = true;
        });
    });
    while (!looking) std::this_thread::yield();
    stack.pop();
    popped = true;
    CHECK(done);
    onlooker.join();
    CHECK_FALSE(popped_while_looked_at);
}

TEST_CASE("onlookers_never_see_a_token_that_has_left") {
    // The worker marks each token alive while it is on the stack, at both levels.
    execution_stack stack;
    std::vector<token_node> nodes(2);
    std::atomic<bool> stop{false};
    std::atomic<bool> ghost{false};
    std::atomic<std::uint64_t> looks{0};
    std::vector<std::thread> onlookers;
    for (int i = 0; i < 2; ++i) {
        onlookers.emplace_back([&] {
            while (!stop) {
                stack.inspect([&](token_node& node) {
                    if (node.state.phase() != token_state::executing) ghost = true;
                    looks.fetch_add(1);
                });
                // Two that never look away would hold the worker for most of the time.
                std::this_thread::sleep_for(std::chrono::microseconds(20));
            }
        });
    }
    for (int i = 0; i < 20'000 || looks.load() < 100; ++i) {
        nodes[0].state.start(token_state::executing, 1);
        execution_stack::frame outer(&nodes[0]);
        stack.push(outer);
        {
            nodes[1].state.start(token_state::executing, 1);
            execution_stack::frame inner(&nodes[1]);
            stack.push(inner);
            stack.pop();
            nodes[1].state.start(token_state::completed, 1);
        }
        stack.pop();
        nodes[0].state.start(token_state::completed, 1);
    }
    stop = true;
    for (std::thread& each : onlookers) each.join();
    CHECK_FALSE(ghost);
}

}  // namespace tokengate::test
