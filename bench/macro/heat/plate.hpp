// SPDX-License-Identifier: Apache-2.0
/// @file
/// The work of P12: heat that spreads through a plate made of tiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace tokengate::bench {

/// How large a plate is.
struct extent {
    int rows = 1;     ///< tiles from top to bottom
    int columns = 1;  ///< tiles from left to right
    int cells = 1;    ///< cells along each side of a tile

    [[nodiscard]] std::uint64_t tiles() const noexcept {
        return static_cast<std::uint64_t>(rows) * static_cast<std::uint64_t>(columns);
    }

    /// Calls body(row, column) for each tile, row by row.
    template <class Body>
    void for_each_tile(const Body& body) const {
        for (int row = 0; row < rows; ++row) {
            for (int column = 0; column < columns; ++column) body(row, column);
        }
    }
};

/// A plate of square tiles, each in a piece of memory of its own: two copies of its cells, each
/// with a border that holds the cells around it. A time step reads one copy and writes the other.
/// Jacobi's method: each cell becomes the mean of its four neighbours. Beyond the upper edge of the
/// plate it is hot, beyond the others cold.
class plate {
  public:
    /// Takes memory without touching it: heat_up() does, by the threads that will work on it.
    explicit plate(const extent& size);

    /// Sets a tile to its state before the first step.
    void heat_up(int row, int column) noexcept;

    /// One time step of one tile. The step before must be done for the tile and its neighbours.
    void relax(int row, int column, std::uint64_t step) noexcept;

    /// A hash of all cells, bit by bit, after `steps` time steps.
    [[nodiscard]] std::uint64_t digest(std::uint64_t steps) const noexcept;

  private:
    struct return_pages {
        void operator()(void* pages) const noexcept { std::free(pages); }
    };

    [[nodiscard]] double* cells_of(int row, int column, std::uint64_t step) const noexcept;
    void fetch_border(double* cells, int row, int column, std::uint64_t step) const noexcept;

    extent size_;
    std::size_t width_;      ///< cells in a line of a tile, border included
    std::size_t copy_size_;  ///< doubles from one copy of a tile to the other
    std::size_t tile_size_;  ///< doubles from one tile to the next, whole pages
    std::unique_ptr<double, return_pages> memory_;
};

}  // namespace tokengate::bench
