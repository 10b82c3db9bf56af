// SPDX-License-Identifier: Apache-2.0
/// @file
/// Why tokens were killed or timed out, where somebody has said so.
#pragma once

#include <atomic>
#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// The reasons of tokens that were killed or timed out, by node; of all runtimes, since tokens
/// outlive theirs. Under a lock: only who ends a token for a reason comes here, who asks for it,
/// and the end of such a token's node.
class end_reasons {
    using table = std::map<const token_node*, std::string>;

  public:
    /// A reason that is not there yet, with the memory that it will need.
    class prepared {
      public:
        /// @throws std::bad_alloc
        prepared(const token_node& node, std::string_view reason);

        /// Runs `end()`, a state_word's finish(), and keeps the reason if that has won. Whoever
        /// sees the token ended finds the reason.
        template <class End>
        [[nodiscard]] state_word::finished keep_if(End&& end) noexcept {
            // The lock keeps those who ask waiting until it is there.
            const std::scoped_lock guard(lock);
            const state_word::finished ended = end();
            if (ended.won) keep();
            return ended;
        }

      private:
        void keep() noexcept;

        table::node_type entry_;
    };

    /// The reason of such a token; empty if there is none.
    [[nodiscard]] static std::string of(const token_node& node);

    /// The node of such a token goes back to the pool.
    static void forget(const token_node& node) noexcept {
        // Relaxed: who drops the last reference has synchronised with who has killed.
        if (count.load(std::memory_order_relaxed) != 0) [[unlikely]]
            erase(node);
    }

    /// The lock, for fork().
    [[nodiscard]] static std::mutex& shared_lock() noexcept { return lock; }

  private:
    static table& all();
    static void erase(const token_node& node) noexcept;

    static std::mutex lock;
    static std::atomic<std::size_t> count;
};

}  // namespace tokengate::detail
