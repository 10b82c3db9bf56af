// SPDX-License-Identifier: Apache-2.0
#include "burst_report.hpp"

#include <cstdio>
#include <string>
#include <utility>

namespace tokengate::app {

std::size_t burst_result::ok() const {
    std::size_t sum = warm_up.ok + (window ? window->ok : 0);
    for (const burst_figures& each : bursts) sum += each.ok;
    return sum;
}

std::size_t burst_result::failed() const {
    std::size_t sum = warm_up.failed + (window ? window->failed : 0);
    for (const burst_figures& each : bursts) sum += each.failed;
    return sum;
}

double burst_result::seconds() const {
    double sum = warm_up.wall + (window ? window->seconds : 0.0);
    for (const burst_figures& each : bursts) sum += each.wall;
    return sum;
}

bool burst_result::verified() const {
    return failed() == 0 && log_whole && (!window || window->log_whole) &&
           counts.completed == ok() && counts.in_flight() == 0;
}

void print_burst(const burst_result& result) {
    std::printf("Bursts of %d tokens, released together by %d threads\n\n", burst_size, burst_size);
    const table bursts({{"kind", -10},
                        {"class", -6},
                        {"ok", 3},
                        {"jitter", 7},
                        {"min", 7},
                        {"max", 7},
                        {"mean", 7},
                        {"stdev", 7},
                        {"wall", 7},
                        {"overlap", 7},
                        {"parallel", 8}});
    bursts.print_header();
    for (const burst_figures& each : result.bursts) {
        bursts.print_row({std::string(name_of(each.kind)),
                          std::string(to_string(weight_of(each.kind))), std::to_string(each.ok),
                          duration_text(each.jitter), duration_text(each.durations.min),
                          duration_text(each.durations.max), duration_text(each.durations.mean),
                          duration_text(each.durations.deviation), duration_text(each.wall),
                          number_text(each.overlap, 2), number_text(each.parallelism, 2)});
    }
    std::printf(
        "\nDurations run from submission to result, waiting included. overlap: their sum over the "
        "wall\ntime; parallel: sum of the tasks' CPU times over the wall time, which no waiting "
        "inflates.\n");

    if (const auto& window = result.window) {
        const std::size_t tokens = window->ok + window->failed;
        std::printf("\nMixed batches for %s: %zu batches, %zu tokens, %s tokens/s\n",
                    duration_text(window->seconds).c_str(), window->batches, tokens,
                    number_text(ratio(static_cast<double>(tokens), window->seconds)).c_str());
        std::printf("latency p50 %s, p95 %s, max %s; overlap %s, parallel %s\n",
                    duration_text(window->p50).c_str(), duration_text(window->p95).c_str(),
                    duration_text(window->max).c_str(), number_text(window->overlap, 2).c_str(),
                    number_text(window->parallelism, 2).c_str());
        for (const chore kind : all_chores) {
            std::printf("%s%zu %s", kind == all_chores.front() ? "" : ", ",
                        window->by_chore[index_of(kind)], std::string(name_of(kind)).c_str());
        }
        std::printf("\n");
    }
    std::printf("\n%zu tokens, %zu failed, %s\n", result.ok() + result.failed(), result.failed(),
                result.verified() ? "all results verified" : "NOT all results verified");
}

json burst_json(const burst_result& result) {
    json bursts = json::array();
    for (const burst_figures& each : result.bursts) {
        bursts.push_back({{"kind", std::string(name_of(each.kind))},
                          {"weight", std::string(to_string(weight_of(each.kind)))},
                          {"ok", each.ok},
                          {"failed", each.failed},
                          {"jitter_seconds", each.jitter},
                          {"wall_seconds", each.wall},
                          {"min_seconds", each.durations.min},
                          {"max_seconds", each.durations.max},
                          {"mean_seconds", each.durations.mean},
                          {"stdev_seconds", each.durations.deviation},
                          {"overlap", each.overlap},
                          {"parallelism", each.parallelism}});
    }
    json window = nullptr;
    if (result.window) {
        json by_chore = json::object();
        for (const chore kind : all_chores) {
            by_chore[std::string(name_of(kind))] = result.window->by_chore[index_of(kind)];
        }
        const std::size_t tokens = result.window->ok + result.window->failed;
        window = {{"tokens", tokens},
                  {"ok", result.window->ok},
                  {"failed", result.window->failed},
                  {"batches", result.window->batches},
                  {"seconds", result.window->seconds},
                  {"tokens_per_second", ratio(static_cast<double>(tokens), result.window->seconds)},
                  {"p50_seconds", result.window->p50},
                  {"p95_seconds", result.window->p95},
                  {"max_seconds", result.window->max},
                  {"overlap", result.window->overlap},
                  {"parallelism", result.window->parallelism},
                  {"operations", std::move(by_chore)}};
    }
    const std::size_t tokens = result.ok() + result.failed();
    return {{"tokens", tokens},
            {"completed", result.ok()},
            {"failed", result.failed()},
            {"seconds", result.seconds()},
            {"tokens_per_second", ratio(static_cast<double>(tokens), result.seconds())},
            {"verified", result.verified()},
            {"bursts", std::move(bursts)},
            {"window", std::move(window)}};
}

}  // namespace tokengate::app
