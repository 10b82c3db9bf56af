// SPDX-License-Identifier: Apache-2.0
/// @file
/// Keeps the alerts of a runtime. Declared before it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"

namespace tokengate::test {

/// Any thread may use it.
class listener {
  public:
    /// What is to be given to on_alert().
    [[nodiscard]] std::function<void(const alert&)> hook() {
        return [this](const alert& what) {
            const std::scoped_lock guard(lock_);
            heard_.push_back(what);
        };
    }

    [[nodiscard]] std::vector<alert> all() const {
        const std::scoped_lock guard(lock_);
        return heard_;
    }

    [[nodiscard]] std::vector<alert_kind> kinds() const {
        std::vector<alert_kind> found;
        for (const alert& each : all()) found.push_back(each.kind);
        return found;
    }

    [[nodiscard]] std::size_t count(alert_kind kind) const {
        const std::vector<alert_kind> found = kinds();
        return static_cast<std::size_t>(std::count(found.begin(), found.end(), kind));
    }

    /// Waits until so many of a kind have come. False if they do not.
    [[nodiscard]] bool await(alert_kind kind, std::size_t least) const {
        return eventually([&] { return count(kind) >= least; });
    }

  private:
    mutable std::mutex lock_;
    std::vector<alert> heard_;
};

}  // namespace tokengate::test
