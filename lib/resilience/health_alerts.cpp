// SPDX-License-Identifier: Apache-2.0
// What monitors have to say. Nothing is put into words unless somebody listens.
#include <array>
#include <cstdio>

#include "domain/worker.hpp"
#include "resilience/complaints.hpp"
#include "resilience/health.hpp"

namespace tokengate::detail {

std::string in_words(std::chrono::nanoseconds duration) {
    struct unit {
        double length;
        const char* name;
    };
    constexpr std::array<unit, 4> units{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
    const auto count = static_cast<double>(duration.count());
    const unit* fits = &units.back();
    for (const unit& each : units) {
        if (count >= each.length) {
            fits = &each;
            break;
        }
    }
    const double value = count / fits->length;
    std::array<char, 48> text{};
    // As many digits as a whole number needs, or three.
    std::snprintf(text.data(), text.size(), value < 100 ? "%.3g %s" : "%.0f %s", value, fits->name);
    return text.data();
}

namespace {

std::string in_unit(double value, std::string_view unit) {
    if (unit == "ns") {
        return in_words(std::chrono::nanoseconds(static_cast<std::int64_t>(value)));
    }
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.0f ", value);
    return text.data() + std::string(unit);
}

std::string name_of(const token_node& node) {
    return "token " + std::to_string(node.id) + " of operation '" + node.label->name + "'";
}

}  // namespace

const std::string& health_monitor::name() const noexcept { return operation_.label->name; }

std::string health_monitor::failures_in_words(const outcome_window::counts& seen) const {
    std::array<char, 64> rates{};
    std::snprintf(rates.data(), rates.size(), "%.3g %%, more than %.3g %%",
                  100 * seen.failure_rate(), 100 * limits_.block_above);
    return std::to_string(seen.failures) + " of its " + std::to_string(seen.attempts) +
           " attempts in " + in_words(limits_.window) + " had failed (" + rates.data() + ")";
}

alert health_monitor::about(alert_kind kind, const token_node* node) const {
    alert made;
    made.kind = kind;
    made.operation = name();
    if (node != nullptr) made.token = node->id;
    return made;
}

// By the worker that runs it.
alert health_monitor::from_here(alert_kind kind, const token_node& node) const {
    alert made = about(kind, &node);
    if (const worker* const self = worker::current()) {
        made.domain = self->domain_index();
        made.worker = name_of_thread(*self);
        made.thread = number_of_this_thread();
    }
    return made;
}

void health_monitor::tell_probe(const token_node& node) noexcept {
    alerts_.raise([&] {
        alert made = about(alert_kind::probing, &node);
        made.text = name_of(node) +
                    " is let through as a probe: if it succeeds, the operation is not blocked any "
                    "more";
        return made;
    });
}

void health_monitor::tell_change(circuit_breaker::change what, const token_node* node,
                                 bool by_probe) noexcept {
    if (what == circuit_breaker::change::none) return;
    const bool blocked = what == circuit_breaker::change::blocked;
    alerts_.raise([&] {
        alert made = about(blocked ? alert_kind::blocked : alert_kind::unblocked, node);
        if (!blocked) {
            made.text = "operation '" + name() + "' is not blocked any more: " +
                        (node != nullptr ? "its probe has succeeded" : "by unblock()");
            return made;
        }
        outcome_window::counts reason;
        {
            const std::scoped_lock guard(lock_);
            reason = timed_->breaker.reason();
        }
        made.measured = reason.failure_rate();
        made.limit = limits_.block_above;
        made.unit = "rate";
        made.text = "operation '" + name() + "' is blocked" + (by_probe ? " still" : "") + ": " +
                    failures_in_words(reason) + (by_probe ? ", and its probe has failed" : "") +
                    ". A call in " + in_words(limits_.probe_after) + " is let through as a probe";
        return made;
    });
}

void health_monitor::tell_spike(const token_node& node, const sample& seen,
                                std::string_view unit) noexcept {
    alerts_.raise([&] {
        alert made = from_here(alert_kind::spike, node);
        made.measured = seen.value;
        made.limit = spikes_.factor * seen.usual;
        made.unit = unit;
        made.text = name_of(node) + (unit == "ns" ? " ran for " : " has arguments of ") +
                    in_unit(seen.value, unit) + ", which is more than " + text_of(spikes_.factor) +
                    " times the usual " + in_unit(seen.usual, unit);
        return made;
    });
}

void health_monitor::tell_quarantine(const token_node& node) noexcept {
    alerts_.raise([&] {
        alert made = from_here(alert_kind::quarantined, node);
        made.text = "operation '" + name() + "' was paused because of a spike of token " +
                    std::to_string(node.id) +
                    ": resume() lets its tokens go on, cancel() discards them";
        return made;
    });
}

void health_monitor::tell_slow(const supervision& record) noexcept {
    alerts_.raise([&] {
        const token_node& node = record.node;
        const observation& seen = record.seen;
        const worker& runner = *seen.slow_on;
        const auto ran = std::chrono::nanoseconds(steady_now() - seen.slow_since);
        alert made = about(alert_kind::slow, &node);
        made.domain = runner.domain_index();
        made.worker = name_of_thread(runner);
        made.thread = seen.slow_thread;
        made.measured = static_cast<double>(ran.count());
        made.limit = static_cast<double>(slow_after_.count());
        made.unit = "ns";
        made.text = name_of(node) + " has run for " + in_words(ran) + ", longer than " +
                    in_words(slow_after_) + ", in domain " + std::to_string(runner.domain_index()) +
                    " on thread " + made.worker + " (" + std::to_string(made.thread) + ")";
        return made;
    });
}

}  // namespace tokengate::detail
