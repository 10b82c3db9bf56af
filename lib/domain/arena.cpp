// SPDX-License-Identifier: Apache-2.0
#include "domain/arena.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include "domain/guest.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

namespace {

/// Pins oneTBB's threads to the domain while they are in its arena, and tells them where they are.
class guest_book final : public tbb::task_scheduler_observer {
  public:
    guest_book(tbb::task_arena& arena, const domain_info& home, bool pin, const arena_host& host)
        : tbb::task_scheduler_observer(arena),
          home_(home),
          pins_(pin),
          post_(std::make_shared<guest_post>(host.owner, host.domain, host.concurrency)) {
        observe(true);
    }

    /// Guests may linger in an arena that nobody uses any more. They get their masks back here,
    /// since nobody will tell them when they leave.
    ~guest_book() override {
        observe(false);
        post_->close();
        if (!pins_) return;
        for (const guest& each : guests_) {
            static_cast<void>(set_thread_mask(each.thread, each.mask_before));
        }
    }
    guest_book(const guest_book&) = delete;
    guest_book& operator=(const guest_book&) = delete;

    void on_scheduler_entry(bool is_guest) override {
        if (!is_guest) return;
        try {
            const std::scoped_lock guard(lock_);
            guests_.push_back({.thread = this_thread_id(),
                               .mask_before = pins_ ? this_thread_mask() : cpu_mask(),
                               .post_before = guest_post::of_this_thread()});
        } catch (const std::bad_alloc&) {
            return;
        }
        guest_post::enter(post_);
        // A guest that cannot be pinned still helps; the workers' own binding is what is counted.
        if (pins_) static_cast<void>(bind_this_thread(home_));
    }

    void on_scheduler_exit(bool is_guest) override {
        if (!is_guest) return;
        const std::scoped_lock guard(lock_);
        // The last one: a guest may be here twice, with another arena in between.
        const auto self = std::find_if(guests_.rbegin(), guests_.rend(), [](const guest& each) {
            return each.thread == this_thread_id();
        });
        if (self == guests_.rend()) return;
        if (pins_) static_cast<void>(set_this_thread_mask(self->mask_before));
        guest_post::enter(std::move(self->post_before));
        guests_.erase(std::next(self).base());
    }

  private:
    struct guest {
        int thread = 0;
        cpu_mask mask_before;
        std::shared_ptr<guest_post> post_before;
    };

    const domain_info& home_;
    const bool pins_;
    const std::shared_ptr<guest_post> post_;
    std::mutex lock_;
    std::vector<guest> guests_;  ///< under lock_: those that are here now
};

}  // namespace

struct domain_arena::impl {
    impl(unsigned workers, unsigned extra_slots)
        : arena(static_cast<int>(workers + extra_slots), workers) {}

    tbb::task_arena arena;
    std::optional<guest_book> guests;
};

domain_arena::domain_arena(unsigned workers, unsigned extra_slots, const domain_info& home,
                           bool pin, const arena_host& host)
    : impl_(std::make_unique<impl>(workers, extra_slots)) {
    impl_->arena.initialize();
    if (extra_slots > 0) impl_->guests.emplace(impl_->arena, home, pin, host);
}

domain_arena::~domain_arena() = default;

void domain_arena::execute(const std::function<void()>& body) { impl_->arena.execute(body); }

}  // namespace tokengate::detail
