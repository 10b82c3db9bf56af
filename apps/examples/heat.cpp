// SPDX-License-Identifier: Apache-2.0
// Heat spreads through a plate that is cut into tiles. All tokens of a tile share a sticky key, so
// that the tile stays in the cache of one core over all time steps.
#include <tokengate/tokengate.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <set>
#include <vector>

namespace tg = tokengate;

namespace {

// A square of cells with a border around it. There are two copies: each step reads one and writes
// the other.
class tile {
  public:
    // At 20 degrees, with a border of 100 above if it is at the top. The memory is taken and first
    // touched here.
    void start(int cells, bool at_the_top) {
        cells_ = cells;
        const int area = width() * width();
        for (auto& copy : copies_) copy.assign(static_cast<std::size_t>(area), 20.0);
        for (int x = 0; x < width() && at_the_top; ++x) at(0, 0, x) = at(1, 0, x) = 100.0;
    }

    // A cell, counted from 1, as it was before a step; 0 and cells + 1 are the border.
    double& at(int step, int y, int x) {
        const int index = y * width() + x;
        return copies_[step % 2][static_cast<std::size_t>(index)];
    }

    // Each cell becomes the mean of its four neighbours.
    void relax(int step) {
        for (int y = 1; y <= cells_; ++y) {
            for (int x = 1; x <= cells_; ++x) {
                at(step + 1, y, x) = 0.25 * (at(step, y - 1, x) + at(step, y + 1, x) +
                                             at(step, y, x - 1) + at(step, y, x + 1));
            }
        }
    }

  private:
    [[nodiscard]] int width() const { return cells_ + 2; }

    int cells_ = 0;
    std::vector<double> copies_[2];
};

// Tiles in as many rows as columns.
class plate {
  public:
    plate(int columns, int cells)
        : columns_(columns), cells_(cells), tiles_(static_cast<std::size_t>(columns * columns)) {}

    void start(int row, int column) { at(row, column).start(cells_, row == 0); }

    // Fetches the border from the tiles around, then takes a step.
    void relax(int row, int column, int step) {
        tile& here = at(row, column);
        const int end = cells_ + 1;
        for (int i = 1; i < end; ++i) {
            if (row > 0) here.at(step, 0, i) = at(row - 1, column).at(step, cells_, i);
            if (row + 1 < columns_) here.at(step, end, i) = at(row + 1, column).at(step, 1, i);
            if (column > 0) here.at(step, i, 0) = at(row, column - 1).at(step, i, cells_);
            if (column + 1 < columns_) here.at(step, i, end) = at(row, column + 1).at(step, i, 1);
        }
        here.relax(step);
    }

    // A cell of the whole plate, counted from 0.
    double cell(int step, int y, int x) {
        return at(y / cells_, x / cells_).at(step, y % cells_ + 1, x % cells_ + 1);
    }

  private:
    tile& at(int row, int column) {
        const int index = row * columns_ + column;
        return tiles_[static_cast<std::size_t>(index)];
    }

    int columns_;
    int cells_;
    std::vector<tile> tiles_;
};

}  // namespace

int main() {
    constexpr int columns = 8;  // of tiles, and as many rows
    constexpr int tiles = columns * columns;
    constexpr int cells = 48;  // along each side of a tile
    constexpr int steps = 200;

    plate heat(columns, cells);
    int step = 0;  // changes only while no token runs
    tg::runtime rt;

    const tg::operation_traits of_a_tile{.weight = tg::weight::heavy,  // all cores
                                         .sticky = tg::sticky::by_anchor_and_arguments("tile")};
    auto start =
        rt.operation("start", of_a_tile, [&](int row, int column) { heat.start(row, column); });
    auto relax = rt.operation("relax", of_a_tile,
                              [&](int row, int column) { heat.relax(row, column, step); });

    const auto for_each_tile = [](auto& use) {
        for (int i = 0; i < tiles; ++i) use(i / columns, i % columns);
    };

    // Keys held one after the other go to one domain after the other. So take tiles that lie apart,
    // for neighbours to share a domain.
    std::vector<tg::key_hold> homes;
    const int domains = static_cast<int>(rt.topology().size());
    const int share = (tiles + domains - 1) / domains;
    for (int first = 0; first < share; ++first) {
        for (int i = first; i < tiles; i += share) {
            const int row = i / columns;
            const int column = i % columns;
            homes.push_back(relax.hold(row, column));  // this tile stays in one domain from now on
        }
    }
    for_each_tile(start);  // its memory is taken there, too
    rt.wait_idle();

    const auto begin = std::chrono::steady_clock::now();
    for (; step < steps; ++step) {
        for_each_tile(relax);
        rt.wait_idle();
    }
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;

    // The same plate as one large tile, by one thread: every bit must be equal.
    plate whole(1, columns * cells);
    whole.start(0, 0);
    for (int i = 0; i < steps; ++i) whole.relax(0, 0, i);
    bool equal = true;
    for (int y = 0; y < columns * cells; ++y) {
        for (int x = 0; x < columns * cells; ++x) {
            equal = equal && heat.cell(steps, y, x) == whole.cell(steps, y, x);
        }
    }

    std::set<unsigned> used;
    for (const tg::key_hold& home : homes) used.insert(home.domain());
    std::cout << tiles << " tiles, " << steps << " steps, " << used.size() << " of "
              << rt.topology().size() << " domains, " << time.count() / steps << " us a step, "
              << (equal ? "verified" : "WRONG") << "\n";
    return equal ? 0 : 1;
}
