// SPDX-License-Identifier: Apache-2.0
#include "domain/arena.hpp"

#include <algorithm>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

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

    /// Guests may linger in an arena that nobody uses any more. They get their masks back here,
    /// since nobody will tell them when they leave.
    ~guest_pinner() override {
        observe(false);
        for (const guest& each : guests_) {
            static_cast<void>(set_thread_mask(each.thread, each.mask_before));
        }
    }
    guest_pinner(const guest_pinner&) = delete;
    guest_pinner& operator=(const guest_pinner&) = delete;

    void on_scheduler_entry(bool is_guest) override {
        if (!is_guest) return;
        try {
            const std::scoped_lock guard(lock_);
            guests_.push_back({.thread = this_thread_id(), .mask_before = this_thread_mask()});
        } catch (const std::bad_alloc&) {
            return;
        }
        // A guest that cannot be pinned still helps; the workers' own binding is what is counted.
        static_cast<void>(bind_this_thread(home_));
    }

    void on_scheduler_exit(bool is_guest) override {
        if (!is_guest) return;
        const std::scoped_lock guard(lock_);
        const auto self = std::find_if(guests_.begin(), guests_.end(), [](const guest& each) {
            return each.thread == this_thread_id();
        });
        if (self == guests_.end()) return;
        static_cast<void>(set_this_thread_mask(self->mask_before));
        guests_.erase(self);
    }

  private:
    struct guest {
        int thread = 0;
        cpu_mask mask_before;
    };

    const domain_info& home_;
    std::mutex lock_;
    std::vector<guest> guests_;  ///< under lock_: those that are pinned now
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
