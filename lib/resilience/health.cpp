// SPDX-License-Identifier: Apache-2.0
#include "resilience/health.hpp"

#include <algorithm>
#include <exception>

#include "domain/worker.hpp"
#include "resilience/health_traits.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

time_stats stats_of(histogram& times, steady_ns now) noexcept {
    const histogram::snapshot seen = times.look(now);
    const auto duration = [](std::int64_t count) { return std::chrono::nanoseconds(count); };
    return {.count = seen.count,
            .mean = duration(static_cast<std::int64_t>(seen.mean)),
            .p50 = duration(seen.p50),
            .p95 = duration(seen.p95),
            .p99 = duration(seen.p99),
            .max = duration(seen.max)};
}

}  // namespace

passage::~passage() {
    if (from_ != nullptr) from_->lose(probe_);
}

void passage::move_into(token_node& node) noexcept {
    if (from_ == nullptr) return;
    std::exchange(from_, nullptr)->begin_probe(node, probe_);
}

bool health_monitor::is_needed_for(const operation_traits& traits) noexcept {
    return traits.timed || traits.slow_after.count() != 0 || traits.health.block ||
           traits.spikes.factor != 0;
}

std::string health_monitor::complain(const operation_traits& traits) {
    const std::string of_health = detail::complain(traits.health);
    const std::string of_spikes = detail::complain(traits.spikes);
    return of_health + (of_health.empty() || of_spikes.empty() ? "" : "; and ") + of_spikes;
}

health_monitor::health_monitor(operation_core& operation, const operation_traits& traits,
                               const alert_hook& alerts, history& executions, timers& clock)
    : operation_(operation),
      limits_(traits.health),
      spikes_(traits.spikes),
      slow_after_(traits.slow_after),
      alerts_(alerts),
      history_(executions),
      timers_(clock) {
    if (is_needed_for(traits)) timed_.emplace(limits_);
}

std::optional<operation_blocked> health_monitor::enter(passage& leave) {
    if (!limits_.block) return std::nullopt;
    const steady_ns now = steady_now();
    outcome_window::counts reason;
    steady_ns since = 0;
    steady_ns next = 0;
    bool probing = false;
    {
        const std::scoped_lock guard(lock_);
        circuit_breaker& breaker = timed_->breaker;
        const circuit_breaker::entry found = breaker.enter(now);
        if (found.probe != 0) {
            leave.from_ = this;
            leave.probe_ = found.probe;
        }
        if (found.in) return std::nullopt;
        reason = breaker.reason();
        since = breaker.since();
        next = breaker.next_probe();
        probing = breaker.probing();
    }
    const auto ago = std::chrono::nanoseconds(std::max<steady_ns>(now - since, 0));
    const auto ahead = std::chrono::nanoseconds(std::max<steady_ns>(next - now, 0));
    return operation_blocked(
        "a call of operation '" + name() +
            "' was refused, because the operation is blocked since " + in_words(ago) + ": " +
            failures_in_words(reason) + ". " +
            (probing ? "A probe is under way, which unblocks it if it succeeds"
                     : "A call in " + in_words(ahead) +
                           " is let through as a probe, which unblocks it if it succeeds") +
            "; call unblock() if the cause is gone before",
        name(), reason.attempts, reason.failures,
        std::chrono::steady_clock::time_point(std::chrono::nanoseconds(since)));
}

void health_monitor::begin_probe(token_node& node, std::uint32_t probe) noexcept {
    supervision_of(node).seen.probe = probe;
    tell_probe(node);
}

void health_monitor::lose(std::uint32_t probe) noexcept {
    if (probe == 0) return;
    const std::scoped_lock guard(lock_);
    timed_->breaker.lose(probe);
}

health_monitor::sample health_monitor::compare(moving_average& with, double value) noexcept {
    const sample found{.value = value,
                       .usual = with.value(),
                       .spike = spikes_.factor != 0 && with.samples() >= spikes_.samples &&
                                value > spikes_.factor * with.value()};
    with.add(value);
    if (found.spike) ++timed_->spikes;
    return found;
}

bool health_monitor::sets_aside(supervision& record) noexcept {
    observation& own = record.seen;
    if (spikes_.factor == 0 || own.weighed) return false;
    own.weighed = true;
    const token_node& node = record.node;
    const auto measure = plain_frame(node.type()).argument_bytes;
    if (measure == nullptr) return false;
    const auto bytes = static_cast<double>(measure(node));
    sample found;
    {
        const std::scoped_lock guard(lock_);
        found = compare(timed_->argument_size, bytes);
    }
    if (!found.spike) return false;
    tell_spike(node, found, "bytes");
    own.steps_aside = quarantine(node);
    return own.steps_aside;
}

