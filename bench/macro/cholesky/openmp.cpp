// SPDX-License-Identifier: Apache-2.0
// Cholesky by OpenMP tasks, whose dependencies the implementation finds out.
#include <cstddef>
#include <vector>

#include "macro/cholesky/contenders.hpp"
#include "support/openmp.hpp"

namespace tokengate::bench::cholesky {

namespace {

#ifdef _OPENMP

// The serial loop, as tasks that say which tiles they read and write.
class openmp_tasks : public with_team<factoriser> {
  public:
    explicit openmp_tasks(const setting& given)
        : with_team(given), marks_(static_cast<std::size_t>(field().tiles() * field().tiles())) {}

    void run() override {
        team().run([this] { create(); });
    }

  private:
    // Only the address of a mark counts.
    [[nodiscard]] char* mark(int row, int column) noexcept {
        return &marks_[static_cast<std::size_t>(row * field().tiles() + column)];
    }

    void create() {
        for (int step = 0; step < field().tiles(); ++step) {
            char* const diagonal = mark(step, step);
#pragma omp task depend(inout : *diagonal)
            field().factor(step);
            for (int row = step + 1; row < field().tiles(); ++row) {
                char* const left = mark(row, step);
#pragma omp task depend(in : *diagonal) depend(inout : *left)
                field().solve(row, step);
                for (int column = step + 1; column <= row; ++column) {
                    char* const right = mark(column, step);
                    char* const self = mark(row, column);
#pragma omp task depend(in : *left, *right) depend(inout : *self)
                    field().update(row, column, step);
                }
            }
        }
    }

    std::vector<char> marks_;
};

#endif

}  // namespace

void add_openmp([[maybe_unused]] std::vector<entry>& contenders) {
#ifdef _OPENMP
    contenders.push_back(enter<openmp_tasks>("OpenMP", family::other));
#endif
}

}  // namespace tokengate::bench::cholesky
