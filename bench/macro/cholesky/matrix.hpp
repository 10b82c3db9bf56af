// SPDX-License-Identifier: Apache-2.0
/// @file
/// The work of the Cholesky benchmark: a symmetric positive definite matrix made of tiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace tokengate::bench::cholesky {

/// The lower half of a symmetric matrix, as square tiles, each in a piece of memory of its own.
/// Four kernels turn it into L, where A = L L^T and L is lower triangular, tile by tile: the tiled
/// right-looking algorithm, as in Buttari, Langou, Kurzak, Dongarra, "A class of parallel tiled
/// linear algebra algorithms for multicore architectures", Parallel Computing 35, 2009.
///
/// Thread safety: kernels may run side by side as far as what they say they need is done.
class matrix {
  public:
    /// Cells along each side of a tile: 128 KiB, so that the three tiles that a kernel works on
    /// fit an L2 cache.
    static constexpr std::size_t tile_cells = 128;

    /// @param tiles  along each side of the matrix
    explicit matrix(int tiles);

    /// Makes it the matrix to be factorised.
    void fill();

    /// Makes it equal to another of the same size.
    void copy(const matrix& other) noexcept;

    /// Tiles along each side.
    [[nodiscard]] int tiles() const noexcept { return tiles_; }

    /// Factorises a tile on the diagonal (potrf). All updates of it must be done.
    void factor(int column) noexcept;

    /// Makes a tile below the diagonal a part of L (trsm). All updates of it must be done, and its
    /// column's tile on the diagonal must be factorised.
    void solve(int row, int column) noexcept;

    /// Takes from a tile the product of two tiles of L further left, (row, step) and the transpose
    /// of (column, step): gemm, or syrk on the diagonal. Those two must be solved, and the tile's
    /// updates of earlier steps done.
    void update(int row, int column, int step) noexcept;

    /// The kernels one after the other.
    void factorise() noexcept;

    /// True if both have the same lower triangle, bit by bit.
    [[nodiscard]] bool same_as(const matrix& other) const noexcept;

    /// How far this L is from being the factor of `original`: |A - L L^T| / |A|, where |X| is the
    /// square root of the sum of the squares of all cells.
    [[nodiscard]] double residual(const matrix& original) const;

  private:
    struct return_pages {
        void operator()(void* pages) const noexcept { std::free(pages); }
    };

    [[nodiscard]] double* tile(int row, int column) const noexcept;
    [[nodiscard]] double cell(std::size_t row, std::size_t column) const noexcept;

    int tiles_;
    std::unique_ptr<double, return_pages> memory_;
};

}  // namespace tokengate::bench::cholesky
