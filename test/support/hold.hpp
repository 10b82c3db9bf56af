// SPDX-License-Identifier: Apache-2.0
/// @file
/// Tokens that stay where they are until a test lets them go.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace tokengate::test {

/// Callables pass through it; while it is closed they stay inside. Any thread may use it.
class hold {
  public:
    hold() = default;
    ~hold() { release(); }
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;

    /// For callables: arrives, and stays until release().
    void pass() {
        std::unique_lock guard(lock_);
        ++arrived_;
        changed_.notify_all();
        changed_.wait(guard, [this] { return open_; });
    }

    /// Waits until so many have arrived. False if they do not come.
    [[nodiscard]] bool await(std::size_t count) {
        std::unique_lock guard(lock_);
        return changed_.wait_for(guard, limit, [&] { return arrived_ >= count; });
    }

    /// Lets all go on, those that come later too.
    void release() {
        // Notified under the lock: a callable that is let go may end the life of this object.
        const std::scoped_lock guard(lock_);
        open_ = true;
        changed_.notify_all();
    }

    [[nodiscard]] std::size_t arrived() {
        const std::scoped_lock guard(lock_);
        return arrived_;
    }

  private:
    static constexpr std::chrono::seconds limit{60};

    std::mutex lock_;
    std::condition_variable changed_;
    std::size_t arrived_ = 0;
    bool open_ = false;
};

/// Looks until the condition holds. False if it never does.
template <class Condition>
[[nodiscard]] bool eventually(Condition&& holds,
                              std::chrono::milliseconds limit = std::chrono::seconds(60)) {
    std::mutex lock;
    std::condition_variable never;
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::unique_lock guard(lock);
        never.wait_for(guard, std::chrono::microseconds(200));
    }
    return true;
}

}  // namespace tokengate::test
