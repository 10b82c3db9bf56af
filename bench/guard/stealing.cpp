// SPDX-License-Identifier: Apache-2.0
// What a thief pays: two domains, of which one creates tokens and then stands still, so that the
// other one has to take all of them.
#include <array>
#include <cstdint>
#include <optional>
#include <semaphore>

#include "guard/stage.hpp"
#include "guard/works.hpp"

namespace tokengate::guard {
namespace {

class stealing_work final : public work {
  public:
    void run() override {
        stolen_ = 0;
        // Nobody runs two of these at once, so that both workers stand still.
        owner_.post();
        thief_.post();
        held_.acquire();
        held_.acquire();
        inside_.emplace("steal", loot);
        create_.release();
        created_.acquire();
        steal_.release();
        taken_.acquire();
        leave_.release();
        runtime_.wait_idle();
        expect("tokens that were stolen", stolen_, loot);
    }

  private:
    static constexpr std::uint64_t loot = 1000;  // as many as fit a deque

    // Written by the thief while the others wait for it.
    std::optional<stretch> inside_;
    std::uint64_t stolen_ = 0;

    std::counting_semaphore<2> held_{0};
    std::binary_semaphore create_{0};
    std::binary_semaphore created_{0};
    std::binary_semaphore steal_{0};
    std::binary_semaphore taken_{0};
    std::binary_semaphore leave_{0};

    runtime runtime_{fixed_settings(2)};
    operation<void()> child_ = runtime_.operation("child", [this] {
        extra_work();
        if (++stolen_ != loot) return;
        inside_->end();
        inside_.reset();
        taken_.release();
    });
    operation<void()> owner_ = runtime_.operation("owner", [this] {
        held_.release();
        create_.acquire();
        for (std::uint64_t i = 0; i < loot; ++i) child_.post();
        created_.release();
        leave_.acquire();
    });
    operation<void()> thief_ = runtime_.operation("thief", [this] {
        held_.release();
        steal_.acquire();
        inside_->begin();
    });
};

}  // namespace

std::unique_ptr<work> make_stealing() { return std::make_unique<stealing_work>(); }

}  // namespace tokengate::guard
