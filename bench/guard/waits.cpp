// SPDX-License-Identifier: Apache-2.0
// Tokens that wait for others.
#include <cstdint>
#include <memory>
#include <utility>

#include "guard/submissions.hpp"

namespace tokengate::guard {
namespace {

// A chain of tokens that wait for each other: each is called with the one before.
class dependents final : public submissions {
  public:
    dependents() : submissions("submit_dependent", "run_dependent") {}

  private:
    void submit_all() override {
        last_ = next_(std::uint64_t{0});
        for (std::uint64_t i = 1; i < many; ++i) {
            extra_work();
            last_ = next_(std::move(last_));
        }
    }

    void collect() override { expect("the end of the chain", last_.get(), many); }

    operation<std::uint64_t(std::uint64_t)> next_ =
        stage_.get().operation("next", [this](std::uint64_t value) {
            stage_.ran();
            return value + 1;
        });
    token<std::uint64_t> last_;
};

// Callables that are coroutines, each of which waits for a child. The figure includes that.
class coroutines final : public submissions {
  public:
    coroutines() : submissions("submit_coroutine", "run_coroutine") {}

  private:
    void submit_all() override {
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            waits_.post();
        }
    }

    operation<std::uint64_t()> child_ =
        stage_.get().operation("child", [] { return std::uint64_t{1}; });
    operation<void()> waits_ = stage_.get().operation("waits", [this]() -> task<> {
        static_cast<void>(co_await child_());
        stage_.ran();
    });
};

}  // namespace

std::unique_ptr<work> make_dependents() { return std::make_unique<dependents>(); }
std::unique_ptr<work> make_coroutines() { return std::make_unique<coroutines>(); }

}  // namespace tokengate::guard
