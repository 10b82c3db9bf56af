// SPDX-License-Identifier: Apache-2.0
/// @file
/// Permits: how many tokens of some operations may execute at once. Protocol: backlog.md.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace tokengate::detail {

class backlog;

/// How many tiers there are in the process.
inline constexpr std::size_t tier_count = 4;

/// A number of permits, shared by all operations of a storage tier in the process.
/// Thread safety: any thread may call anything; calls marked so need the mutex.
class tier {
  public:
    explicit tier(std::size_t limit) noexcept : limit_(limit) {}

    [[nodiscard]] std::mutex& lock() noexcept { return lock_; }

    /// A permit, if there is one. With the mutex held.
    [[nodiscard]] bool try_take() noexcept {
        if (active_ >= limit_ || returning_ != 0) return false;
        ++active_;
        return true;
    }

    /// A permit that was not used. With the mutex held.
    void put_back() noexcept { --active_; }

    /// A permit goes on its way with a pass. With the mutex held.
    void promise() noexcept { ++promised_; }

    /// A pass has arrived. False: a token that goes on has got its permit. With the mutex held.
    [[nodiscard]] bool redeem() noexcept {
        if (promised_ == 0) return false;
        --promised_;
        return true;
    }

    /// Gives what permits there are to those who wait. With the mutex held.
    void deal() noexcept;

    /// True if a worker may begin the token that it waits for; if not, it hears when it may be so.
    /// A permit that is on its way with a pass will do, as below. With the mutex held.
    [[nodiscard]] bool can_claim() noexcept {
        if (returning_ == 0 && (active_ < limit_ || promised_ != 0)) return true;
        wanted_ = true;
        return false;
    }

    /// Takes a permit for that. False: there is none. With the mutex held.
    [[nodiscard]] bool claim() noexcept {
        if (!can_claim()) return false;
        take_any();
        return true;
    }

    /// A token has returned: its permit goes to the next one that waits.
    void release() noexcept;

    /// The same for as long as its token waits for another one.
    void lend() noexcept;

    /// A token has returned, and another one beneath it has its permit from now on.
    void hand_over() noexcept;

    /// It goes on: blocks until there is a permit, before anything new gets one. One that is on
    /// its way with a pass will do: whoever could take that pass out may be waiting here.
    void take_again() noexcept;

    /// @throws std::bad_alloc
    void add(backlog& member);
    void remove(const backlog& member) noexcept;

    /// In a child process: nobody has a permit, or wants one.
    void forget_all() noexcept;

    /// Changes how many there are. What executes goes on; nothing begins before it is below.
    void resize(std::size_t limit) noexcept;

    struct snapshot {
        std::size_t limit = 0;
        std::size_t executing = 0;
        std::size_t waiting = 0;
        std::uint64_t executed = 0;
    };
    [[nodiscard]] snapshot look() const noexcept;

  private:
    /// One of those that there are, or else one that is on its way.
    void take_any() noexcept {
        if (active_ < limit_) {
            ++active_;
        } else {
            --promised_;
        }
    }

    mutable std::mutex lock_;
    std::condition_variable returned_;
    std::size_t limit_;
    std::size_t active_ = 0;
    std::size_t promised_ = 0;   ///< of these, permits that are on their way with passes
    std::size_t returning_ = 0;  ///< tokens that want to go on
    bool wanted_ = false;        ///< somebody wants to hear of the next permit
    std::uint64_t executed_ = 0;
    std::vector<backlog*> members_;
    std::size_t next_ = 0;  ///< whose turn it is
};

}  // namespace tokengate::detail
