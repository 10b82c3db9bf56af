// SPDX-License-Identifier: Apache-2.0
#include "domain/arena.hpp"

#include <optional>
#include <utility>

#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include "topology/binding.hpp"

namespace tokengate::detail {

namespace {

/// Pins oneTBB's threads to the domain while they are in its arena.
class guest_pinner final : public tbb::task_scheduler_observer {
  public:
    guest_pinner(tbb::task_arena& arena, const domain_info& home)
        : tbb::task_scheduler_observer(arena), home_(home) {
        observe(true);
    }
    ~guest_pinner() override { observe(false); }
    guest_pinner(const guest_pinner&) = delete;
    guest_pinner& operator=(const guest_pinner&) = delete;

    void on_scheduler_entry(bool is_guest) override {
        if (!is_guest) return;
        // A guest that cannot be pinned still helps; the workers' own binding is what is counted.
        mask_before() = this_thread_mask();
        static_cast<void>(bind_this_thread(home_));
    }

    void on_scheduler_exit(bool is_guest) override {
        if (!is_guest) return;
        if (const auto before = std::exchange(mask_before(), std::nullopt)) {
            set_this_thread_mask(*before);
        }
    }

  private:
    // The guest's own mask, which it gets back when it leaves for another arena.
    static std::optional<cpu_mask>& mask_before() {
        static thread_local std::optional<cpu_mask> mask;
        return mask;
    }

    const domain_info& home_;
};

}  // namespace

struct domain_arena::impl {
    impl(unsigned workers, unsigned extra_slots)
        : arena(static_cast<int>(workers + extra_slots), workers) {}

    tbb::task_arena arena;
    std::optional<guest_pinner> pinner;
};

domain_arena::domain_arena(unsigned workers, unsigned extra_slots, const domain_info& home,
                           bool pin)
    : impl_(std::make_unique<impl>(workers, extra_slots)) {
    impl_->arena.initialize();
    if (pin && extra_slots > 0) impl_->pinner.emplace(impl_->arena, home);
}

domain_arena::~domain_arena() = default;

void domain_arena::execute(const std::function<void()>& body) { impl_->arena.execute(body); }

}  // namespace tokengate::detail
