// SPDX-License-Identifier: Apache-2.0
#include "domain/waiters.hpp"

namespace tokengate::detail {

constinit std::mutex waiting_workers::lock;
constinit waiting_workers::entry* waiting_workers::first = nullptr;

waiting_workers::entry::entry(const token_node& awaited, event_count& wake) noexcept
    : awaited_(&awaited), wake_(&wake) {
    const std::scoped_lock guard(lock);
    next_ = first;
    if (next_ != nullptr) next_->previous_ = this;
    first = this;
}

waiting_workers::entry::~entry() {
    const std::scoped_lock guard(lock);
    if (next_ != nullptr) next_->previous_ = previous_;
    (previous_ != nullptr ? previous_->next_ : first) = next_;
}

void waiting_workers::notify(const token_node* finished) noexcept {
    const std::scoped_lock guard(lock);
    for (entry* each = first; each != nullptr; each = each->next_) {
        if (each->awaited_ == finished) each->wake_->notify_all();
    }
}

}  // namespace tokengate::detail
