// SPDX-License-Identifier: Apache-2.0
#include "domain/guest.hpp"

#include <utility>

#include "domain/crew.hpp"

namespace tokengate::detail {

namespace {

thread_local std::shared_ptr<guest_post> this_post;

// The same for who only wants to know whether there is one: no guard stands before it.
constinit thread_local bool is_guest = false;

}  // namespace

const std::shared_ptr<guest_post>& guest_post::of_this_thread() noexcept { return this_post; }

void guest_post::enter(std::shared_ptr<guest_post> post) noexcept {
    is_guest = post != nullptr;
    this_post = std::move(post);
}

void guest_post::close() noexcept {
    const std::scoped_lock guard(lock_);
    owner_ = nullptr;
}

void guest_post::begin_blocking(blocked_by cause) noexcept {
    if (!is_guest) return;
    const std::scoped_lock guard(this_post->lock_);
    crew* const owner = this_post->owner_;
    if (owner == nullptr) return;
    // Whether or not anybody can be had.
    static_cast<void>(owner->stand_in(this_post->domain_));
    if (cause == blocked_by::tokens) owner->begin_token_wait();
}

void guest_post::end_blocking(blocked_by cause) noexcept {
    if (!is_guest) return;
    const std::scoped_lock guard(this_post->lock_);
    crew* const owner = this_post->owner_;
    if (owner == nullptr) return;
    if (cause == blocked_by::tokens) owner->end_token_wait();
    owner->step_back(this_post->domain_);
}

}  // namespace tokengate::detail
