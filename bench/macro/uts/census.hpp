// SPDX-License-Identifier: Apache-2.0
/// @file
/// Counts the nodes of a tree that many threads search.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>

#include "macro/uts/tree.hpp"

namespace tokengate::bench::uts {

/// What has been found of the tree: one padded count for each thread that ever took part, as in
/// tally, so that counting stays in the thread's own cache.
///
/// Thread safety: count() may be called from any thread; the others only while no search runs,
/// after a wait for all its tasks.
class census {
  public:
    /// Called for each node, once.
    static void count(const node& found, bool leaf) {
        if (mine_ == nullptr) [[unlikely]]
            mine_ = claim();
        ++mine_->found.nodes;
        if (leaf) ++mine_->found.leaves;
        mine_->found.depth = std::max(mine_->found.depth, found.depth);
    }

    /// What all threads have found since clear().
    [[nodiscard]] static counts total() {
        counts sum;
        for (std::size_t i = 0; i < claimed(); ++i) {
            sum.nodes += parts_[i].found.nodes;
            sum.leaves += parts_[i].found.leaves;
            sum.depth = std::max(sum.depth, parts_[i].found.depth);
        }
        return sum;
    }

    /// Before a search.
    static void clear() {
        for (std::size_t i = 0; i < claimed(); ++i) parts_[i].found = {};
    }

  private:
    struct alignas(64) part {
        counts found;
    };

    [[nodiscard]] static std::size_t claimed() {
        // Relaxed: the wait for the search has made claims and counts visible.
        return claimed_.load(std::memory_order_relaxed);
    }

    [[gnu::cold, gnu::noinline]] static part* claim() {
        // Relaxed: the number is all that is shared.
        const std::size_t index = claimed_.fetch_add(1, std::memory_order_relaxed);
        if (index >= parts_.size()) std::abort();
        return &parts_[index];
    }

    static inline std::array<part, 4096> parts_{};
    static inline std::atomic<std::size_t> claimed_{0};
    static inline constinit thread_local part* mine_ = nullptr;
};

}  // namespace tokengate::bench::uts
