// SPDX-License-Identifier: Apache-2.0
/// @file
/// Which kernels of a Cholesky factorisation wait for which others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "macro/cholesky/matrix.hpp"

namespace tokengate::bench::cholesky {

/// One call of a kernel: what happens to a tile in a step. Steps before that of its column are
/// updates; in that of its column it is factorised or solved, which is the end.
struct kernel {
    int row = 0;
    int column = 0;
    int step = 0;

    [[nodiscard]] bool is_update() const noexcept { return step < column; }

    /// Runs it.
    void on(matrix& tiles) const noexcept {
        if (is_update()) {
            tiles.update(row, column, step);
        } else if (row == column) {
            tiles.factor(column);
        } else {
            tiles.solve(row, column);
        }
    }
};

/// How many kernels a matrix needs.
[[nodiscard]] constexpr std::uint64_t kernels_of(int tiles) noexcept {
    const auto count = static_cast<std::uint64_t>(tiles);
    return count * (count + 1) * (count + 2) / 6;
}

/// The one that waits for none.
inline constexpr kernel first_kernel{};

/// Calls `visit` with each kernel.
template <class Visit>
void for_each_kernel(int tiles, const Visit& visit) {
    for (int row = 0; row < tiles; ++row) {
        for (int column = 0; column <= row; ++column) {
            for (int step = 0; step <= column; ++step) visit(kernel{row, column, step});
        }
    }
}

/// Calls `visit` with each kernel that needs `done`. What the next factorisation waits for comes
/// last: a worker takes what it has created last first.
template <class Visit>
void for_each_successor(int tiles, const kernel& done, const Visit& visit) {
    const auto [row, column, step] = done;
    if (done.is_update()) {
        visit(kernel{row, column, step + 1});
    } else if (row == column) {
        for (int below = tiles - 1; below > row; --below) visit(kernel{below, column, step});
    } else {
        for (int below = tiles - 1; below > row; --below) visit(kernel{below, row, step});
        for (int other = row; other > column; --other) visit(kernel{row, other, step});
    }
}

/// Counts for each kernel how many of those that it needs are missing.
///
/// Thread safety: finish() may be called from any thread.
class dependencies {
  public:
    explicit dependencies(int tiles)
        : tiles_(tiles), needed_(kernels_of(tiles)), missing_(kernels_of(tiles)) {
        for_each_kernel(tiles, [this](const kernel& each) {
            for_each_successor(tiles_, each,
                               [this](const kernel& next) { ++needed_[index(next)]; });
        });
    }

    /// Before a factorisation.
    void reset() noexcept {
        for (std::size_t i = 0; i < needed_.size(); ++i) {
            // Relaxed: whoever starts the first kernel publishes it.
            missing_[i].store(needed_[i], std::memory_order_relaxed);
        }
    }

    /// A kernel has run: calls `on_ready` with each that was waiting for nothing else.
    template <class OnReady>
    void finish(const kernel& done, const OnReady& on_ready) {
        for_each_successor(tiles_, done, [&](const kernel& next) {
            // Acquire and release: the last one has seen what all of them wrote.
            if (missing_[index(next)].fetch_sub(1, std::memory_order_acq_rel) == 1) on_ready(next);
        });
    }

  private:
    // Kernels of the rows above, then those of the columns to the left.
    [[nodiscard]] static std::size_t index(const kernel& which) noexcept {
        return kernels_of(which.row) +
               static_cast<std::size_t>(which.column * (which.column + 1) / 2 + which.step);
    }

    int tiles_;
    std::vector<int> needed_;
    std::vector<std::atomic<int>> missing_;
};

}  // namespace tokengate::bench::cholesky
