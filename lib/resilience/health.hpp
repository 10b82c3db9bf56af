// SPDX-License-Identifier: Apache-2.0
/// @file
/// How one operation is doing: times, reputation, spikes. Protocol: README.md, "Health".
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <tokengate/error.hpp>
#include <tokengate/health.hpp>
#include <tokengate/locality.hpp>
#include <tokengate/stats.hpp>

#include "resilience/alerts.hpp"
#include "resilience/breaker.hpp"
#include "resilience/supervision.hpp"
#include "resilience/watchdog.hpp"
#include "telemetry/histogram.hpp"
#include "telemetry/history.hpp"
#include "telemetry/rates.hpp"

namespace tokengate::detail {

class health_monitor;

/// Leave to make one call of an operation that may be blocked. Until a token has it, its end gives
/// the probe back.
class passage {
  public:
    passage() = default;
    ~passage();
    passage(const passage&) = delete;
    passage& operator=(const passage&) = delete;

    /// The call has got its token.
    void move_into(token_node& node) noexcept;

  private:
    friend class health_monitor;
    health_monitor* from_ = nullptr;  ///< of a probe
    std::uint32_t probe_ = 0;
};

/// One for each operation that is watched in this way.
///
/// Thread safety: any thread. Its lock is the last that is taken, and is held for a few
/// instructions, but for a look at percentiles; alerts are raised while nothing is held.
class health_monitor {
  public:
    /// True if an operation with these traits needs one.
    [[nodiscard]] static bool is_needed_for(const operation_traits& traits) noexcept;

    /// What is wrong with those traits.
    [[nodiscard]] static std::string complain(const operation_traits& traits);

    /// @throws std::bad_alloc
    health_monitor(operation_core& operation, const operation_traits& traits,
                   const alert_hook& alerts, history& executions, timers& clock);
    health_monitor(const health_monitor&) = delete;
    health_monitor& operator=(const health_monitor&) = delete;

    /// A call wants to be made. If it may not: what to throw.
    [[nodiscard]] std::optional<operation_blocked> enter(passage& leave);

    /// A token was given a probe's leave.
    void begin_probe(token_node& node, std::uint32_t probe) noexcept;

    /// A probe ends without an answer.
    void lose(std::uint32_t probe) noexcept;

    /// Before the first attempt. True if the token is to wait aside, since its arguments are a
    /// spike.
    [[nodiscard]] bool sets_aside(supervision& record) noexcept;

    /// An attempt has ended, so; `waiting`: it has thrown, and there is to be another one.
    void judge(supervision& record, token_state outcome) noexcept;

    /// A token was timed out while it executes. Perhaps its attempt has ended meanwhile.
    void judge_late(supervision& record) noexcept;

    /// The callable of a token is slow; by the thread of the timers.
    void tell_slow(const supervision& record) noexcept;

    /// Its times, and how often there were spikes.
    void fill_in(operation_stats& stats) noexcept;

    /// What the window says; nothing if the operation is not timed.
    [[nodiscard]] bool fill_in(health_report& report) noexcept;

    /// False if it was not blocked.
    bool unblock() noexcept;

    /// Nothing is measured for it but what goes to the history.
    [[nodiscard]] bool timed() const noexcept { return timed_.has_value(); }

    /// One attempt; on the stack of the worker, while the callable runs.
    class attempt {
      public:
        attempt(health_monitor& by, supervision& record) noexcept : seen_(record.seen) {
            seen_.begun_at = steady_now();
            if (by.slow_after_.count() != 0) slow_.emplace(by.timers_, record, by.slow_after_);
        }
        ~attempt() {
            slow_.reset();
            seen_.ended_at = steady_now();
        }
        attempt(const attempt&) = delete;
        attempt& operator=(const attempt&) = delete;

      private:
        observation& seen_;
        std::optional<slow_run> slow_;
    };

  private:
    /// What costs memory.
    struct measures {
        explicit measures(const health_limits& limits) : breaker(limits) {}

        histogram waits;
        histogram runs;
        circuit_breaker breaker;
        moving_average run_time;
        moving_average argument_size;
        std::uint64_t spikes = 0;
    };

    /// A sample, and the average that it was compared with.
    struct sample {
        double value = 0;
        double usual = 0;
        bool spike = false;
    };
    // Under the lock.
    [[nodiscard]] sample compare(moving_average& with, double value) noexcept;

    [[nodiscard]] alert from_here(alert_kind kind, const token_node& node) const;
    void tell_probe(const token_node& node) noexcept;
    void tell_quarantine(const token_node& node) noexcept;
    void push(const supervision& record, token_state result) noexcept;
    void tell_change(circuit_breaker::change what, const token_node* node, bool by_probe) noexcept;
    void tell_spike(const token_node& node, const sample& seen, std::string_view unit) noexcept;
    [[nodiscard]] bool quarantine(const token_node& node) noexcept;
    [[nodiscard]] alert about(alert_kind kind, const token_node* node) const;
    [[nodiscard]] const std::string& name() const noexcept;
    [[nodiscard]] std::string failures_in_words(const outcome_window::counts& seen) const;

    operation_core& operation_;
    const health_limits limits_;
    const spike_limits spikes_;
    const std::chrono::nanoseconds slow_after_;
    const alert_hook& alerts_;
    history& history_;
    timers& timers_;

    std::mutex lock_;
    std::optional<measures> timed_;  ///< its content under lock_
};

/// What to think of an operation with so many attempts.
[[nodiscard]] health_level level_of(std::uint64_t attempts, std::uint64_t failures) noexcept;

/// A duration for people: three digits or so.
[[nodiscard]] std::string in_words(std::chrono::nanoseconds duration);

}  // namespace tokengate::detail
