// SPDX-License-Identifier: Apache-2.0
// Tokens as arguments of others: a graph of calls, written down as calls. Nobody waits on the way.
#include <tokengate/tokengate.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tg = tokengate;

int main() {
    tg::runtime rt;

    auto measure = rt.operation("measure", [](int station) {
        if (station < 0) throw std::invalid_argument("there is no such station");
        std::vector<double> series(1000);
        std::iota(series.begin(), series.end(), station);
        return series;
    });
    auto smooth = rt.operation("smooth", [](std::vector<double> series) {
        std::adjacent_difference(series.begin(), series.end(), series.begin());
        return series;
    });
    auto half = rt.operation("half", [](const std::vector<double>& series) {
        return std::accumulate(series.begin(), series.end(), 0.0) / 2;
    });
    auto average = rt.operation("average", [](const std::vector<double>& halves) {
        return std::accumulate(halves.begin(), halves.end(), 0.0);
    });
    auto describe =
        rt.operation("describe", [](double mean) { return "the mean is " + std::to_string(mean); });
    auto announce =
        rt.operation("announce", [](const std::string& what) { std::cout << what << "\n"; });

    // Results move from token to token: nobody else holds those in between.
    std::vector<tg::token<double>> halves;
    for (const int station : {1, 2}) halves.push_back(half(smooth(measure(station))));
    tg::token<double> mean = average(halves);  // waits for both, and holds no worker
    tg::token<std::string> report = std::move(mean).then(describe);
    const auto& [left, right] = std::pair(halves.front(), halves.back());
    rt.after(left, right).call(announce, "both stations have answered").wait();
    announce(report).wait();

    // What goes wrong at the beginning is known at the end.
    const tg::token<std::string> hopeless = describe(half(smooth(measure(-1))));
    try {
        std::cout << hopeless.get() << "\n";
    } catch (const tg::dependency_failed& why) {
        std::cout << why.causes().back().operation << " is to blame\n";
        return report.get() == "the mean is 1000.500000" ? 0 : 1;
    }
    return 1;
}
