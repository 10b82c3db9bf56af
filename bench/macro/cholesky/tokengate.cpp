// SPDX-License-Identifier: Apache-2.0
// Cholesky by tokens: the last missing kernel calls the operation of the next.
#include <tokengate/tokengate.hpp>

#include "macro/cholesky/contenders.hpp"
#include "support/workers.hpp"

namespace tokengate::bench::cholesky {

namespace {

template <weight Weight>
class tokens : public with_runtime<counting_factoriser> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        start(first_kernel);
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override {
        return kernels_of(field().tiles());
    }

    // Calls the operation that runs it.
    void start(const kernel& which) const {
        const auto [row, column, step] = which;
        if (which.is_update()) {
            update_.post(row, column, step);
        } else if (row == column) {
            factor_.post(column);
        } else {
            solve_.post(row, column);
        }
    }

    void run_and_start(const kernel& which) {
        run_kernel(which, [this](const kernel& next) { start(next); });
    }

    operation<void(int)> factor_ =
        host().operation("factor", {.weight = Weight}, [this](int column) {
            run_and_start({column, column, column});
        });
    operation<void(int, int)> solve_ =
        host().operation("solve", {.weight = Weight}, [this](int row, int column) {
            run_and_start({row, column, column});
        });
    operation<void(int, int, int)> update_ =
        host().operation("update", {.weight = Weight}, [this](int row, int column, int step) {
            run_and_start({row, column, step});
        });
};

}  // namespace

void add_tokengate(std::vector<entry>& contenders) {
    contenders.push_back(enter<tokens<weight::medium>>("tokengate", family::tokengate));
    contenders.push_back(enter<tokens<weight::heavy>>("heavy", family::tokengate));
}

}  // namespace tokengate::bench::cholesky
