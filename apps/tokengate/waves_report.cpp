// SPDX-License-Identifier: Apache-2.0
#include "waves_report.hpp"

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <absl/strings/str_format.h>

#include <tokengate/weight.hpp>

#include "svg.hpp"

namespace tokengate::app {
namespace {

table waves_table(bool baseline) {
    std::vector<table::column> columns{{"wave", 4},    {"tokens", 6},   {"ok", 6},   {"failed", 6},
                                       {"time", 7},    {"tokens/s", 8}, {"mean", 7}, {"p99", 7},
                                       {"overlap", 7}, {"parallel", 8}};
    if (baseline) columns.insert(columns.end(), {{"oneTBB/s", 8}, {"ratio", 5}});
    return table(std::move(columns));
}

json figures_json(const wave_figures& figures) {
    return {{"ok", figures.ok},
            {"failed", figures.failed},
            {"seconds", figures.seconds},
            {"tokens_per_second", figures.tokens_per_second},
            {"mean_latency_seconds", figures.mean_latency},
            {"p99_latency_seconds", figures.p99_latency},
            {"overlap", figures.overlap},
            {"parallelism", figures.parallelism}};
}

template <class T>
json optional_json(const std::optional<T>& value) {
    return value ? json(*value) : json(nullptr);
}

std::string width_text(const waves_result& result) {
    return count_text(result.cores, "domain") + " with " +
           count_text(result.workers_per_core, "worker") + " each";
}

/// Axis labels: "500", "20 k", "1.5 M".
std::string rate_label(double rate) {
    if (rate >= 1e6) return absl::StrFormat("%.4g M", rate / 1e6);
    if (rate >= 1e3) return absl::StrFormat("%.4g k", rate / 1e3);
    return absl::StrFormat("%.4g", rate);
}

std::string time_label(double seconds) {
    if (seconds >= 0.999) return absl::StrFormat("%.4g s", seconds);
    if (seconds >= 0.999e-3) return absl::StrFormat("%.4g ms", seconds * 1e3);
    return absl::StrFormat("%.4g us", seconds * 1e6);
}

}  // namespace

void print_waves_header(bool baseline) { waves_table(baseline).print_header(); }

void print_wave(const wave_result& wave) {
    const wave_figures& gate = wave.gate;
    std::vector<std::string> cells{
        std::to_string(wave.number),      std::to_string(wave.tokens),
        std::to_string(gate.ok),          std::to_string(gate.failed),
        duration_text(gate.seconds),      number_text(gate.tokens_per_second),
        duration_text(gate.mean_latency), duration_text(gate.p99_latency),
        number_text(gate.overlap, 2),     number_text(gate.parallelism, 2)};
    if (wave.baseline) {
        cells.push_back(number_text(wave.baseline->tokens_per_second));
        cells.push_back(number_text(*wave.tbb_ratio(), 2));
    }
    waves_table(wave.baseline.has_value()).print_row(cells);
}

void print_waves_summary(const waves_result& result) {
    std::printf(
        "\nTimes run from the first submission to the last result; latency (mean, p99) from a "
        "token's\nsubmission to its completion. overlap: sum of the tasks' wall times over the "
        "wave's wall\ntime; parallel: sum of their CPU times over it.\n\n");

    const table domains(
        {{"domain", -6}, {"heavy", 9}, {"medium", 9}, {"light", 9}, {"stolen", 9}, {"parked", 9}});
    domains.print_header();
    for (std::size_t i = 0; i < result.domains.size(); ++i) {
        const domain_stats& each = result.domains[i];
        domains.print_row({std::to_string(i),
                           std::to_string(each.executed[index_of(weight::heavy)]),
                           std::to_string(each.executed[index_of(weight::medium)]),
                           std::to_string(each.executed[index_of(weight::light)]),
                           std::to_string(each.stolen), std::to_string(each.parked)});
    }

    std::printf("\n%s: %s tokens/s over %s", width_text(result).c_str(),
                number_text(result.tokens_per_second()).c_str(),
                duration_text(result.seconds).c_str());
    if (result.baseline_seconds) {
        std::printf("; oneTBB %s, ratio %s", duration_text(*result.baseline_seconds).c_str(),
                    number_text(*result.tbb_ratio(), 2).c_str());
    }
    std::printf("\n%zu tokens, %zu failed, %s\n", result.tokens, result.failed,
                result.verified ? "all results verified" : "NOT all results verified");
}

json waves_json(const waves_result& result) {
    json waves = json::array();
    for (const wave_result& each : result.waves) {
        json wave{{"wave", each.number}, {"tokens", each.tokens}};
        wave.update(figures_json(each.gate));
        wave["tbb"] = each.baseline ? figures_json(*each.baseline) : json(nullptr);
        wave["tbb_ratio"] = optional_json(each.tbb_ratio());
        waves.push_back(std::move(wave));
    }
    json domains = json::array();
    for (const domain_stats& each : result.domains) {
        json domain = json::object();
        for (const weight kind : all_weights) {
            domain[std::string(to_string(kind))] = each.executed[index_of(kind)];
        }
        domain["stolen"] = each.stolen;
        domain["parked"] = each.parked;
        domain["bind_failures"] = each.bind_failures;
        domains.push_back(std::move(domain));
    }
    return {{"tokens", result.tokens},
            {"completed", result.ok},
            {"failed", result.failed},
            {"seconds", result.seconds},
            {"tokens_per_second", result.tokens_per_second()},
            {"verified", result.verified},
            {"tbb_seconds", optional_json(result.baseline_seconds)},
            {"tbb_ratio", optional_json(result.tbb_ratio())},
            {"cores", result.cores},
            {"workers_per_core", result.workers_per_core},
            {"waves", std::move(waves)},
            {"domains", std::move(domains)}};
}

std::string waves_svg(const waves_result& result) {
    constexpr const char* gate_colour = "#1763a6";
    constexpr const char* baseline_colour = "#d9782d";
    chart throughput{.title = "Throughput, tokens per second", .y_label = rate_label};
    chart latency{.title = "Latency from submission to completion",
                  .logarithmic = true,
                  .y_label = time_label};
    for (chart* each : {&throughput, &latency}) {
        each->x_title = "tokens in the wave";
        for (const wave_result& wave : result.waves) {
            each->x_labels.push_back(std::to_string(wave.tokens));
        }
    }

    const auto add_side = [&](const std::string& name, const char* colour, auto figures) {
        chart_series rate{.name = name, .colour = colour};
        chart_series mean{.name = name + ", mean", .colour = colour};
        chart_series p99{.name = name + ", p99", .colour = colour, .dashed = true};
        for (const wave_result& wave : result.waves) {
            rate.values.push_back(figures(wave).tokens_per_second);
            mean.values.push_back(figures(wave).mean_latency);
            p99.values.push_back(figures(wave).p99_latency);
        }
        throughput.series.push_back(std::move(rate));
        latency.series.push_back(std::move(mean));
        latency.series.push_back(std::move(p99));
    };
    if (result.baseline_seconds) {
        add_side("oneTBB", baseline_colour, [](const wave_result& wave) { return *wave.baseline; });
    }
    add_side("TokenGate", gate_colour, [](const wave_result& wave) { return wave.gate; });

    const std::string heading =
        absl::StrFormat("TokenGate, %u doubling waves", static_cast<unsigned>(result.waves.size()));
    const std::string subheading = absl::StrFormat("%u tokens, %u failed; %s", result.tokens,
                                                   result.failed, width_text(result));
    return svg_of(heading, subheading, {throughput, latency});
}

}  // namespace tokengate::app
