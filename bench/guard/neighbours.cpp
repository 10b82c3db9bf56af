// SPDX-License-Identifier: Apache-2.0
// What a machine of many domains costs: 16, of which the first may not run what is submitted and
// sleeps, while the workers of the others stand still. A thread outside submits to all 15, and then
// one of their workers runs all there is.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <semaphore>

#include "guard/stage.hpp"
#include "guard/works.hpp"

namespace tokengate::guard {
namespace {

constexpr int domains = 16;
constexpr std::ptrdiff_t in_range = domains - 1;

config strict_settings() {
    config chosen = fixed_settings(domains);
    chosen.steal = stealing::strict;
    chosen.first_core.medium = 1;
    return chosen;
}

class neighbours final : public work {
  public:
    void run() override {
        ran_ = 0;
        // Keys go to the domains in turn, so that each worker in range stands still in one.
        for (std::ptrdiff_t i = 0; i < in_range; ++i) hold_.post(i);
        for (std::ptrdiff_t i = 0; i < in_range; ++i) held_.acquire();
        stretch outside("submit_past_idle", many);
        outside.begin();
        for (std::uint64_t i = 0; i < many; ++i) {
            extra_work();
            empty_.post();
        }
        outside.end();
        inside_.emplace("run_all_lanes", many);
        first_.release();
        taken_.acquire();
        others_.release(in_range - 1);
        runtime_.wait_idle();
        expect("tokens that ran", ran_, many);
    }

  private:
    static constexpr std::uint64_t many = 640 * in_range;

    // Written by the worker that runs all, while the others wait for it.
    std::optional<stretch> inside_;
    std::uint64_t ran_ = 0;

    std::counting_semaphore<in_range> held_{0};
    std::binary_semaphore first_{0};
    std::binary_semaphore taken_{0};
    std::counting_semaphore<in_range> others_{0};

    runtime runtime_{strict_settings()};
    operation<void()> empty_ = runtime_.operation("empty", [this] {
        extra_work();
        if (++ran_ != many) return;
        inside_->end();
        inside_.reset();
        taken_.release();
    });
    operation<void(std::ptrdiff_t)> hold_ = runtime_.operation(
        "hold", {.sticky = sticky::by_arguments()}, [this](std::ptrdiff_t which) {
            held_.release();
            if (which == 0) {
                first_.acquire();
                inside_->begin();
            } else {
                others_.acquire();
            }
        });
};

}  // namespace

std::unique_ptr<work> make_neighbours() { return std::make_unique<neighbours>(); }

}  // namespace tokengate::guard
