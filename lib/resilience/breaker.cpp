// SPDX-License-Identifier: Apache-2.0
#include "resilience/breaker.hpp"

#include <limits>

namespace tokengate::detail {

circuit_breaker::circuit_breaker(const health_limits& limits)
    : limits_(limits), recent_(limits.window) {}

circuit_breaker::entry circuit_breaker::enter(steady_ns now) noexcept {
    if (!open_) return {};
    if (probe_ != 0 || now < next_probe_) return {.in = false};
    // 0 is none.
    if (++last_probe_ == 0) ++last_probe_;
    probe_ = last_probe_;
    return {.in = true, .probe = probe_};
}

circuit_breaker::change circuit_breaker::succeed(std::uint32_t probe, steady_ns now) noexcept {
    recent_.record(false, now);
    if (!open_ || probe == 0 || probe != probe_) return change::none;
    reset();
    return change::unblocked;
}

circuit_breaker::change circuit_breaker::fail(std::uint32_t probe, bool last,
                                              steady_ns now) noexcept {
    recent_.record(true, now);
    if (open_) {
        if (!last || probe == 0 || probe != probe_) return change::none;
        probe_ = 0;
        next_probe_ = later(now);
        return change::blocked;
    }
    if (!limits_.block) return change::none;
    const outcome_window::counts seen = recent_.look(now);
    if (seen.attempts < limits_.attempts || seen.failure_rate() <= limits_.block_above) {
        return change::none;
    }
    open_ = true;
    probe_ = 0;
    since_ = now;
    reason_ = seen;
    next_probe_ = later(now);
    return change::blocked;
}

void circuit_breaker::lose(std::uint32_t probe) noexcept {
    // It has passed already: the next call need not wait for it once more.
    if (probe != 0 && probe == probe_) probe_ = 0;
}

bool circuit_breaker::reset() noexcept {
    if (!open_) return false;
    open_ = false;
    probe_ = 0;
    recent_.clear();
    return true;
}

steady_ns circuit_breaker::later(steady_ns now) const noexcept {
    constexpr steady_ns end = std::numeric_limits<steady_ns>::max();
    const steady_ns delay = limits_.probe_after.count();
    return delay > end - now ? end : now + delay;
}

}  // namespace tokengate::detail
