// SPDX-License-Identifier: Apache-2.0
/// @file
/// What works have in common that submit tokens first, and run them then.
#pragma once

#include <cstdint>
#include <string_view>

#include "guard/counting.hpp"
#include "guard/stage.hpp"
#include "guard/works.hpp"

namespace tokengate::guard {

/// How many tokens a work has.
inline constexpr std::uint64_t many = 10'000;

/// The thread outside submits `many` tokens to a worker that stands still, which is one figure; the
/// worker runs them, which is another.
class submissions : public work {
  public:
    void run() final {
        stage_.hold();
        stretch outside(submitted_, many);
        outside.begin();
        submit_all();
        outside.end();
        stage_.release(ran_, many);
        collect();
    }

  protected:
    submissions(std::string_view submitted, std::string_view ran)
        : submitted_(submitted), ran_(ran) {}

    virtual void submit_all() = 0;
    virtual void collect() {}

    stage stage_;

  private:
    std::string_view submitted_;
    std::string_view ran_;
};

}  // namespace tokengate::guard
