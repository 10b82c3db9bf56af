// SPDX-License-Identifier: Apache-2.0
#include "macro/cholesky/matrix.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <new>
#include <random>
#include <vector>

namespace tokengate::bench::cholesky {

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t side = matrix::tile_cells;
constexpr std::size_t cells = side * side;

// Kernels work on blocks of this size, which the registers of any 64-bit machine can hold. A tile
// consists of panels of so many rows, a panel of columns of so many cells: so kernels read and
// write along memory.
constexpr std::size_t block = 4;

constexpr std::size_t place(std::size_t row, std::size_t column) noexcept {
    return row / block * block * side + column * block + row % block;
}

// block -= left times right, transposed: the first `depth` columns of two panels.
void subtract_product(double* to, const double* left, const double* right,
                      std::size_t depth) noexcept {
    std::array<std::array<double, block>, block> sum{};
    for (std::size_t k = 0; k < depth; ++k) {
        for (std::size_t column = 0; column < block; ++column) {
            for (std::size_t row = 0; row < block; ++row) {
                sum[column][row] += left[k * block + row] * right[k * block + column];
            }
        }
    }
    for (std::size_t column = 0; column < block; ++column) {
        for (std::size_t row = 0; row < block; ++row) to[column * block + row] -= sum[column][row];
    }
}

// Makes a block a part of L, given the factor of the block on its diagonal: X := X L^-T.
void solve_block(double* to, const double* factor) noexcept {
    for (std::size_t column = 0; column < block; ++column) {
        for (std::size_t k = 0; k < column; ++k) {
            for (std::size_t row = 0; row < block; ++row) {
                to[column * block + row] -= to[k * block + row] * factor[k * block + column];
            }
        }
        const double scale = 1.0 / factor[column * block + column];
        for (std::size_t row = 0; row < block; ++row) to[column * block + row] *= scale;
    }
}

// Factorises a block on the diagonal.
void factor_block(double* to) noexcept {
    for (std::size_t column = 0; column < block; ++column) {
        for (std::size_t k = 0; k < column; ++k) {
            for (std::size_t row = column; row < block; ++row) {
                to[column * block + row] -= to[k * block + row] * to[k * block + column];
            }
        }
        const double root = std::sqrt(to[column * block + column]);
        for (std::size_t row = column; row < block; ++row) to[column * block + row] /= root;
    }
}

}  // namespace

matrix::matrix(int tiles)
    : tiles_(tiles),
      memory_(static_cast<double*>(std::aligned_alloc(
          page, static_cast<std::size_t>(tiles * (tiles + 1) / 2) * cells * sizeof(double)))) {
    if (memory_ == nullptr) throw std::bad_alloc();
}

double* matrix::tile(int row, int column) const noexcept {
    return memory_.get() + static_cast<std::size_t>(row * (row + 1) / 2 + column) * cells;
}

double matrix::cell(std::size_t row, std::size_t column) const noexcept {
    return tile(static_cast<int>(row / side),
                static_cast<int>(column / side))[place(row % side, column % side)];
}

// Random numbers, and so much on the diagonal that it outweighs the rest of each row: that makes a
// symmetric matrix positive definite.
void matrix::fill() {
    std::mt19937_64 numbers(2006);
    for (int row = 0; row < tiles_; ++row) {
        for (int column = 0; column <= row; ++column) {
            double* const to = tile(row, column);
            // Not std::uniform_real_distribution, whose numbers differ between libraries.
            for (std::size_t i = 0; i < cells; ++i) {
                to[i] = static_cast<double>(numbers() >> 11U) * 0x1p-53;
            }
        }
        double* const diagonal = tile(row, row);
        for (std::size_t i = 0; i < side; ++i) {
            diagonal[place(i, i)] += static_cast<double>(tiles_) * static_cast<double>(side);
        }
    }
}

void matrix::copy(const matrix& other) noexcept {
    std::copy_n(other.memory_.get(), static_cast<std::size_t>(tiles_ * (tiles_ + 1) / 2) * cells,
                memory_.get());
}

void matrix::factor(int column) noexcept {
    double* const self = tile(column, column);
    for (std::size_t x = 0; x < side; x += block) {
        double* const diagonal = self + place(x, x);
        subtract_product(diagonal, self + place(x, 0), self + place(x, 0), x);
        factor_block(diagonal);
        for (std::size_t y = x + block; y < side; y += block) {
            subtract_product(self + place(y, x), self + place(y, 0), self + place(x, 0), x);
            solve_block(self + place(y, x), diagonal);
        }
    }
}

void matrix::solve(int row, int column) noexcept {
    double* const self = tile(row, column);
    const double* const factor = tile(column, column);
    for (std::size_t y = 0; y < side; y += block) {
        for (std::size_t x = 0; x < side; x += block) {
            subtract_product(self + place(y, x), self + place(y, 0), factor + place(x, 0), x);
            solve_block(self + place(y, x), factor + place(x, x));
        }
    }
}

void matrix::update(int row, int column, int step) noexcept {
    double* const self = tile(row, column);
    const double* const left = tile(row, step);
    const double* const right = tile(column, step);
    for (std::size_t y = 0; y < side; y += block) {
        // On the diagonal only the lower half counts.
        const std::size_t end = row == column ? y + block : side;
        for (std::size_t x = 0; x < end; x += block) {
            subtract_product(self + place(y, x), left + place(y, 0), right + place(x, 0), side);
        }
    }
}

void matrix::factorise() noexcept {
    for (int step = 0; step < tiles_; ++step) {
        factor(step);
        for (int row = step + 1; row < tiles_; ++row) {
            solve(row, step);
            for (int column = step + 1; column <= row; ++column) update(row, column, step);
        }
    }
}

bool matrix::same_as(const matrix& other) const noexcept {
    const std::size_t size = static_cast<std::size_t>(tiles_) * side;
    for (std::size_t y = 0; y < size; ++y) {
        for (std::size_t x = 0; x <= y; ++x) {
            if (std::bit_cast<std::uint64_t>(cell(y, x)) !=
                std::bit_cast<std::uint64_t>(other.cell(y, x))) {
                return false;
            }
        }
    }
    return true;
}

double matrix::residual(const matrix& original) const {
    const std::size_t size = static_cast<std::size_t>(tiles_) * side;
    // L by rows, so that the sum below runs along memory.
    std::vector<double> rows(size * size);
    for (std::size_t y = 0; y < size; ++y) {
        for (std::size_t x = 0; x <= y; ++x) rows[y * size + x] = cell(y, x);
    }
    double difference = 0.0;
    double norm = 0.0;
    for (std::size_t y = 0; y < size; ++y) {
        for (std::size_t x = 0; x <= y; ++x) {
            double product = 0.0;
            for (std::size_t k = 0; k <= x; ++k) product += rows[y * size + k] * rows[x * size + k];
            const double wanted = original.cell(y, x);
            // What is beside the diagonal is there twice.
            const double times = x == y ? 1.0 : 2.0;
            difference += times * (wanted - product) * (wanted - product);
            norm += times * wanted * wanted;
        }
    }
    return std::sqrt(difference / norm);
}

}  // namespace tokengate::bench::cholesky
