// SPDX-License-Identifier: Apache-2.0
// A tiled Cholesky factorisation as dataflow: each kernel comes after those that have written its
// tiles, and runs where its tile is at home.
#include <tokengate/tokengate.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iostream>
#include <utility>
#include <vector>

namespace tg = tokengate;

constexpr std::size_t width = 32;  // of a tile
constexpr std::size_t tiles = 8;   // in a row
constexpr std::size_t size = tiles * width;

// Which tile a kernel writes; `step` is no part of the key.
struct kernel {
    std::size_t row, column, step;
    template <class H>
    // NOLINTNEXTLINE(readability-identifier-naming): the name that Abseil looks for.
    friend H AbslHashValue(H state, const kernel& which) {
        return H::combine(std::move(state), which.row, which.column);
    }
};

int main() {
    std::vector<double> cells(size * size, 1.0);
    const auto at = [&](std::size_t i, std::size_t j) -> double& { return cells[i * size + j]; };
    for (std::size_t i = 0; i < size; ++i) at(i, i) += size;
    const auto dot = [&](std::size_t i, std::size_t j, std::size_t from, std::size_t to) {
        double sum = 0;
        for (std::size_t k = from; k < to; ++k) sum += at(i, k) * at(j, k);
        return sum;
    };
    // Calls visit(i, j) for each cell of a tile, if that is not above the diagonal.
    const auto for_each_cell = [](const kernel& of, const auto& visit) {
        for (std::size_t i = of.row * width; i < (of.row + 1) * width; ++i) {
            const std::size_t end = std::min(i + 1, (of.column + 1) * width);
            for (std::size_t j = of.column * width; j < end; ++j) visit(i, j);
        }
    };
    tg::runtime rt;
    const auto at_home = tg::sticky::by_anchor_and_arguments("tile");
    const auto update = rt.operation("update", {.sticky = at_home}, [&](const kernel& k) {
        const std::size_t from = k.step * width;
        for_each_cell(k, [&](auto i, auto j) { at(i, j) -= dot(i, j, from, from + width); });
    });
    const auto finish = rt.operation("finish", {.sticky = at_home}, [&](const kernel& k) {
        for_each_cell(k, [&](auto i, auto j) {
            const double rest = at(i, j) - dot(i, j, k.column * width, j);
            at(i, j) = i == j ? std::sqrt(rest) : rest / at(j, j);
        });
    });
    // The token that has written a tile last stands for it.
    std::vector<tg::key_hold> homes;
    std::vector<std::vector<tg::token<void>>> last(tiles);
    for (std::size_t row = 0; row < tiles; ++row) {
        for (std::size_t column = 0; column <= row; ++column) {
            homes.push_back(finish.hold(kernel{row, column, 0}));
            std::vector<tg::token<void>> before;  // what the next kernel of this tile comes after
            for (std::size_t step = 0; step < column; ++step) {
                before.insert(before.end(), {last[row][step], last[column][step]});
                before = {rt.after(before).call(update, kernel{row, column, step})};
            }
            if (column < row) before.push_back(last[column][column]);
            last[row].push_back(rt.after(before).call(finish, kernel{row, column, column}));
        }
    }
    last.back().back().wait();
    double error = 0;
    for (std::size_t i = 0; i < size; ++i) {
        error = std::max(error, std::abs(dot(i, i, 0, i + 1) - 1.0 - size));
    }
    std::cout << "largest error on the diagonal " << error << "\n";
    return error < 1e-9 ? 0 : 1;
}
