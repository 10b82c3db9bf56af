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

// From the awaited token to who has it on the stack, to what that one waits for, and so on. The
// list has no cycle, so that the walk ends.
bool waiting_workers::entry::leads_back() const noexcept {
    for (const token_node* wanted = awaited_;;) {
        const bool back = stack_->holds_up(*wanted);
        const entry* holder = first;
        while (!back && holder != nullptr && !holder->stack_->holds_up(*wanted)) {
            holder = holder->next_;
        }
        // Looked at after the stacks: a token that is not terminal has been there all the time,
        // and its strand too.
        if (is_terminal(wanted->state.phase())) return false;
        if (back) return true;
        if (holder == nullptr || holder->timed_) return false;
        wanted = holder->awaited_;
    }
}

void waiting_workers::notify(const token_node* finished) noexcept {
    const std::scoped_lock guard(lock);
    for (entry* each = first; each != nullptr; each = each->next_) {
        if (each->awaited_ == finished) each->wake_->notify_all();
    }
}

}  // namespace tokengate::detail
