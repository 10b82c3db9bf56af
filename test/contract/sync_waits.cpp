// SPDX-License-Identifier: Apache-2.0
// Tokens that wait for tasks.
#include <atomic>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {

TEST_CASE("tokens_that_wait_for_tasks_leave_workers_for_what_these_wait_for") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto both = [&](int value) -> task<int> {
            const int first = co_await number(value);
            const auto [a, b] = co_await gather(number(first), number(1));
            co_return a + b;
        };
        const auto asks = rt.operation("asks", [&](int value) { return sync_wait(both(value)); });
        // More than a domain has threads that could stand in.
        std::vector<token<int>> all;
        for (int i = 0; i < 300; ++i) all.push_back(asks(i));
        for (int i = 0; i < 300; ++i) CHECK(result_of(all[static_cast<std::size_t>(i)]) == i + 1);
        settle_locality(rt);
    });
}

}  // namespace tokengate::test
