// SPDX-License-Identifier: Apache-2.0
#include "domain/waiters.hpp"

namespace tokengate::detail {

constinit std::mutex waiting_workers::lock;
constinit waiting_workers::entry* waiting_workers::first = nullptr;

waiting_workers::entry::entry(const token_node& awaited, event_count& wake,
                              const execution_stack& stack, bool timed) noexcept
    : awaited_(&awaited), wake_(&wake), stack_(&stack), timed_(timed) {
    const std::scoped_lock guard(lock);
    closes_a_cycle_ = !timed && leads_back();
    if (closes_a_cycle_) return;
    next_ = first;
    if (next_ != nullptr) next_->previous_ = this;
    first = this;
}

waiting_workers::entry::~entry() {
    if (closes_a_cycle_) return;
    const std::scoped_lock guard(lock);
    if (next_ != nullptr) next_->previous_ = previous_;
    (previous_ != nullptr ? previous_->next_ : first) = next_;
}

// From the awaited token to those who have it on their stacks (several, if it is a share of a
// bulk), to what these wait for, and so on. The list has no cycle, so that the walk ends; each
// entry is walked from once.
bool waiting_workers::entry::leads_back() const noexcept {
    for (entry* each = first; each != nullptr; each = each->next_) each->walked_ = false;
    return leads_back(*awaited_);
}

bool waiting_workers::entry::leads_back(const token_node& wanted) const noexcept {
    if (stack_->holds_up(wanted)) {
        // Looked at after the stack: a token that is not terminal has been there all the time, and
        // its strand too.
        return !is_terminal(wanted.state.phase());
    }
    for (entry* holder = first; holder != nullptr; holder = holder->next_) {
        if (holder->walked_ || holder->timed_ || !holder->stack_->holds_up(wanted)) continue;
        // As above.
        if (is_terminal(wanted.state.phase())) return false;
        holder->walked_ = true;
        if (leads_back(*holder->awaited_)) return true;
    }
    return false;
}

void waiting_workers::notify(const token_node* finished) noexcept {
    const std::scoped_lock guard(lock);
    for (entry* each = first; each != nullptr; each = each->next_) {
        if (each->awaited_ == finished) each->wake_->notify_all();
    }
}

}  // namespace tokengate::detail
