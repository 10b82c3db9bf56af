// SPDX-License-Identifier: Apache-2.0
#include "domain/tier.hpp"

#include <algorithm>
#include <utility>

#include "domain/backlog.hpp"

namespace tokengate::detail {

void tier::release() noexcept {
    const std::scoped_lock guard(lock_);
    // In a child process the callable that has called fork() returns a permit that was forgotten.
    if (active_ != 0) --active_;
    ++executed_;
    deal();
}

void tier::lend() noexcept {
    const std::scoped_lock guard(lock_);
    if (active_ != 0) --active_;
    deal();
}

void tier::hand_over() noexcept {
    const std::scoped_lock guard(lock_);
    ++executed_;
}

void tier::take_again() noexcept {
    std::unique_lock guard(lock_);
    ++returning_;
    returned_.wait(guard, [&] { return active_ < limit_ || promised_ != 0; });
    --returning_;
    take_any();
    deal();
}

void tier::add(backlog& member) {
    const std::scoped_lock guard(lock_);
    members_.push_back(&member);
}

void tier::remove(const backlog& member) noexcept {
    const std::scoped_lock guard(lock_);
    members_.erase(std::find(members_.begin(), members_.end(), &member));
}

void tier::forget_all() noexcept {
    const std::scoped_lock guard(lock_);
    active_ = 0;
    promised_ = 0;
    returning_ = 0;
    members_.clear();
}

void tier::resize(std::size_t limit) noexcept {
    const std::scoped_lock guard(lock_);
    limit_ = limit;
    deal();
}

// Round robin, a permit at a time.
void tier::deal() noexcept {
    if (returning_ != 0) {
        returned_.notify_all();
        return;
    }
    std::size_t refused = 0;
    while (active_ < limit_ && refused < members_.size()) {
        next_ = (next_ + 1) % members_.size();
        refused = members_[next_]->use_permit() ? 0 : refused + 1;
    }
    if (!std::exchange(wanted_, false)) return;
    for (backlog* each : members_) each->tell_claimants();
}

tier::snapshot tier::look() const noexcept {
    const std::scoped_lock guard(lock_);
    std::size_t waiting = 0;
    for (const backlog* each : members_) waiting += each->size();
    return {.limit = limit_, .executing = active_, .waiting = waiting, .executed = executed_};
}

}  // namespace tokengate::detail
