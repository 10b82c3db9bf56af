// SPDX-License-Identifier: Apache-2.0
/// @file
/// Whom a runtime tells of its alerts.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include <tokengate/health.hpp>

namespace tokengate::detail {

/// The user's hook, which may be replaced at any time.
/// Thread safety: any thread may call anything, the hook too.
class alert_hook {
  public:
    using function = std::function<void(const alert&)>;

    /// @throws std::bad_alloc
    void set(function hook) {
        // Made before the lock and destroyed after it: both may be the user's code.
        auto next = hook ? std::make_shared<const function>(std::move(hook)) : nullptr;
        {
            const std::scoped_lock guard(lock_);
            std::swap(hook_, next);
            wanted_.store(hook_ != nullptr, std::memory_order_relaxed);
        }
    }

    /// Calls the hook, if there is one, with what make() returns. Nothing may be held. What either
    /// throws is dropped.
    template <class Make>
    void raise(Make&& make) const noexcept {
        // Relaxed: a hook that comes meanwhile may miss this alert.
        if (!wanted_.load(std::memory_order_relaxed)) return;
        try {
            if (const auto hook = present()) (*hook)(make());
        } catch (...) {
            // Nobody is there whom that could concern.
        }
    }

  private:
    [[nodiscard]] std::shared_ptr<const function> present() const {
        const std::scoped_lock guard(lock_);
        return hook_;
    }

    mutable std::mutex lock_;
    std::shared_ptr<const function> hook_;  ///< under lock_; null: there is none
    std::atomic<bool> wanted_{false};
};

}  // namespace tokengate::detail
