// SPDX-License-Identifier: Apache-2.0
// Many calls at once, behind one handle: each is a token like any other, at a tenth of the price.
#include <tokengate/tokengate.hpp>

#include <iostream>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <vector>

namespace tg = tokengate;

int main() {
    tg::runtime rt;
    std::vector<int> numbers(1000);
    std::iota(numbers.begin(), numbers.end(), 0);

    auto square = rt.operation("square", [](int i) { return i * i; });
    tg::bulk<int> all = square.bulk(numbers);  // at once: a thousand tokens
    std::vector<int> results = all.get();      // in the order of the range
    std::cout << "999 squared is " << results.back() << "\n";

    // Several parameters: a range of tuples. One that throws fails alone.
    auto divide = rt.operation("divide", [](int a, int b) {
        if (b == 0) throw std::invalid_argument("division by zero");
        return a / b;
    });
    std::vector<std::tuple<int, int>> pairs{{84, 2}, {1, 0}, {9, 3}};
    auto quotients = divide.bulk(pairs);
    for (const tg::bulk_failure& each : quotients.failures()) {
        std::cout << "number " << each.index << " has failed\n";
    }

    return results.back() == 998'001 && quotients.state(2) == tg::token_state::completed ? 0 : 1;
}
