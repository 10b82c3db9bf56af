// SPDX-License-Identifier: Apache-2.0
/// @file
/// What stands behind the traits of an operation that watch over its tokens: time limits, retries,
/// storage. Protocol: supervision.md.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include <tokengate/locality.hpp>
#include <tokengate/resilience.hpp>

#include "resilience/supervision.hpp"
#include "resilience/timers.hpp"

namespace tokengate::detail {

class backlog;
class crew;
class tier;

/// One for each operation that has such traits.
/// Thread safety: any thread.
class supervisor {
  public:
    /// The tier of a storage, which lives as long as the process; null for none.
    /// @throws std::bad_alloc
    [[nodiscard]] static tier* tier_of(storage kind);

    /// True if an operation with these traits needs one.
    [[nodiscard]] static bool is_needed_for(const operation_traits& traits) noexcept;

    /// What is wrong with the traits: every field, with what is allowed. Empty: nothing.
    [[nodiscard]] static std::string complain(const operation_traits& traits);

    /// Refuses an operation, or a call of a generic one, whose callable the traits do not fit.
    /// @throws operation_error
    void check(std::string_view operation, const frame_type& type) const;

    supervisor(crew& workers, timers& clock, const operation_traits& traits);
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;

    /// A call has got its node: builds the record. Before the arguments are built.
    void attach(token_node& node) const noexcept;

    /// The token is on its way: from now on it is watched. Gives up the reference that the gate
    /// has for that.
    void commit(token_node& node) noexcept;

    /// Runs its callable. `waiting`: it is to be put back, for another attempt.
    [[nodiscard]] token_state run(token_node& node) noexcept;

    /// True if a worker that waits for one of its tokens may begin it where it is: it is not put
    /// back, which needs its entry, and needs no permit.
    [[nodiscard]] bool begins_anywhere() const noexcept {
        return retry_.attempts == 1 && tier_ == nullptr;
    }

    /// Takes a token that is to run once more, with its entry's reference; it comes back by the
    /// retry lane. False if it has been ended meanwhile.
    [[nodiscard]] bool put_back(token_node& node) noexcept;

    /// The token will not run: it was killed or timed out.
    void let_go(token_node& node) noexcept;

    /// Kills those that wait and are condemned, or all. How many died; all of them are counted.
    std::size_t kill_waiting(const backlog* condemning, std::string_view reason) noexcept;

    /// How many wait between two attempts. They hold no room of the runtime's.
    [[nodiscard]] std::size_t between_attempts() const noexcept {
        // Relaxed: a number to decide by.
        return between_.load(std::memory_order_relaxed);
    }

    /// Attempts after the first one.
    [[nodiscard]] std::uint64_t retries() const noexcept {
        return retries_.load(std::memory_order_relaxed);
    }

    static const alarm_kind waits_too_long;

  private:
    [[nodiscard]] bool is_to_be_retried(const supervision& record,
                                        const std::exception_ptr& error) const noexcept;
    [[nodiscard]] token_state attempt(supervision& record) noexcept;
    void release(supervision& record) noexcept;
    // Under the lock.
    void list(supervision& record) noexcept;
    void unlist(supervision& record) noexcept;

    /// One kill_waiting(), on its stack: where it goes on.
    struct sweep {
        supervision* next = nullptr;
        sweep* outer = nullptr;
    };

    crew& crew_;
    timers& timers_;
    const std::chrono::nanoseconds queue_timeout_;
    const std::chrono::nanoseconds run_timeout_;
    const retry_policy retry_;
    tier* const tier_;

    std::mutex lock_;
    supervision* first_ = nullptr;  ///< those that wait, in the order in which they began to
    supervision* last_ = nullptr;
    sweep* sweeps_ = nullptr;  ///< those that go on now: a destructor of an argument may begin one
    std::atomic<std::uint64_t> retries_{0};
    std::atomic<std::size_t> between_{0};  ///< written under the lock
};

/// In a child process nothing runs that has a permit.
void forget_permits_after_fork() noexcept;

}  // namespace tokengate::detail
