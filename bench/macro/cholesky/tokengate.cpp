// SPDX-License-Identifier: Apache-2.0
// Cholesky by tokens: the last missing kernel calls the operation of the next; or all are called at
// once, and wait for what they need.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

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

// A tile is the token that has written it last: nobody counts, nobody calls what comes next.
template <weight Weight>
class dataflow : public with_runtime<factoriser> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        const int tiles = field().tiles();
        const auto count = static_cast<std::size_t>(tiles);
        std::vector<std::optional<token<void>>> written(count * count);
        const auto at = [&](int row, int column) -> std::optional<token<void>>& {
            return written[static_cast<std::size_t>(row) * count +
                           static_cast<std::size_t>(column)];
        };
        const auto after = [&](const auto&... writers) {
            std::vector<token<void>> all;
            ((writers ? all.push_back(*writers) : void()), ...);
            return host().after(all);
        };
        for (int step = 0; step < tiles; ++step) {
            const auto& factored = at(step, step) = after(at(step, step)).call(factor_, step);
            // What the next factorisation waits for comes last, as in for_each_successor().
            for (int row = tiles - 1; row > step; --row) {
                auto& tile = at(row, step);
                tile = after(tile, factored).call(solve_, row, step);
            }
            for (int row = tiles - 1; row > step; --row) {
                for (int column = row; column > step; --column) {
                    auto& tile = at(row, column);
                    tile = after(tile, at(row, step), at(column, step))
                               .call(update_, row, column, step);
                }
            }
        }
        at(tiles - 1, tiles - 1)->wait();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override {
        return kernels_of(field().tiles());
    }

    operation<void(int)> factor_ = host().operation("factor", {.weight = Weight},
                                                    [this](int column) { field().factor(column); });
    operation<void(int, int)> solve_ = host().operation(
        "solve", {.weight = Weight}, [this](int row, int column) { field().solve(row, column); });
    operation<void(int, int, int)> update_ = host().operation(
        "update", {.weight = Weight},
        [this](int row, int column, int step) { field().update(row, column, step); });
};

}  // namespace

void add_tokengate(std::vector<entry>& contenders) {
    contenders.push_back(enter<tokens<weight::medium>>("tokengate", family::tokengate));
    contenders.push_back(enter<tokens<weight::heavy>>("heavy", family::tokengate));
    contenders.push_back(enter<dataflow<weight::heavy>>("dataflow", family::tokengate));
}

}  // namespace tokengate::bench::cholesky
