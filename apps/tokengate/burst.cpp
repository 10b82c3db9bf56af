// SPDX-License-Identifier: Apache-2.0
#include "burst.hpp"

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "burst_report.hpp"
#include "chores.hpp"
#include "measure.hpp"
#include "report.hpp"
#include "scratch.hpp"

namespace tokengate::app {
namespace {

using operation_type = operation<task_report(chore_order)>;
using operations_by_chore = std::array<operation_type, all_chores.size()>;

operation_type declare(runtime& rt, chore kind, const scratch_directory& files) {
    return rt.operation(name_of(kind), {.weight = weight_of(kind)},
                        [kind, &files](chore_order order) {
                            return measured([&] { return perform(kind, order, files); });
                        });
}

/// The result of a token, or nothing if it failed.
std::optional<task_report> report_of(token<task_report> done) {
    try {
        return std::move(done).get();
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// The same for a call that may itself be refused.
std::optional<task_report> report_of(const operation_type& op, chore_order order) {
    try {
        return report_of(op(order));
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

/// Counts results that are right and results that are not, against the serial ones.
class verifier {
  public:
    verifier() {
        for (const chore kind : all_chores) {
            for (unsigned step = 0; step < size_steps; ++step) {
                expected_[index_of(kind)][step] = expected_of(kind, step);
            }
        }
    }

    /// True if the result is there and right.
    bool check(chore kind, chore_order order, const std::optional<task_report>& report) {
        const bool right = report && report->fingerprint == expected_[index_of(kind)][order.step];
        if (right && kind == chore::log_append) ++log_lines_;
        return right;
    }

    /// True if the log holds exactly the lines that were reported since the last time.
    bool check_log(const scratch_directory& files) {
        return take_log(files) == std::exchange(log_lines_, 0);
    }

    [[nodiscard]] std::size_t log_lines() const { return log_lines_; }

  private:
    std::array<std::array<std::uint64_t, size_steps>, all_chores.size()> expected_{};
    std::size_t log_lines_ = 0;
};

/// What one caller of a burst saw.
struct caller_view {
    chore_order order;
    steady::time_point submitted;
    steady::time_point delivered;
    std::optional<task_report> report;
};

/// Eight threads wait for each other, then each submits one token and waits for its result.
std::array<caller_view, burst_size> release_together(const operation_type& op,
                                                     std::mt19937_64& random) {
    std::array<caller_view, burst_size> views;
    std::barrier start(burst_size);
    std::vector<std::jthread> callers;
    callers.reserve(burst_size);
    try {
        for (caller_view& view : views) {
            view.order.step = static_cast<unsigned>(random() % size_steps);
            view.order.slot = static_cast<unsigned>(callers.size());
            callers.emplace_back([&view, &start, &op] {
                start.arrive_and_wait();
                view.submitted = steady::now();
                view.report = report_of(op, view.order);
                view.delivered = steady::now();
            });
        }
    } catch (...) {
        // Those that started wait for as many others, who will never come.
        (void)start.arrive(burst_size - static_cast<std::ptrdiff_t>(callers.size()));
        throw;
    }
    callers.clear();  // joins them
    return views;
}

burst_figures figures_of(chore kind, std::span<const caller_view> views, verifier& checks) {
    burst_figures figures;
    figures.kind = kind;
    std::vector<double> durations;
    steady::time_point first = views.front().submitted;
    steady::time_point last_submitted = first;
    steady::time_point last_delivered = views.front().delivered;
    double cpu = 0.0;
    for (const caller_view& view : views) {
        ++(checks.check(kind, view.order, view.report) ? figures.ok : figures.failed);
        durations.push_back(seconds(view.delivered - view.submitted));
        first = std::min(first, view.submitted);
        last_submitted = std::max(last_submitted, view.submitted);
        last_delivered = std::max(last_delivered, view.delivered);
        if (view.report) cpu += seconds(view.report->cpu);
    }
    figures.jitter = seconds(last_submitted - first);
    figures.wall = seconds(last_delivered - first);
    figures.durations = spread_of(durations);
    figures.overlap = ratio(figures.durations.sum, figures.wall);
    figures.parallelism = ratio(cpu, figures.wall);
    return figures;
}

/// Batches of 10 to 20 tokens of all kinds until the time is over; each batch is resolved before
/// the next one.
window_figures run_window(double length, const operations_by_chore& operations,
                          const scratch_directory& files, std::mt19937_64& random, verifier& checks,
                          progress_line& progress) {
    struct pending {
        chore kind;
        chore_order order;
        steady::time_point submitted;
        token<task_report> result;
    };
    // The log is read and emptied whenever it has grown to some 600 KiB.
    constexpr std::size_t log_limit = 10'000;

    window_figures figures;
    duration_histogram latencies;
    double wall = 0.0;
    double cpu = 0.0;
    const steady::time_point begun = steady::now();
    steady::time_point now = begun;
    steady::time_point next_progress = begun;
    std::vector<pending> batch;
    while (seconds(now - begun) < length) {
        const unsigned size = 10 + static_cast<unsigned>(random() % 11);
        for (unsigned slot = 0; slot < size; ++slot) {
            const chore kind = all_chores[random() % all_chores.size()];
            const chore_order order{.step = static_cast<unsigned>(random() % size_steps),
                                    .slot = slot};
            const steady::time_point submitted = steady::now();
            batch.push_back({kind, order, submitted, operations[index_of(kind)](order)});
        }
        for (pending& each : batch) {
            const std::optional<task_report> report = report_of(std::move(each.result));
            const bool right = checks.check(each.kind, each.order, report);
            ++(right ? figures.ok : figures.failed);
            ++figures.by_chore[index_of(each.kind)];
            if (!report) continue;
            latencies.add(report->ended - each.submitted);
            wall += seconds(report->ended - each.submitted);
            cpu += seconds(report->cpu);
        }
        batch.clear();
        ++figures.batches;
        if (checks.log_lines() >= log_limit && !checks.check_log(files)) figures.log_whole = false;
        now = steady::now();
        if (now >= next_progress) {
            progress.show(number_text(seconds(now - begun), 1) + " s of " + number_text(length, 1) +
                          " s, " + std::to_string(figures.ok + figures.failed) + " tokens");
            next_progress = now + std::chrono::milliseconds(200);
        }
    }
    figures.seconds = seconds(now - begun);
    if (!checks.check_log(files)) figures.log_whole = false;
    figures.p50 = latencies.percentile(0.50);
    figures.p95 = latencies.percentile(0.95);
    figures.max = latencies.max();
    figures.overlap = ratio(wall, figures.seconds);
    figures.parallelism = ratio(cpu, figures.seconds);
    return figures;
}

}  // namespace

int run_burst(const burst_options& options) {
    const scratch_directory files;
    runtime rt(options.runtime.to_config());
    operations_by_chore operations{
        declare(rt, chore::moderate, files),   declare(rt, chore::complex, files),
        declare(rt, chore::heavy, files),      declare(rt, chore::log_append, files),
        declare(rt, chore::json_write, files), declare(rt, chore::blob_write, files)};
    std::mt19937_64 random(options.seed);
    verifier checks;
    progress_line progress;
    burst_result result;

    progress.show("bursts");
    for (const chore kind : all_chores) {
        const operation_type& op = operations[index_of(kind)];
        // The first burst warms up threads, files and memory; the second counts.
        const auto warm = release_together(op, random);
        const burst_figures unmeasured = figures_of(kind, warm, checks);
        const burst_figures figures = figures_of(kind, release_together(op, random), checks);
        result.warm_up.ok += unmeasured.ok;
        result.warm_up.failed += unmeasured.failed;
        result.warm_up.wall += unmeasured.wall;
        result.bursts.push_back(figures);
    }
    result.log_whole = checks.check_log(files);

    if (options.seconds > 0.0) {
        result.window = run_window(options.seconds, operations, files, random, checks, progress);
    }
    rt.wait_idle();
    result.counts = rt.stats().total();
    progress.clear();

    if (options.json) {
        print_json(burst_json(result));
    } else {
        print_burst(result);
    }
    return result.verified() ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
