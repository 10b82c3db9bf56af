// SPDX-License-Identifier: Apache-2.0
/// @file
/// A worker's store of memberships of a chain. See chains.md.
#pragma once

#include <cstdint>
#include <utility>

#include <tokengate/detail/atomic.hpp>

#include "locality/chain.hpp"

namespace tokengate::detail {

/// Memberships of one chain that belong to no token: taken in blocks for tokens that a worker
/// creates, and kept from tokens that have ended without anyone to see it. So tokens of a chain
/// that come and go on one worker seldom touch the chain's own word.
///
/// A chain with memberships in store stays open, so the worker gives them up before it runs
/// something of another chain, before it sleeps, and before anyone can see the end of a token.
///
/// Members without a comment on threads are for the worker's own thread.
class membership_store {
  public:
    membership_store() = default;
    membership_store(const membership_store&) = delete;
    membership_store& operator=(const membership_store&) = delete;

    /// A membership for a token that is created, where the caller is inside the chain.
    void take(chain& which) noexcept {
        if (chain_ != &which || count_ == 0) {
            give_up();
            which.enter(block);
            chain_ = &which;
            count_ = block;
        }
        --count_;
        show();
    }

    /// The membership of a token that has ended.
    void put(chain& which) noexcept {
        if (chain_ != &which) give_up();
        chain_ = &which;
        ++count_;
        show();
    }

    /// Gives up what is in store, unless it is of this chain (null: of any).
    [[gnu::always_inline]] void give_up(const chain* except = nullptr) noexcept {
        if (count_ == 0 || chain_ == except) return;
        chain_->leave_and_release(std::exchange(count_, 0));
        show();
    }

    /// True if nothing is in store.
    [[nodiscard]] bool none() const noexcept { return count_ == 0; }

    /// How many memberships of the chain with this number are in store. Any thread.
    [[nodiscard]] std::uint32_t held_of(std::uint32_t number) const noexcept {
        // Acquire: as in empty().
        const std::uint64_t seen = shown_.load(std::memory_order_acquire);
        return seen >> 32U == number ? static_cast<std::uint32_t>(seen) : 0;
    }

    /// True if nothing is in store: all chains that it has kept open have been left. Any thread.
    [[nodiscard]] bool empty() const noexcept {
        // Acquire: pairs with the release in show().
        return static_cast<std::uint32_t>(shown_.load(std::memory_order_acquire)) == 0;
    }

  private:
    // Chosen by bench P3.
    static constexpr std::uint32_t block = 16;

    void show() noexcept {
        // Release: who sees an empty store sees what was left before.
        shown_.store(std::uint64_t{chain_->number()} << 32U | count_, std::memory_order_release);
    }

    chain* chain_ = nullptr;  ///< valid while the store is not empty
    std::uint32_t count_ = 0;
    atomic<std::uint64_t> shown_{0};  ///< number of the chain and count, for other threads
};

}  // namespace tokengate::detail
