// SPDX-License-Identifier: Apache-2.0
// Runs the contenders of one work in turn and prints what it measured, one JSON object a line.
// bench/run starts it, once for each work, and makes the table.
#include <benchmark/benchmark.h>
#include <tbb/version.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "support/work.hpp"

namespace tokengate::bench {
namespace {

using nlohmann::json;

struct arguments {
    std::string work;
    unsigned threads = 2;
    unsigned rounds = 9;
    bool quick = false;
};

constexpr const char* usage =
    "usage: tokengate-bench WORK [--threads N] [--rounds N] [--quick]\n"
    "       tokengate-bench --list\n";

void print(const json& line) { std::cout << line.dump() << std::endl; }

// Google Benchmark hands each measurement to this; it passes it on.
class line_reporter : public benchmark::BenchmarkReporter {
  public:
    bool ReportContext(const Context&) override { return true; }

    void ReportRuns(const std::vector<Run>& report) override {
        for (const Run& run : report) {
            const std::string name = run.benchmark_name();
            const std::string contender = name.substr(0, name.find('/'));
            if (run.error_occurred) {
                print({{"event", "wrong"}, {"contender", contender}, {"why", run.error_message}});
                failed_ = true;
                continue;
            }
            const double tasks = run.counters.at("tasks");
            print({{"event", "run"},
                   {"contender", contender},
                   {"round", round_},
                   {"ns_per_task", run.real_accumulated_time * 1e9 / tasks},
                   {"cpu_ns_per_task", run.cpu_accumulated_time * 1e9 / tasks}});
        }
    }

    // Round 0 warms up and does not count.
    void begin(unsigned round) noexcept { round_ = round; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

  private:
    unsigned round_ = 0;
    bool failed_ = false;
};

// Long enough for the idle workers of the contender before to have gone to sleep.
constexpr std::chrono::milliseconds pause_between_turns{10};

void measure(benchmark::State& state, contender& runner, const setting& given) {
    try {
        runner.prepare();
        std::this_thread::sleep_for(pause_between_turns);
        for ([[maybe_unused]] auto _ : state) runner.run();
        runner.verify();
    } catch (const std::exception& wrong) {
        state.SkipWithError(wrong.what());
    }
    state.counters["tasks"] = static_cast<double>(given.tasks);
}

json description(const work& chosen, const setting& given, unsigned rounds) {
    json contenders = json::array();
    for (const entry& each : chosen.contenders) {
        contenders.push_back({{"name", each.name}, {"family", to_string(each.family)}});
    }
    json goals = json::array();
    for (const goal& each : chosen.goals) {
        const bool speed_up = each.measure == goal::kind::speed_up;
        goals.push_back({{"of", each.of},
                         {"against", each.against},
                         {"measure", speed_up ? "speed_up" : "time_ratio"},
                         {"limit", each.limit},
                         {"floor", each.floor}});
    }
    return {{"event", "work"},          {"id", chosen.id},
            {"title", chosen.title},    {"tasks", given.tasks},
            {"threads", given.threads}, {"rounds", rounds},
            {"contenders", contenders}, {"goals", goals}};
}

json build_description() {
    return {
        {"event", "build"},
#if defined(__clang__)
            {"compiler", "clang++ " __clang_version__},
#else
            {"compiler", "g++ " __VERSION__},
#endif
#ifdef __OPTIMIZE__
            {"optimized", true},
#else
            {"optimized", false},
#endif
        {
            "onetbb", TBB_runtime_version()
        }
    };
}

// A B C A B C ...: one repetition of each contender a round, so that all of them meet the same
// changes of the machine.
bool compete(const work& chosen, const arguments& wanted) {
    const setting given{.threads = wanted.threads,
                        .tasks = wanted.quick ? chosen.quick_tasks : chosen.tasks};
    print(build_description());
    print(description(chosen, given, wanted.rounds));

    std::vector<std::unique_ptr<contender>> runners;
    for (const entry& each : chosen.contenders) {
        runners.push_back(each.make(given));
        benchmark::RegisterBenchmark(
            std::string(each.name).c_str(),
            [runner = runners.back().get(), given](benchmark::State& state) {
                measure(state, *runner, given);
            })
            ->Iterations(1)
            ->MeasureProcessCPUTime()
            ->UseRealTime();
    }
    line_reporter reporter;
    for (unsigned round = 0; round <= wanted.rounds && !reporter.failed(); ++round) {
        reporter.begin(round);
        benchmark::RunSpecifiedBenchmarks(&reporter, "all");
    }
    return !reporter.failed();
}

std::optional<arguments> parse(int count, char** values) {
    arguments wanted;
    for (int i = 1; i < count; ++i) {
        const std::string_view word = values[i];
        if (word == "--quick") {
            wanted.quick = true;
        } else if ((word == "--threads" || word == "--rounds") && i + 1 < count) {
            unsigned& number = word == "--threads" ? wanted.threads : wanted.rounds;
            const char* text = values[++i];
            const char* end = text + std::strlen(text);
            const auto parsed = std::from_chars(text, end, number);
            if (parsed.ec != std::errc{} || parsed.ptr != end || number == 0) return std::nullopt;
        } else if (wanted.work.empty() && !word.starts_with('-')) {
            wanted.work = word;
        } else {
            return std::nullopt;
        }
    }
    if (wanted.work.empty()) return std::nullopt;
    return wanted;
}

int main(int count, char** values) {
    const std::vector<work> works = all_works();
    if (count == 2 && std::string_view(values[1]) == "--list") {
        for (const work& each : works) std::cout << each.id << '\t' << each.title << '\n';
        return 0;
    }
    const std::optional<arguments> wanted = parse(count, values);
    if (!wanted) {
        std::cerr << usage;
        return 2;
    }
    const auto chosen = std::ranges::find(works, wanted->work, &work::id);
    if (chosen == works.end()) {
        std::cerr << "tokengate-bench: there is no work " << wanted->work << '\n';
        return 2;
    }
    return compete(*chosen, *wanted) ? 0 : 1;
}

}  // namespace
}  // namespace tokengate::bench

int main(int count, char** values) {
    try {
        return tokengate::bench::main(count, values);
    } catch (const std::exception& error) {
        std::cerr << "tokengate-bench: " << error.what() << '\n';
        return 1;
    }
}
