// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the jobs measure: what one task took, and figures over many.
#pragma once

#include <time.h>

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace tokengate::app {

using steady = std::chrono::steady_clock;

/// A span of time in seconds.
template <class Rep, class Period>
[[nodiscard]] constexpr double seconds(std::chrono::duration<Rep, Period> span) noexcept {
    return std::chrono::duration<double>(span).count();
}

/// CPU time that the calling thread has used so far.
[[nodiscard]] inline std::chrono::nanoseconds thread_cpu_time() noexcept {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

/// What a task delivers: a fingerprint of its result, and what it took.
struct task_report {
    std::uint64_t fingerprint = 0;
    steady::time_point started;
    steady::time_point ended;
    std::chrono::nanoseconds cpu{0};
};

/// Runs `task` on the calling thread and measures it.
template <std::invocable Task>
[[nodiscard]] task_report measured(Task&& task) {
    task_report report;
    report.started = steady::now();
    const std::chrono::nanoseconds before = thread_cpu_time();
    report.fingerprint = std::forward<Task>(task)();
    report.cpu = thread_cpu_time() - before;
    report.ended = steady::now();
    return report;
}

/// `dividend / divisor`, and 0 where there is nothing to divide by: figures stay finite.
[[nodiscard]] constexpr double ratio(double dividend, double divisor) noexcept {
    return divisor > 0.0 ? dividend / divisor : 0.0;
}

/// The usual figures over a set of values; all 0 for an empty one.
struct spread {
    double min = 0.0;
    double max = 0.0;
    double mean = 0.0;
    double deviation = 0.0;  ///< standard deviation of the population
    double sum = 0.0;
};
[[nodiscard]] spread spread_of(std::span<const double> values) noexcept;

/// The smallest value that at least `share` (0 to 1) of the values do not exceed. Reorders them.
[[nodiscard]] double percentile(std::span<double> values, double share);

/// Counts durations in buckets that are 1/32 of their value wide, so that percentiles over any
/// number of them take the same little memory. Minimum and maximum are exact.
class duration_histogram {
  public:
    void add(std::chrono::nanoseconds duration) noexcept;

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    /// Seconds; 0 if nothing was counted.
    [[nodiscard]] double max() const noexcept { return static_cast<double>(max_) * 1e-9; }
    /// Seconds, at most 1/32 too high.
    [[nodiscard]] double percentile(double share) const noexcept;

  private:
    static constexpr unsigned sub_bits = 5;
    static constexpr std::size_t bucket_count = std::size_t{65 - sub_bits} << sub_bits;

    [[nodiscard]] static std::size_t bucket_of(std::uint64_t value) noexcept;
    [[nodiscard]] static std::uint64_t upper_bound_of(std::size_t bucket) noexcept;

    std::array<std::uint64_t, bucket_count> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_ = 0;
};

}  // namespace tokengate::app
