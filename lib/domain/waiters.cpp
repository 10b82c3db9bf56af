// SPDX-License-Identifier: Apache-2.0
#include "domain/waiters.hpp"

namespace tokengate::detail {

constinit std::mutex waiting_workers::lock;
constinit waiting_workers::entry* waiting_workers::first = nullptr;

waiting_workers::entry::entry(const token_node& awaited, event_count& wake,
                              const execution_stack& stack, bool timed) noexcept
    : awaited_(&awaited), wake_(&wake), stack_(&stack), timed_(timed) {
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

bool waiting_workers::entry::closes_a_cycle() const noexcept {
    if (timed_) return false;
    const std::scoped_lock guard(lock);
    const entry* from = this;
    // Each step goes to another waiting worker, so that the walk ends; a cycle that does not lead
    // back here was found by whoever closed it.
    for (;;) {
        const token_node& wanted = *from->awaited_;
        const entry* holder = first;
        while (holder != nullptr && !holder->stack_->holds_up(wanted)) holder = holder->next_;
        // Looked at after the stacks: a token that is not terminal has been there all the time,
        // and its strand too.
        if (holder == nullptr || holder->timed_) return false;
        if (is_terminal(wanted.state.phase())) return false;
        if (holder == this) return true;
        from = holder;
    }
}

void waiting_workers::notify(const token_node* finished) noexcept {
    const std::scoped_lock guard(lock);
    for (entry* each = first; each != nullptr; each = each->next_) {
        if (each->awaited_ == finished) each->wake_->notify_all();
    }
}

}  // namespace tokengate::detail
