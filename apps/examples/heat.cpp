// SPDX-License-Identifier: Apache-2.0
// The heat equation on a plate, solved in time steps. The plate is cut into bands of rows, and an
// affinity lets each band meet the same core in every step, with its rows in the cache.
#include <tokengate/tokengate.hpp>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iostream>
#include <numbers>
#include <utility>
#include <vector>

namespace tg = tokengate;

constexpr std::size_t points = 129;  // along each side; those on the edge stay at 0 degrees
constexpr std::size_t rows = 8;      // in a band
constexpr int steps = 1000;
constexpr double flow = 0.2;  // conductivity * time step / spacing^2; stable up to 0.25
constexpr double angle = std::numbers::pi / (points - 1);

// 100 degrees in the middle, less and less towards the edge.
double at_start(std::size_t y, std::size_t x) {
    return 100.0 * std::sin(angle * static_cast<double>(y)) *
           std::sin(angle * static_cast<double>(x));
}

int main() {
    std::vector<std::vector<double>> now(points);  // rows that have no memory yet
    std::vector<std::vector<double>> next(points);
    std::atomic<int> strays{0};  // bands that were away from home

    tg::runtime rt;
    const tg::interval inside{1, points - 1};
    const std::size_t bands = tg::block_count(inside, rows);
    const tg::affinity homes(rt, bands, tg::weight::heavy, "band");  // neighbours together

    // Each row gets its memory from the core that will work on it.
    const auto start = [&](std::size_t y) {
        now[y].resize(points);
        next[y].resize(points);
        for (std::size_t x = 1; x + 1 < points; ++x) now[y][x] = at_start(y, x);
    };
    tg::parallel_for(inside, rows, start, homes);
    for (const std::size_t edge : {std::size_t{0}, points - 1}) start(edge);

    const auto step = [&](tg::interval band) {
        if (tg::this_token::domain() != homes.domain((band.first - 1) / rows)) ++strays;
        for (const std::size_t y : band) {
            for (std::size_t x = 1; x + 1 < points; ++x) {
                const double around = now[y - 1][x] + now[y + 1][x] + now[y][x - 1] + now[y][x + 1];
                next[y][x] = now[y][x] + flow * (around - 4 * now[y][x]);
            }
        }
    };
    // The affinity has the keys of this operation: a call reads its band where that is at home.
    auto read = rt.operation("read", {.sticky = tg::sticky::by_anchor_and_arguments("band")},
                             [&](std::size_t band) {
                                 if (tg::this_token::domain() != homes.domain(band)) ++strays;
                                 return now[(band + 1) * rows][points / 2];  // its last row
                             });
    for (int done = 0; done < steps; ++done) {
        if (done % 250 == 0) std::cout << read(bands / 2 - 1).get() << " degrees in the middle\n";
        tg::parallel_for(inside, rows, step, homes);  // returns when all bands are done
        std::swap(now, next);
    }

    // Each step takes the same part of the heat from every point, so that the answer is known.
    const double left = std::pow(1 - 8 * flow * std::pow(std::sin(angle / 2), 2), steps);
    const auto error = [&](std::size_t y) {
        double sum = 0;
        for (std::size_t x = 0; x < points; ++x) sum += std::abs(now[y][x] - left * at_start(y, x));
        return sum;
    };
    const double wrong = tg::parallel_reduce(inside, rows, 0.0, error, std::plus<>(), homes);
    std::cout << 100 * left << " at the end; errors " << wrong << ", strays " << strays << "\n";
    return wrong < 1e-6 && strays == 0 ? 0 : 1;
}
