// SPDX-License-Identifier: Apache-2.0
/// @file
/// Contenders whose tasks are empty but for the count that proves that each of them ran, once.
#pragma once

#include <cstdint>

#include "support/tally.hpp"
#include "support/work.hpp"

namespace tokengate::bench {

/// The base of such contenders: run() calls start() first, each task calls tally::count() last.
class counted : public contender {
  public:
    /// @param runs  how many tasks finish in one repetition
    explicit counted(std::uint64_t runs) : runs_(runs) {}

    /// Each of the setting's tasks finishes once in a repetition.
    explicit counted(const setting& given) : counted(given.tasks) {}

    void verify() override {
        const std::uint64_t now = tally::finished();
        expect_equal("tasks run", static_cast<std::int64_t>(now - before_),
                     static_cast<std::int64_t>(runs_));
    }

  protected:
    /// How many tasks finish in one repetition.
    [[nodiscard]] std::uint64_t runs() const noexcept { return runs_; }

    /// Others have counted since the last repetition. Returns what tally::finished() will be at the
    /// end of this one.
    std::uint64_t start() {
        before_ = tally::finished();
        return before_ + runs_;
    }

  private:
    std::uint64_t runs_;
    std::uint64_t before_ = 0;
};

}  // namespace tokengate::bench
