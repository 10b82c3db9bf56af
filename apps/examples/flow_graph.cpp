// SPDX-License-Identifier: Apache-2.0
// A node of a oneTBB flow graph whose work is done by tokens.
#include <iostream>
#include <stdexcept>

#include <oneapi/tbb/flow_graph.h>

#include <tokengate/flow_graph.hpp>
#include <tokengate/tokengate.hpp>

namespace tg = tokengate;

int main() {
    tg::runtime rt;

    auto square = rt.operation("square", {.weight = tg::weight::heavy},
                               tg::for_flow_graph([](int n) { return n * n; }));
    auto fussy = rt.operation("fussy", tg::for_flow_graph([](int n) {
                                  if (n == 3) throw std::runtime_error("no threes, please");
                                  return n;
                              }));

    tbb::flow::graph graph;
    long total = 0;
    int next = 0;
    tbb::flow::input_node<int> numbers(graph, [&](tbb::flow_control& control) {
        if (next == 1000) control.stop();
        return next++;
    });
    tbb::flow::function_node<int> sum(graph, tbb::flow::serial, [&](int n) { total += n; });

    auto squares = tg::make_async_node(graph, square);
    tbb::flow::make_edge(numbers, squares);
    tbb::flow::make_edge(squares, sum);
    numbers.activate();
    graph.wait_for_all();  // for the tokens, too
    std::cout << "the squares of 0 to 999 add up to " << total << "\n";

    // What a callable throws comes out of wait_for_all().
    tbb::flow::graph other;
    auto picky = tg::make_async_node(other, fussy);
    for (int n = 0; n < 5; ++n) picky.try_put(n);
    try {
        other.wait_for_all();
    } catch (const std::runtime_error& problem) {
        std::cout << "the graph was cancelled: " << problem.what() << "\n";
        return total == 332'833'500 ? 0 : 1;
    }
    return 1;
}
