// SPDX-License-Identifier: Apache-2.0
#include "macro/heat/plate.hpp"

#include <algorithm>
#include <bit>
#include <new>

namespace tokengate::bench {

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t doubles_a_page = page / sizeof(double);
// Not zero: what is left of the heat far from the edge would be too small for normal numbers, which
// makes the additions many times slower.
constexpr double cold = 20.0;
constexpr double hot = 100.0;

}  // namespace

// The second copy begins 64 cells beyond a whole page: were cells of both at equal offsets in their
// pages, loads would wait for stores that they have nothing to do with.
plate::plate(const extent& size)
    : size_(size),
      width_(static_cast<std::size_t>(size.cells) + 2),
      copy_size_((width_ * width_ + doubles_a_page - 1) / doubles_a_page * doubles_a_page + 64),
      tile_size_((2 * copy_size_ + doubles_a_page - 1) / doubles_a_page * doubles_a_page),
      memory_(static_cast<double*>(
          std::aligned_alloc(page, size.tiles() * tile_size_ * sizeof(double)))) {
    if (memory_ == nullptr) throw std::bad_alloc();
}

double* plate::cells_of(int row, int column, std::uint64_t step) const noexcept {
    const auto tile = static_cast<std::size_t>(row * size_.columns + column);
    return memory_.get() + tile * tile_size_ + (step % 2) * copy_size_;
}

void plate::heat_up(int row, int column) noexcept {
    for (const std::uint64_t copy : {0U, 1U}) {
        double* cells = cells_of(row, column, copy);
        std::fill_n(cells, width_ * width_, cold);
        if (row == 0) std::fill_n(cells, width_, hot);
    }
}

// Copies the neighbours' outermost cells. Beyond the edges of the plate the border never changes.
void plate::fetch_border(double* cells, int row, int column, std::uint64_t step) const noexcept {
    const std::size_t last = width_ - 2;  // the last line, or column, that is no border
    if (row > 0) {
        const double* upper = cells_of(row - 1, column, step);
        std::copy_n(upper + last * width_ + 1, last, cells + 1);
    }
    if (row + 1 < size_.rows) {
        const double* lower = cells_of(row + 1, column, step);
        std::copy_n(lower + width_ + 1, last, cells + (last + 1) * width_ + 1);
    }
    if (column > 0) {
        const double* left = cells_of(row, column - 1, step);
        for (std::size_t y = 1; y <= last; ++y) cells[y * width_] = left[y * width_ + last];
    }
    if (column + 1 < size_.columns) {
        const double* right = cells_of(row, column + 1, step);
        for (std::size_t y = 1; y <= last; ++y) {
            cells[y * width_ + last + 1] = right[y * width_ + 1];
        }
    }
}

void plate::relax(int row, int column, std::uint64_t step) noexcept {
    double* const now = cells_of(row, column, step);
    double* const next = cells_of(row, column, step + 1);
    fetch_border(now, row, column, step);
    for (std::size_t y = 1; y + 1 < width_; ++y) {
        const double* const above = now + (y - 1) * width_;
        const double* const here = now + y * width_;
        const double* const below = now + (y + 1) * width_;
        double* const to = next + y * width_;
        for (std::size_t x = 1; x + 1 < width_; ++x) {
            to[x] = 0.25 * ((above[x] + below[x]) + (here[x - 1] + here[x + 1]));
        }
    }
}

std::uint64_t plate::digest(std::uint64_t steps) const noexcept {
    std::uint64_t sum = 0;
    for (int row = 0; row < size_.rows; ++row) {
        for (int column = 0; column < size_.columns; ++column) {
            const double* const cells = cells_of(row, column, steps);
            for (std::size_t y = 1; y + 1 < width_; ++y) {
                for (std::size_t x = 1; x + 1 < width_; ++x) {
                    sum = sum * 31 + std::bit_cast<std::uint64_t>(cells[y * width_ + x]);
                }
            }
        }
    }
    return sum;
}

}  // namespace tokengate::bench
