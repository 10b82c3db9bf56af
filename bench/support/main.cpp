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
#include <map>
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
    /// @param runners  who is measured, by name; asked for what they have measured themselves
    explicit line_reporter(const std::map<std::string, contender*>& runners) : runners_(runners) {}

    bool ReportContext(const Context&) override { return true; }

    void ReportRuns(const std::vector<Run>& report) override {
        for (const Run& run : report) {
            const std::string full_name = run.benchmark_name();
            const std::string name = full_name.substr(0, full_name.find('/'));
            if (run.error_occurred) {
                print({{"event", "wrong"}, {"contender", name}, {"why", run.error_message}});
                failed_ = true;
                continue;
            }
            const double tasks = run.counters.at("tasks");
            json line = {{"event", "run"},
                         {"contender", name},
                         {"round", round_},
                         {"ns_per_task", run.real_accumulated_time * 1e9 / tasks},
                         {"cpu_ns_per_task", run.cpu_accumulated_time * 1e9 / tasks}};
            const contender& runner = *runners_.at(name);
            if (const std::optional<double> figure = runner.figure()) line["figure"] = *figure;
            if (const auto samples = runner.samples(); !samples.empty()) line["samples"] = samples;
            print(line);
        }
    }

    // Round 0 warms up and does not count.
    void begin(unsigned round) noexcept { round_ = round; }
    [[nodiscard]] bool failed() const noexcept { return failed_; }

  private:
    const std::map<std::string, contender*>& runners_;
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
        goals.push_back({{"of", each.of},
                         {"against", each.against},
                         {"figure", each.figure},
                         {"measure", to_string(each.measure)},
                         {"limit", each.limit},
                         {"floor", each.floor}});
    }
    return {{"event", "work"},
            {"id", chosen.id},
            {"title", chosen.title},
            {"tasks", given.tasks},
            {"threads", given.threads},
            {"rounds", rounds},
            {"unit", chosen.unit},
            {"curve", chosen.curve},
            {"at", chosen.at},
            {"all_tasks", chosen.tasks},
            {"most_rounds", chosen.most_rounds},
            {"contenders", contenders},
            {"goals", goals}};
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
    const unsigned rounds =
        chosen.most_rounds == 0 ? wanted.rounds : std::min(wanted.rounds, chosen.most_rounds);
    print(build_description());
    print(description(chosen, given, rounds));

    std::vector<std::unique_ptr<contender>> runners;
    std::map<std::string, contender*> by_name;
    for (const entry& each : chosen.contenders) {
        runners.push_back(each.make(given));
        by_name.emplace(each.name, runners.back().get());
        benchmark::RegisterBenchmark(
            std::string(each.name).c_str(),
            [runner = runners.back().get(), given](benchmark::State& state) {
                measure(state, *runner, given);
            })
            ->Iterations(1)
            ->MeasureProcessCPUTime()
            ->UseRealTime();
    }
    line_reporter reporter(by_name);
    for (unsigned round = 0; round <= rounds && !reporter.failed(); ++round) {
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
