// SPDX-License-Identifier: Apache-2.0
#include "waves.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include <absl/strings/str_format.h>

#include <tokengate/tokengate.hpp>

#include "baseline.hpp"
#include "report.hpp"
#include "waves_report.hpp"
#include "works.hpp"

namespace tokengate::app {
namespace {

using work_operation = operation<task_report(std::uint64_t)>;

work_operation declare(runtime& rt, work which, std::uint64_t seed) {
    return rt.operation(name_of(which), {.weight = weight_of(which)},
                        [which, seed](std::uint64_t index) {
                            return measured([&] { return perform(which, index, seed); });
                        });
}

/// Progress is shown once in so many tokens: to be told of each would have the workers wake the
/// main thread some 30,000 times, on a CPU that they need.
constexpr std::size_t tokens_per_mark = 1024;
using progress = std::function<void(std::size_t ended)>;

/// The job on TokenGate.
class gate_side {
  public:
    gate_side(const config& wanted, std::uint64_t seed)
        : runtime_(wanted),
          operations_{declare(runtime_, work::prime_sum, seed),
                      declare(runtime_, work::string_transform, seed),
                      declare(runtime_, work::sort, seed),
                      declare(runtime_, work::hash_chain, seed)} {}

    [[nodiscard]] const runtime& engine() const { return runtime_; }

    [[nodiscard]] task<wave_run> run(std::size_t count, const progress& show) {
        wave_run wave(count);
        std::vector<token<task_report>> tokens;
        std::vector<token<task_report>> marks;
        wave.begun = steady::now();
        for (std::size_t i = 0; i < count; ++i) {
            wave.submitted[i] = steady::now();
            tokens.push_back(operations_[i % operations_.size()](i));
            if (i % tokens_per_mark == 0) marks.push_back(tokens.back());
        }
        auto passed = as_completed(marks);
        while (co_await passed.next()) {
            show(std::min(count, (marks.size() - passed.left()) * tokens_per_mark));
        }
        co_await gather_outcomes(tokens);
        for (std::size_t i = 0; i < count; ++i) {
            if (tokens[i].state() == token_state::completed) wave.reports[i] = tokens[i].get();
        }
        wave.finished = steady::now();
        co_return wave;
    }

    /// What the runtime has counted, once nothing is in flight any more.
    [[nodiscard]] runtime_stats settled_stats() {
        runtime_.wait_idle();
        return runtime_.stats();
    }

  private:
    runtime runtime_;
    std::array<work_operation, all_works.size()> operations_;
};

/// The results of a serial run. Task i is the same in each wave, so every wave extends the last.
class serial_run {
  public:
    explicit serial_run(std::uint64_t seed) : seed_(seed) {}

    std::span<const std::uint64_t> first(std::size_t count) {
        while (results_.size() < count) {
            const std::size_t index = results_.size();
            results_.push_back(perform(work_of(index), index, seed_));
        }
        return std::span(results_).first(count);
    }

  private:
    std::uint64_t seed_;
    std::vector<std::uint64_t> results_;
};

/// Long enough for the idle threads of the side that ran before to go to sleep: each side has the
/// machine to itself.
void let_other_side_sleep() { std::this_thread::sleep_for(std::chrono::milliseconds(2)); }

std::vector<domain_stats> difference(std::vector<domain_stats> later,
                                     const std::vector<domain_stats>& earlier) {
    for (std::size_t i = 0; i < later.size() && i < earlier.size(); ++i) {
        for (std::size_t each = 0; each < weight_count; ++each) {
            later[i].executed[each] -= earlier[i].executed[each];
        }
        later[i].stolen -= earlier[i].stolen;
        later[i].parked -= earlier[i].parked;
    }
    return later;
}

constexpr std::size_t warm_up_tokens = 1024;

/// Runs all waves; hands each to `on_wave` as soon as it is done.
template <class OnWave>
waves_result measure(const waves_options& options, progress_line& line, OnWave&& on_wave) {
    gate_side gate(options.runtime.to_config(), options.seed);
    serial_run serial(options.seed);
    std::unique_ptr<baseline_side> tbb;
    waves_result total;
    total.cores = gate.engine().settings().cores;
    total.workers_per_core = gate.engine().settings().workers_per_core;
    if (options.baseline) {
        tbb = std::make_unique<baseline_side>(total.cores * total.workers_per_core, options.seed);
        total.baseline_seconds = 0.0;
    }

    line.show("warming up");
    bool baseline_right = true;
    (void)sync_wait(gate.run(warm_up_tokens, [](std::size_t) {}));
    if (tbb) (void)tbb->run(warm_up_tokens);
    const runtime_stats before = gate.settled_stats();

    for (int number = 1; number <= options.waves; ++number) {
        wave_result wave{.number = number, .tokens = std::size_t{2} << number};
        const auto show = [&](std::size_t ended) {
            line.show(absl::StrFormat("wave %d of %d: %u tokens, %u done", number, options.waves,
                                      wave.tokens, total.tokens + ended));
        };
        const std::span<const std::uint64_t> expected = serial.first(wave.tokens);
        const auto on_gate = [&] {
            let_other_side_sleep();
            wave.gate = figures_of(sync_wait(gate.run(wave.tokens, show)), expected);
        };
        const auto on_baseline = [&] {
            if (!tbb) return;
            let_other_side_sleep();
            wave.baseline = figures_of(tbb->run(wave.tokens), expected);
        };
        // In turn, so that neither side always finds the caches and the clock as the other left
        // them.
        if (number % 2 == 1) {
            on_gate();
            on_baseline();
        } else {
            on_baseline();
            on_gate();
        }

        total.tokens += wave.tokens;
        total.ok += wave.gate.ok;
        total.failed += wave.gate.failed;
        total.seconds += wave.gate.seconds;
        if (wave.baseline) {
            *total.baseline_seconds += wave.baseline->seconds;
            baseline_right = baseline_right && wave.baseline->failed == 0;
        }
        line.clear();
        on_wave(wave);
        total.waves.push_back(wave);
    }

    const runtime_stats after = gate.settled_stats();
    const std::uint64_t completed = after.total().completed - before.total().completed;
    total.domains = difference(after.domains, before.domains);
    total.verified = total.failed == 0 && baseline_right && completed == total.tokens &&
                     after.total().in_flight() == 0;
    return total;
}

}  // namespace

int run_waves(const waves_options& options) {
    std::optional<output_file> drawing;
    if (options.svg) drawing.emplace(*options.svg);

    progress_line progress;
    const waves_result result = measure(options, progress, [&](const wave_result& wave) {
        if (options.json) return;
        if (wave.number == 1) print_waves_header(options.baseline);
        print_wave(wave);
    });

    if (drawing) drawing->write(waves_svg(result));
    if (options.json) {
        print_json(waves_json(result));
    } else {
        print_waves_summary(result);
    }
    return result.verified ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
