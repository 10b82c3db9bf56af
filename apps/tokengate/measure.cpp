// SPDX-License-Identifier: Apache-2.0
#include "measure.hpp"

#include <algorithm>
#include <cmath>

namespace tokengate::app {
namespace {

/// How many of `count` values lie at or below the percentile of `share`; at least one.
std::size_t rank_of(double share, std::size_t count) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(count)));
    return std::clamp<std::size_t>(rank, 1, count);
}

}  // namespace

spread spread_of(std::span<const double> values) noexcept {
    if (values.empty()) return {};
    spread result{.min = values.front(), .max = values.front()};
    for (const double value : values) {
        result.min = std::min(result.min, value);
        result.max = std::max(result.max, value);
        result.sum += value;
    }
    const auto count = static_cast<double>(values.size());
    result.mean = result.sum / count;
    double squares = 0.0;
    for (const double value : values) squares += (value - result.mean) * (value - result.mean);
    result.deviation = std::sqrt(squares / count);
    return result;
}

double percentile(std::span<double> values, double share) {
    if (values.empty()) return 0.0;
    const auto place =
        values.begin() + static_cast<std::ptrdiff_t>(rank_of(share, values.size()) - 1);
    std::nth_element(values.begin(), place, values.end());
    return *place;
}

void duration_histogram::add(std::chrono::nanoseconds duration) noexcept {
    const auto value =
        static_cast<std::uint64_t>(std::max<std::chrono::nanoseconds::rep>(duration.count(), 0));
    ++buckets_[bucket_of(value)];
    ++count_;
    max_ = std::max(max_, value);
}

double duration_histogram::percentile(double share) const noexcept {
    if (count_ == 0) return 0.0;
    std::uint64_t left = rank_of(share, count_);
    for (std::size_t bucket = 0; bucket < bucket_count; ++bucket) {
        if (buckets_[bucket] >= left) {
            return static_cast<double>(std::min(upper_bound_of(bucket), max_)) * 1e-9;
        }
        left -= buckets_[bucket];
    }
    return max();
}

// Values below 2^sub_bits have a bucket each; from there on every power of two has 2^sub_bits.
std::size_t duration_histogram::bucket_of(std::uint64_t value) noexcept {
    if (value < (1U << sub_bits)) return static_cast<std::size_t>(value);
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - sub_bits - 1;
    return (std::size_t{shift} << sub_bits) + static_cast<std::size_t>(value >> shift);
}

std::uint64_t duration_histogram::upper_bound_of(std::size_t bucket) noexcept {
    if (bucket < (std::size_t{2} << sub_bits)) return bucket;
    const std::size_t shift = (bucket >> sub_bits) - 1;
    const std::uint64_t first = (bucket & ((1U << sub_bits) - 1)) + (1U << sub_bits);
    return ((first + 1) << shift) - 1;
}

}  // namespace tokengate::app
