// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where a token of a class goes: core ranges and positions.
#pragma once

#include <array>
#include <cstdint>

#include <tokengate/config.hpp>
#include <tokengate/weight.hpp>

namespace tokengate::detail {

/// A domain, and one of its workers as a hint.
struct place {
    unsigned domain = 0;
    unsigned worker_hint = 0;

    bool operator==(const place&) const = default;
};

/// The domains [first, last) of a class.
struct core_range {
    unsigned first = 0;
    unsigned last = 1;

    [[nodiscard]] unsigned size() const noexcept { return last - first; }
};

/// Maps positions to places. With n domains in the class's range and w workers in each, position p
/// goes to
///
///     domain       first + p mod n          (heavy, medium)
///                  last - 1 - p mod n       (light, which starts from the last core)
///     worker hint  (p div n) mod w
///
/// so that consecutive positions go to consecutive domains, and each round over the domains is
/// staggered by one worker.
class placement {
  public:
    explicit placement(const settings& chosen) noexcept : workers_(chosen.workers_per_core) {
        for (const weight each : all_weights) {
            const core_range cores{.first = chosen.first_core[index_of(each)],
                                   .last = chosen.cores};
            ranges_[index_of(each)] = cores;
            const bool down = each == weight::light;
            rounds_[index_of(each)] = {.begin = down ? cores.last - 1 : cores.first,
                                       .end = down ? cores.first : cores.last - 1,
                                       .step = down ? ~0U : 1U};
        }
    }

    [[nodiscard]] const core_range& range(weight weight_class) const noexcept {
        return ranges_[index_of(weight_class)];
    }

    /// True if the domain is in the class's range.
    [[nodiscard]] bool contains(weight weight_class, unsigned domain) const noexcept {
        return domain >= range(weight_class).first && domain < range(weight_class).last;
    }

    [[nodiscard]] place of(weight weight_class, std::uint64_t position) const noexcept {
        const core_range& cores = range(weight_class);
        const auto step = static_cast<unsigned>(position % cores.size());
        return {
            .domain = weight_class == weight::light ? cores.last - 1 - step : cores.first + step,
            .worker_hint = static_cast<unsigned>(position / cores.size() % workers_)};
    }

    /// The place of the position after the one that belongs to `here`: what of() gives, without its
    /// divisions.
    [[nodiscard]] place after(weight weight_class, place here) const noexcept {
        const round& all = rounds_[index_of(weight_class)];
        if (here.domain != all.end) {
            return {.domain = here.domain + all.step, .worker_hint = here.worker_hint};
        }
        return {.domain = all.begin,
                .worker_hint = here.worker_hint + 1 == workers_ ? 0 : here.worker_hint + 1};
    }

  private:
    /// One round over the domains of a class.
    struct round {
        unsigned begin = 0;
        unsigned end = 0;   ///< the last one
        unsigned step = 1;  ///< or minus one, modulo 2^32
    };

    unsigned workers_;
    std::array<core_range, weight_count> ranges_{};
    std::array<round, weight_count> rounds_{};
};

}  // namespace tokengate::detail
