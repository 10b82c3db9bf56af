// SPDX-License-Identifier: Apache-2.0
/// @file
/// What stands behind the traits of an operation that watch over its tokens: time limits, retries,
/// limits, duplicates, storage. Protocol: supervision.md.
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

#include "resilience/call_limits.hpp"
#include "resilience/duplicate_table.hpp"
#include "resilience/supervision.hpp"
#include "resilience/timers.hpp"

namespace tokengate::detail {

class backlog;
class crew;
class health_monitor;
class tier;

/// One for each operation that has such traits.
/// Thread safety: any thread.
class supervisor {
  public:
    /// The tier of a storage, which lives as long as the process; null for none.
    /// @throws std::bad_alloc
    [[nodiscard]] static tier* tier_of(storage kind);

    /// True if an operation with these traits needs one.
    [[nodiscard]] static bool is_needed_for(const operation_traits& traits,
                                            const memory_budget& memory) noexcept;

    /// What is wrong with the traits: every field, with what is allowed. Empty: nothing.
    [[nodiscard]] static std::string complain(const operation_traits& traits);

    /// Refuses an operation, or a call of a generic one, whose callable the traits do not fit.
    /// @throws operation_error
    void check(std::string_view operation, const frame_type& type) const;

    /// @param health  null: nobody wants to know how the operation is doing
    supervisor(crew& workers, timers& clock, const operation_traits& traits, memory_budget& memory,
               health_monitor* health);
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;

    /// A call has got its node: builds the record. Before the arguments are built.
    /// @param own  limits of this call; null: it has none
    void attach(token_node& node, const limit_share& share, const time_limits* own) const noexcept;

    /// The call has come to nothing: gives back what its token had of the limits. Its arguments
    /// have gone already.
    void give_up(token_node& node) noexcept;

    /// Destroys the arguments of such a call.
    static void drop_arguments(token_node& node) noexcept;

    /// The token is on its way: from now on it is watched. Gives up the reference that the gate
    /// has for that.
    void commit(token_node& node) noexcept;

    /// Runs its callable. `waiting`: it is to be put back, for another attempt.
    [[nodiscard]] token_state run(token_node& node) noexcept;

    /// Takes a token that is to run once more, with its entry's reference; it comes back by the
    /// retry lane. If the entry is not in hand, it comes back by that. False if it has been ended
    /// meanwhile.
    [[nodiscard]] bool put_back(token_node& node, bool entry_in_hand) noexcept;

    /// The token will not run: it was killed or timed out.
    void let_go(token_node& node) noexcept;

    /// Kills those that wait and are condemned, or all. How many died; all of them are counted.
    std::size_t kill_waiting(const backlog* condemning, std::string_view reason) noexcept;

    /// Kills the oldest token that has not begun. False if there is none.
    [[nodiscard]] bool drop_oldest(const std::string& reason) noexcept;

    /// What its calls must find room in.
    [[nodiscard]] call_limits& limits() noexcept { return limits_; }

    /// Calls that are in flight, by their value; of an operation that coalesces.
    [[nodiscard]] duplicate_table& duplicates() noexcept { return duplicates_; }

    /// The token, which has not been started before, can be found by its value from now on. With
    /// the lock of the table.
    /// @throws std::bad_alloc
    void make_unique(token_node& node, std::unique_ptr<call_value> value);

    /// A call has got the token of an equal one.
    void count_coalesced() noexcept { coalesced_.fetch_add(1, std::memory_order_relaxed); }

    /// What its tokens are about to do without the help of workers or callers.
    struct prospect {
        bool waiting = false;      ///< some wait in a lane, a deque or aside
        bool backing_off = false;  ///< some will come back by themselves
    };
    [[nodiscard]] prospect outlook() noexcept;

    /// Tokens that were killed for the sake of newer ones.
    [[nodiscard]] std::uint64_t dropped() const noexcept {
        return dropped_.load(std::memory_order_relaxed);
    }

    /// Calls that have got the token of an equal one.
    [[nodiscard]] std::uint64_t coalesced() const noexcept {
        return coalesced_.load(std::memory_order_relaxed);
    }

    /// How many wait between two attempts. They hold no room of the runtime's.
    [[nodiscard]] std::size_t between_attempts() const noexcept {
        // Relaxed: a number to decide by.
        return between_.load(std::memory_order_relaxed);
    }

    /// Attempts after the first one.
    [[nodiscard]] std::uint64_t retries() const noexcept {
        return retries_.load(std::memory_order_relaxed);
    }

    /// Who wants to know how the operation is doing; null: nobody.
    [[nodiscard]] health_monitor* health() const noexcept { return health_; }

    /// How long the first one has waited that waits; 0: none does, or nobody wants to know.
    [[nodiscard]] std::chrono::nanoseconds oldest_wait() noexcept;

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
    const unsigned arena_width_;  ///< in domains
    tier* const tier_;
    health_monitor* const health_;

    std::mutex lock_;
    supervision* first_ = nullptr;  ///< those that wait, in the order in which they began to
    supervision* last_ = nullptr;
    sweep* sweeps_ = nullptr;  ///< those that go on now: a destructor of an argument may begin one
    std::size_t backing_off_ = 0;  ///< under lock_
    std::atomic<std::uint64_t> retries_{0};
    std::atomic<std::uint64_t> dropped_{0};
    std::atomic<std::uint64_t> coalesced_{0};
    const bool coalesces_;
    call_limits limits_;
    duplicate_table duplicates_;
    std::atomic<std::size_t> between_{0};  ///< written under the lock
};

/// In a child process nothing runs that has a permit.
void forget_permits_after_fork() noexcept;

}  // namespace tokengate::detail
