// SPDX-License-Identifier: Apache-2.0
#include "soak.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "measure.hpp"
#include "report.hpp"
#include "soak_caller.hpp"
#include "soak_control.hpp"
#include "soak_field.hpp"
#include "soak_report.hpp"

namespace tokengate::app {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds patience{60};

/// Everything that a soak consists of.
class soak_run {
  public:
    explicit soak_run(const soak_options& options)
        : options_(options),
          field_(options.seed, options.broken),
          rt_(soak_config(options.runtime.to_config(), options.seed)) {
        field_.declare(rt_);
        for (std::uint32_t i = 1; i <= options.threads; ++i) {
            callers_.push_back(std::make_unique<soak_caller>(field_, options.seed, i));
        }
    }

    soak_result run() {
        const steady::time_point begun = steady::now();
        load(begun);
        result_.seconds = seconds(steady::now() - begun);
        drain();
        collect();
        return std::move(result_);
    }

  private:
    /// Calls and interferes until the time is over and all that was kept has ended.
    void load(steady::time_point begun) {
        std::atomic<bool> over{false};
        std::atomic<bool> calls_over{false};
        std::vector<std::future<void>> callers;
        std::future<void> meddler = std::async(
            std::launch::async, [&] { interfere(rt_, field_, options_.seed, over, result_.done); });
        for (const auto& each : callers_) {
            callers.push_back(std::async(std::launch::async, [&] { each->run(calls_over); }));
        }
        show_progress(begun);
        // Relaxed: nothing is published by it. The meddler first, which leaves the runtime running
        // and resumed, so that callers get on.
        over.store(true, std::memory_order_relaxed);
        await(meddler, "the thread that pauses, kills and stops");
        calls_over.store(true, std::memory_order_relaxed);
        for (std::future<void>& each : callers) await(each, "a thread that calls");
        progress_.clear();
        meddler.get();
        for (std::future<void>& each : callers) each.get();
    }

    void show_progress(steady::time_point begun) {
        double passed = 0.0;
        while (passed < options_.seconds) {
            const double rest = std::min(options_.seconds - passed, 1.0);
            std::this_thread::sleep_for(std::chrono::duration<double>(rest));
            passed = seconds(steady::now() - begun);
            progress_.show(number_text(passed) + " s of " + number_text(options_.seconds) + " s, " +
                           count_text(rt_.stats().total().accepted, "token"));
        }
    }

    /// Waits until nothing is left of anything, or for as long as the patience lasts: what was
    /// killed while it ran gives back what it has when its callable has returned.
    void drain() {
        field_.forget_shown();
        const steady::time_point until = steady::now() + patience;
        while (!rt_.wait_idle_for(100ms) || field_.inside() != 0 ||
               look_for_leftovers().sum() != 0) {
            if (steady::now() > until) break;
            std::this_thread::sleep_for(1ms);
        }
        if (rt_.stats().total().in_flight() != 0 || field_.inside() != 0) give_up("the runtime");
        result_.left = look_for_leftovers();
        // The workers are gone then, so that nobody counts behind the back of the checks.
        std::future<void> stop = std::async(std::launch::async, [&] { rt_.stop(); });
        await(stop, "stop()");
        stop.get();
    }

    [[nodiscard]] soak_leftovers look_for_leftovers() const {
        const runtime_stats stats = rt_.stats();
        soak_leftovers left;
        left.keys = left_of(stats.locality);
        left.chains = rt_.open_chains().size();
        for (const operation_stats& each : stats.operations) left.set_aside += each.set_aside;
        for (const storage each : all_storage) {
            const storage_stats seen = stats_of(each);
            left.permits += seen.executing + seen.waiting;
        }
        left.objects = static_cast<std::uint64_t>(soak_object::alive());
        return left;
    }

    void collect() {
        result_.seed = options_.seed;
        result_.threads = options_.threads;
        result_.limits = rt_.settings();
        for (const auto& each : callers_) result_.calls += each->found();
        result_.deadlocks = field_.deadlocks();
        // Relaxed: nobody counts any more.
        result_.wrong = field_.faults().wrong.load(std::memory_order_relaxed);
        result_.disorder = field_.faults().disorder.load(std::memory_order_relaxed);
        result_.side_by_side = field_.faults().side_by_side.load(std::memory_order_relaxed);
        result_.stats = rt_.stats();
        result_.read_ledger(field_);
    }

    void await(const std::future<void>& thread, const char* what) {
        if (thread.wait_for(patience) != std::future_status::ready) give_up(what);
    }

    /// Says who still has tokens, and ends the process: its threads cannot be joined.
    [[noreturn]] void give_up(const char* what) {
        progress_.clear();
        std::fprintf(stderr, "tokengate: %s did not end within %lld seconds (seed %llu)\n", what,
                     static_cast<long long>(patience.count()),
                     static_cast<unsigned long long>(options_.seed));
        std::fprintf(stderr, "tokengate: %s in flight, %s inside; the runtime %s\n",
                     count_text(rt_.stats().total().in_flight(), "token").c_str(),
                     count_text(field_.inside(), "callable").c_str(),
                     rt_.running() ? "runs" : "has stopped");
        for (std::size_t which = 0; which < field_.size(); ++which) complain_about(which);
        for (const storage each : all_storage) {
            const storage_stats seen = stats_of(each);
            std::fprintf(stderr, "tokengate: storage '%s': limit %zu, %zu execute, %zu wait\n",
                         std::string(to_string(each)).c_str(), seen.limit, seen.executing,
                         seen.waiting);
        }
        std::fflush(nullptr);
        std::_Exit(exit_check_failed);
    }

    void complain_about(std::size_t which) {
        const soak_operation& op = field_.operation(which);
        const operation_stats stats = op.stats();
        if (stats.counts.in_flight() == 0 && stats.set_aside == 0) return;
        soak_states states{};
        for (const auto& each : callers_) {
            const soak_states more = each->states_of(which);
            for (std::size_t i = 0; i < states.size(); ++i) states[i] += more[i];
        }
        std::string held;
        for (std::size_t i = 0; i < states.size(); ++i) {
            if (states[i] == 0) continue;
            held += (held.empty() ? "" : ", ") + std::to_string(states[i]) + ' ' +
                    std::string(to_string(static_cast<token_state>(i)));
        }
        std::fprintf(stderr,
                     "tokengate: '%s': %llu in flight, %zu set aside%s; those that are held: %s\n",
                     field_.kind(which).name.c_str(),
                     static_cast<unsigned long long>(stats.counts.in_flight()), stats.set_aside,
                     op.paused() ? ", paused" : "", held.empty() ? "none" : held.c_str());
    }

    const soak_options& options_;
    soak_field field_;
    runtime rt_;
    std::vector<std::unique_ptr<soak_caller>> callers_;
    progress_line progress_;
    soak_result result_;
};

}  // namespace

int run_soak(const soak_options& options) {
    const soak_result result = soak_run(options).run();
    if (options.json) {
        print_json(soak_json(result));
    } else {
        print_soak(result);
    }
    complain(result.expectations(), "seed " + std::to_string(result.seed));
    return result.verified() ? exit_fine : exit_check_failed;
}

}  // namespace tokengate::app
