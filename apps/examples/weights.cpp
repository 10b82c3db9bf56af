// SPDX-License-Identifier: Apache-2.0
// Weight classes keep cores free for each other: heavy tokens may use all cores, medium ones core 1
// and up, light ones core 2 and up.
#include <tokengate/tokengate.hpp>

#include <iostream>
#include <vector>

namespace tg = tokengate;

int main() {
    tg::runtime rt({.cores = 4});  // four domains, also on a smaller machine

    const auto spin = [](int rounds) {
        unsigned value = 1;
        for (int i = 0; i < rounds; ++i) value = value * 1664525U + 1013904223U;
        return value;
    };
    auto solve = rt.operation("solve", {.weight = tg::weight::heavy}, spin);
    auto update = rt.operation("update", {.weight = tg::weight::medium}, spin);
    auto log = rt.operation("log", {.weight = tg::weight::light}, spin);

    std::vector<tg::token<unsigned>> tokens;
    for (int i = 0; i < 100; ++i) {
        tokens.push_back(solve(20'000));
        tokens.push_back(update(2'000));
        tokens.push_back(log(200));
    }
    tg::wait_all(tokens);

    bool in_range = true;
    for (const auto& each : tokens) {
        // From four domains up, stealing is strict: the ranges hold wherever a token ran.
        in_range = in_range && each.domain() >= tg::index_of(each.weight_class());
    }
    const tg::runtime_stats stats = rt.stats();
    for (std::size_t d = 0; d < stats.domains.size(); ++d) {
        std::cout << "domain " << d << ":";
        for (const tg::weight w : tg::all_weights) {
            std::cout << "  " << stats.domains[d].executed[tg::index_of(w)] << " " << to_string(w);
        }
        std::cout << "\n";
    }
    return in_range ? 0 : 1;
}
