// SPDX-License-Identifier: Apache-2.0
#include "wave_run.hpp"

namespace tokengate::app {

wave_figures figures_of(const wave_run& run, std::span<const std::uint64_t> expected) {
    wave_figures figures;
    std::vector<double> latencies;
    latencies.reserve(run.reports.size());
    double wall = 0.0;
    double cpu = 0.0;
    for (std::size_t i = 0; i < run.reports.size(); ++i) {
        const std::optional<task_report>& report = run.reports[i];
        const bool right = report && report->fingerprint == expected[i];
        ++(right ? figures.ok : figures.failed);
        if (!report) continue;
        latencies.push_back(seconds(report->ended - run.submitted[i]));
        wall += seconds(report->ended - report->started);
        cpu += seconds(report->cpu);
    }
    figures.seconds = seconds(run.finished - run.begun);
    figures.tokens_per_second = ratio(static_cast<double>(run.reports.size()), figures.seconds);
    figures.mean_latency = spread_of(latencies).mean;
    figures.p99_latency = percentile(latencies, 0.99);
    figures.overlap = ratio(wall, figures.seconds);
    figures.parallelism = ratio(cpu, figures.seconds);
    return figures;
}

}  // namespace tokengate::app
