// SPDX-License-Identifier: Apache-2.0
#include "telemetry/history.hpp"

namespace tokengate::detail {

history::history(std::size_t capacity) : ring_(capacity) {}

void history::push(const execution_record& newest) noexcept {
    if (ring_.empty()) return;
    const std::scoped_lock guard(lock_);
    ring_[next_] = newest;
    next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
    if (held_ < ring_.size()) ++held_;
}

std::vector<execution_record> history::snapshot() const {
    std::vector<execution_record> found;
    // Before the lock, so that nobody waits for memory.
    found.reserve(ring_.size());
    const std::scoped_lock guard(lock_);
    std::size_t at = next_;
    for (std::size_t i = 0; i < held_; ++i) {
        at = at == 0 ? ring_.size() - 1 : at - 1;
        found.push_back(ring_[at]);
    }
    return found;
}

}  // namespace tokengate::detail
