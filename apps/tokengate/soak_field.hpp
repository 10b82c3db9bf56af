// SPDX-License-Identifier: Apache-2.0
/// @file
/// What the callables of a soak do, and what they count.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "soak_kinds.hpp"
#include "soak_order.hpp"

namespace tokengate::app {

/// The largest number of threads that submit.
inline constexpr std::uint32_t most_soak_threads = 64;

/// What the program itself counts of an operation. All relaxed: they are read when nobody counts
/// any more.
struct soak_count {
    std::atomic<std::uint64_t> accepted{0};  ///< calls that have returned, bulks by their size
    std::atomic<std::uint64_t> unsure{0};    ///< of bulks that were turned away: perhaps accepted
    std::atomic<std::uint64_t> refused{0};   ///< by try_call
    std::atomic<std::uint64_t> begun{0};     ///< executions
    std::atomic<std::uint64_t> returned{0};
    std::atomic<std::uint64_t> thrown{0};
};

/// What nobody wants to see.
struct soak_faults {
    std::atomic<std::uint64_t> wrong{0};         ///< results and outcomes
    std::atomic<std::uint64_t> disorder{0};      ///< serial tokens that came too late
    std::atomic<std::uint64_t> side_by_side{0};  ///< serial tokens beside others of their key
};

/// The operations, and what their callables share. Lives longer than the runtime.
class soak_field {
  public:
    soak_field(std::uint64_t seed, bool broken);

    /// Declares the operations.
    void declare(runtime& rt);

    [[nodiscard]] std::size_t size() const noexcept { return kinds_.size(); }
    [[nodiscard]] const soak_kind& kind(std::size_t which) const { return kinds_[which]; }
    [[nodiscard]] const soak_operation& operation(std::size_t which) const {
        return operations_[which];
    }
    [[nodiscard]] soak_count& count(std::size_t which) { return counts_[which]; }
    [[nodiscard]] soak_faults& faults() noexcept { return faults_; }

    /// Callables that run at this moment.
    [[nodiscard]] std::uint64_t inside() const noexcept {
        // Acquire: pairs with the release of a callable that leaves; what it counted is there.
        return inside_.load(std::memory_order_acquire);
    }

    /// Waits inside of tokens that were refused, since they could never have ended.
    [[nodiscard]] std::uint64_t deadlocks() const noexcept {
        return deadlocks_.load(std::memory_order_relaxed);
    }

    /// Looks at a token that has ended: is that a right end, and a right result?
    void check(std::size_t which, const soak_order& order, const soak_token& ended);
    void check(std::size_t which, const std::vector<soak_order>& orders, const soak_bulk& ended);

    /// A stop is about to kill: from now on callables may not get all of their attempts.
    void expect_deadlines() noexcept { deadlines_.store(true, std::memory_order_relaxed); }

    /// A token that others may wait for.
    void show(const soak_token& shown, soak_random& random);

    /// Drops those that are shown.
    void forget_shown();

  private:
    class presence;
    class turn;

    /// What a serial key protects.
    struct line {
        std::atomic<bool> busy{false};
        std::array<std::atomic<std::uint64_t>, most_soak_threads + 1> last{};  ///< by source
    };

    soak_value run(std::size_t which, const soak_order& order);
    void work(const soak_kind& kind, const soak_order& order);
    void call_children(const soak_order& order, soak_random& random);
    void wait_for(const soak_token& other, soak_random& random);
    void check_value(const soak_order& order, const soak_value& value);

    /// How often the callable of an order throws before it returns.
    [[nodiscard]] unsigned failures_of(const soak_kind& kind, const soak_order& order) const;
    /// True if that is too often.
    [[nodiscard]] bool fails(const soak_kind& kind, const soak_order& order) const;
    /// True if the token may have failed.
    [[nodiscard]] bool may_fail(const soak_kind& kind, const soak_order& order) const;

    std::vector<soak_kind> kinds_;
    std::vector<soak_operation> operations_;
    std::vector<soak_count> counts_;
    std::vector<std::size_t> line_of_;  ///< the first line of each kind
    std::unique_ptr<line[]> lines_;
    soak_faults faults_;
    std::atomic<std::uint64_t> inside_{0};
    std::atomic<std::uint64_t> deadlocks_{0};
    std::atomic<unsigned> isolated_{0};
    unsigned most_isolated_ = 1;
    std::atomic<bool> leaves_one_out_;
    std::atomic<bool> deadlines_{false};

    std::mutex shown_lock_;
    std::array<soak_token, 16> shown_;
};

}  // namespace tokengate::app
