// SPDX-License-Identifier: Apache-2.0
#include "telemetry/histogram.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace tokengate::detail {

namespace {

constexpr unsigned first_doubling = histogram::fine_bits + 1;  // below it, all have their own
constexpr std::size_t each_for_itself = std::size_t{1} << first_doubling;
constexpr std::size_t in_a_doubling = std::size_t{1} << histogram::fine_bits;

}  // namespace

void histogram::part::clear() noexcept {
    if (count == 0) return;
    count = 0;
    sum = 0.0;
    max = 0;
    std::fill(in.begin(), in.end(), 0);
}

histogram::histogram(std::chrono::nanoseconds window, std::size_t slices)
    : clock_(window, slices), parts_(clock_.size()) {}

std::size_t histogram::bucket_of(std::int64_t duration) noexcept {
    const auto value = static_cast<std::uint64_t>(duration);
    if (value < each_for_itself) return static_cast<std::size_t>(value);
    const auto doubling = static_cast<unsigned>(std::bit_width(value)) - 1;
    // The bits behind the highest one: which of its doubling.
    const std::uint64_t fine = (value >> (doubling - fine_bits)) - in_a_doubling;
    return each_for_itself + (doubling - first_doubling) * in_a_doubling +
           static_cast<std::size_t>(fine);
}

std::int64_t histogram::middle_of(std::size_t bucket) noexcept {
    if (bucket < each_for_itself) return static_cast<std::int64_t>(bucket);
    const auto above = bucket - each_for_itself;
    const auto doubling = first_doubling + static_cast<unsigned>(above / in_a_doubling);
    const std::uint64_t width = std::uint64_t{1} << (doubling - fine_bits);
    const std::uint64_t low = (in_a_doubling + above % in_a_doubling) * width;
    return static_cast<std::int64_t>(low + (width - 1) / 2);
}

void histogram::move_to(std::int64_t now) noexcept {
    clock_.move_to(now, [this](std::size_t slice) { parts_[slice].clear(); });
}

void histogram::record(std::int64_t duration, std::int64_t now) noexcept {
    move_to(now);
    const std::int64_t taken = std::max<std::int64_t>(duration, 0);
    part& present = parts_[clock_.present()];
    ++present.count;
    present.sum += static_cast<double>(taken);
    present.max = std::max(present.max, taken);
    ++present.in[bucket_of(taken)];
}

histogram::snapshot histogram::look(std::int64_t now) noexcept {
    move_to(now);
    snapshot seen;
    double sum = 0.0;
    for (const part& each : parts_) {
        seen.count += each.count;
        sum += each.sum;
        seen.max = std::max(seen.max, each.max);
    }
    if (seen.count == 0) return seen;
    seen.mean = sum / static_cast<double>(seen.count);

    struct wanted {
        std::uint64_t hundredths;
        std::int64_t* found;
    };
    const std::array<wanted, 3> all{{{50, &seen.p50}, {95, &seen.p95}, {99, &seen.p99}}};
    std::size_t next = 0;
    std::uint64_t passed = 0;
    for (std::size_t bucket = 0; bucket < buckets && next < all.size(); ++bucket) {
        for (const part& each : parts_) passed += each.in[bucket];
        // The smallest duration that so many do not exceed (nearest rank), so that with few of them
        // the high percentiles are the highest. Divided first: no count is too large for that.
        const auto rank = [&](std::uint64_t hundredths) {
            return seen.count / 100 * hundredths + (seen.count % 100 * hundredths + 99) / 100;
        };
        while (next < all.size() && passed >= rank(all[next].hundredths)) {
            *all[next].found = std::min(middle_of(bucket), seen.max);
            ++next;
        }
    }
    return seen;
}

}  // namespace tokengate::detail
