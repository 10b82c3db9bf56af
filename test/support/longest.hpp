// SPDX-License-Identifier: Apache-2.0
/// @file
/// The longest that something took.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "figure.hpp"

namespace tokengate::test {

/// Said, not checked by tests: how long something takes depends on who else uses the machine.
/// test/rows has limits in the long form. Any thread may use it.
class longest {
  public:
    using clock = std::chrono::steady_clock;

    /// Notes how long something took that has begun then and is over now, and returns it.
    clock::duration add(clock::time_point begun) {
        const clock::duration took = clock::now() - begun;
        clock::duration most = most_.load();
        while (took > most && !most_.compare_exchange_weak(most, took)) {}
        return took;
    }

    /// "figure: longest shutdown in microseconds 66,123"
    void say(std::string_view what) const {
        const auto most = std::chrono::duration_cast<std::chrono::microseconds>(most_.load());
        figure("longest " + std::string(what) + " in microseconds",
               static_cast<std::uint64_t>(most.count()));
    }

  private:
    std::atomic<clock::duration> most_{clock::duration::zero()};
};

}  // namespace tokengate::test
