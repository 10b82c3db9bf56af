// SPDX-License-Identifier: Apache-2.0
/// @file
/// Who takes part in Cholesky. Each file of contenders defines some of these entries.
#pragma once

#include <vector>

#include "macro/cholesky/dependencies.hpp"
#include "macro/cholesky/matrix.hpp"
#include "support/work.hpp"

namespace tokengate::bench::cholesky {

struct solution;

/// What all contenders have in common: the matrix, and whether its factor is right.
class factoriser : public contender {
  public:
    explicit factoriser(const setting& given);

    /// The same matrix each time.
    void prepare() override;

    /// Compares with what one thread got, bit by bit: each cell gets its updates in one order,
    /// whoever makes them.
    void verify() override;

  protected:
    [[nodiscard]] matrix& field() noexcept { return field_; }
    [[nodiscard]] const matrix& field() const noexcept { return field_; }

  private:
    const solution& expected_;
    matrix field_;
};

/// The contenders whose last missing kernel starts the next.
class counting_factoriser : public factoriser {
  public:
    explicit counting_factoriser(const setting& given)
        : factoriser(given), waiting_(field().tiles()) {}

    void prepare() override {
        factoriser::prepare();
        waiting_.reset();
    }

  protected:
    /// Runs a kernel, then calls `on_ready` with each that can begin now.
    template <class OnReady>
    void run_kernel(const kernel& which, const OnReady& on_ready) {
        which.on(field());
        waiting_.finish(which, on_ready);
    }

  private:
    dependencies waiting_;
};

/// Adds the contenders of one family to the work.
void add_onetbb(std::vector<entry>& contenders);
void add_tokengate(std::vector<entry>& contenders);
void add_openmp(std::vector<entry>& contenders);

}  // namespace tokengate::bench::cholesky
