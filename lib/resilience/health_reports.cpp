// SPDX-License-Identifier: Apache-2.0
// What users may ask of how operations are doing.
#include <chrono>
#include <functional>
#include <utility>
#include <vector>

#include <tokengate/operation.hpp>
#include <tokengate/runtime.hpp>

#include "resilience/health.hpp"
#include "runtime_core.hpp"

namespace tokengate {

namespace detail {

namespace {

constexpr std::uint64_t too_few = 5;

health_monitor* monitor_of(const operation_core& operation) noexcept {
    return operation.supervised_by->health();
}

}  // namespace

health_level level_of(std::uint64_t attempts, std::uint64_t failures) noexcept {
    if (attempts < too_few) return health_level::unknown;
    const double successes =
        static_cast<double>(attempts - failures) / static_cast<double>(attempts);
    if (successes >= 0.95) return health_level::excellent;
    if (successes >= 0.8) return health_level::healthy;
    if (successes >= 0.5) return health_level::at_risk;
    return health_level::problematic;
}

health_report runtime_core::health_of(const operation_core& operation) const {
    in_parent_or_throw("health");
    health_report report;
    report.operation = operation.label->name;
    health_monitor* const monitor = monitor_of(operation);
    if (monitor == nullptr || !monitor->fill_in(report)) {
        const operation_stats seen = stats_of(operation);
        // Each retry follows an attempt that has failed.
        report.failures = seen.counts.failed + seen.counts.timed_out + seen.retries;
        report.attempts = seen.counts.completed + report.failures;
    }
    report.level = level_of(report.attempts, report.failures);
    if (report.attempts != 0) {
        report.failure_rate =
            static_cast<double>(report.failures) / static_cast<double>(report.attempts);
    }
    return report;
}

bool runtime_core::unblock(const operation_core& operation) {
    in_parent_or_throw("unblock");
    health_monitor* const monitor = monitor_of(operation);
    return monitor != nullptr && monitor->unblock();
}

std::vector<execution> runtime_core::recent() const {
    in_parent_or_throw("history");
    const std::vector<execution_record> seen = history_.snapshot();
    std::vector<execution> found;
    found.reserve(seen.size());
    for (const execution_record& each : seen) {
        found.push_back(
            {.operation = each.operation,
             .token = each.id,
             .outcome = each.outcome,
             .domain = each.domain,
             .attempt = each.attempt,
             .begun = std::chrono::steady_clock::time_point(std::chrono::nanoseconds(each.start)),
             .wait = std::chrono::nanoseconds(each.wait),
             .run = std::chrono::nanoseconds(each.run)});
    }
    return found;
}

void runtime_core::on_alert(std::function<void(const alert&)> hook) {
    in_parent_or_throw("on_alert");
    alerts_.set(std::move(hook));
}

health_report operation_handle::health() const { return core().runtime->health_of(core()); }

bool operation_handle::unblock() const { return core().runtime->unblock(core()); }

}  // namespace detail

std::vector<execution> runtime::history() const { return core_->recent(); }

void runtime::on_alert(std::function<void(const alert&)> hook) { core_->on_alert(std::move(hook)); }

}  // namespace tokengate