void health_monitor::judge(supervision& record, token_state outcome) noexcept {
    const token_node& node = record.node;
    const observation& own = record.seen;
    const bool last = outcome != token_state::waiting;
    // Somebody may have ended it while it ran.
    const token_state phase = node.state.phase();
    const token_state result = is_terminal(phase) ? phase : last ? outcome : token_state::failed;
    push(record, result);
    if (!timed()) return;
    const steady_ns now = own.ended_at;
    const std::uint32_t number = record.attempts.load(std::memory_order_relaxed);
    sample run;
    auto what = circuit_breaker::change::none;
    {
        const std::scoped_lock guard(lock_);
        measures& all = *timed_;
        if (number == 1) all.waits.record(own.begun_at - record.called_at, now);
        all.runs.record(now - own.begun_at, now);
        run = compare(all.run_time, static_cast<double>(now - own.begun_at));
        if (result == token_state::killed) {
            all.breaker.lose(own.probe);
        } else if (record.seen.judged != number) {
            record.seen.judged = number;
            what = result == token_state::completed
                       ? all.breaker.succeed(own.probe, now)
                       : all.breaker.fail(own.probe, last || is_terminal(phase), now);
        }
    }
    tell_change(what, &node, own.probe != 0);
    if (!run.spike) return;
    tell_spike(node, run, "ns");
    if (spikes_.quarantine) static_cast<void>(quarantine(node));
}

void health_monitor::judge_late(supervision& record) noexcept {
    if (!timed()) return;
    const std::uint32_t number = record.attempts.load(std::memory_order_relaxed);
    auto what = circuit_breaker::change::none;
    {
        const std::scoped_lock guard(lock_);
        if (record.seen.judged == number) return;
        record.seen.judged = number;
        what = timed_->breaker.fail(record.seen.probe, true, steady_now());
    }
    tell_change(what, &record.node, record.seen.probe != 0);
}

void health_monitor::push(const supervision& record, token_state result) noexcept {
    if (history_.capacity() == 0) return;
    const token_node& node = record.node;
    const observation& own = record.seen;
    history_.push({.id = node.id,
                   .operation = node.label->name,
                   .outcome = result,
                   .domain = node.domain.load(std::memory_order_relaxed),
                   .start = own.begun_at,
                   .wait = std::max<steady_ns>(own.begun_at - record.called_at, 0),
                   .run = own.ended_at - own.begun_at,
                   .attempt = record.attempts.load(std::memory_order_relaxed)});
}

bool health_monitor::quarantine(const token_node& node) noexcept {
    if (!spikes_.quarantine) return false;
    const bool before = operation_.aside->paused();
    try {
        operation_.runtime->pause(operation_);
    } catch (const std::exception&) {
        // Without memory for a message, at most: then it is not paused.
    }
    // Not while the runtime stops: what drains must come to its end.
    if (!operation_.aside->paused()) return false;
    if (!before) tell_quarantine(node);
    return true;
}

void health_monitor::fill_in(operation_stats& stats) noexcept {
    if (!timed()) return;
    const steady_ns now = steady_now();
    const std::scoped_lock guard(lock_);
    stats.wait = stats_of(timed_->waits, now);
    stats.run = stats_of(timed_->runs, now);
    stats.spikes = timed_->spikes;
}

bool health_monitor::fill_in(health_report& report) noexcept {
    if (!timed()) return false;
    const steady_ns now = steady_now();
    const std::scoped_lock guard(lock_);
    const outcome_window::counts seen = timed_->breaker.look(now);
    report.attempts = seen.attempts;
    report.failures = seen.failures;
    report.window = limits_.window;
    report.wait = stats_of(timed_->waits, now);
    report.run = stats_of(timed_->runs, now);
    report.blocked = timed_->breaker.open();
    report.probing = timed_->breaker.probing();
    return true;
}

bool health_monitor::unblock() noexcept {
    if (!limits_.block) return false;
    {
        const std::scoped_lock guard(lock_);
        if (!timed_->breaker.reset()) return false;
    }
    tell_change(circuit_breaker::change::unblocked, nullptr, false);
    return true;
}

}  // namespace tokengate::detail
