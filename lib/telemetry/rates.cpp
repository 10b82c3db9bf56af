// SPDX-License-Identifier: Apache-2.0
#include "telemetry/rates.hpp"

#include <algorithm>

namespace tokengate::detail {

outcome_window::outcome_window(std::chrono::nanoseconds window, std::size_t slices)
    : clock_(window, slices), parts_(clock_.size()) {}

void outcome_window::move_to(std::int64_t now) noexcept {
    clock_.move_to(now, [this](std::size_t slice) {
        counts& over = parts_[slice];
        sum_.attempts -= over.attempts;
        sum_.failures -= over.failures;
        over = {};
    });
}

void outcome_window::record(bool failed, std::int64_t now) noexcept {
    move_to(now);
    counts& present = parts_[clock_.present()];
    for (counts* each : {&present, &sum_}) {
        ++each->attempts;
        if (failed) ++each->failures;
    }
}

outcome_window::counts outcome_window::look(std::int64_t now) noexcept {
    move_to(now);
    return sum_;
}

void outcome_window::clear() noexcept {
    std::fill(parts_.begin(), parts_.end(), counts{});
    sum_ = {};
}

}  // namespace tokengate::detail
