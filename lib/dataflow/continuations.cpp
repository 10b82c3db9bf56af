// SPDX-License-Identifier: Apache-2.0
#include "dataflow/continuations.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

// Nodes are aligned to cache lines; the product spreads what is left over its upper bits.
std::uint64_t hash_of(const token_node& token) noexcept {
    return (reinterpret_cast<std::uintptr_t>(&token) >> 6U) * 0x9E3779B97F4A7C15U;
}

constexpr unsigned part_bits = 6;

// What this thread has taken out and has still to tell.
struct to_tell {
    continuation* first = nullptr;  ///< linked by `next`
    continuation* last = nullptr;
    bool busy = false;  ///< somebody further out tells them
};
constinit thread_local to_tell waiting;

}  // namespace

constinit std::array<continuations::part, 64> continuations::parts{};

continuations::part& continuations::part_of(const token_node& token) noexcept {
    static_assert(std::tuple_size_v<decltype(parts)> == std::size_t{1} << part_bits);
    return parts[hash_of(token) >> (64U - part_bits)];
}

continuation*& continuations::part::bucket_of(const token_node& token) noexcept {
    return buckets()[(hash_of(token) >> 16U) & (size_ - 1)];
}

// The link to the first one of a token, or that at the end of its bucket.
continuation** continuations::part::link_to(const token_node& token) noexcept {
    continuation** link = &bucket_of(token);
    while (*link != nullptr && (*link)->awaited != &token) link = &(*link)->next_group;
    return link;
}

void continuations::part::add(continuation& which) noexcept {
    which.attached = true;
    continuation** const link = link_to(*which.awaited);
    if (continuation* const first = *link) {
        which.next = first;
        which.previous = first->previous;
        first->previous->next = &which;
        first->previous = &which;
        return;
    }
    which.next = &which;
    which.previous = &which;
    which.next_group = nullptr;
    *link = &which;
    if (++tokens_ > size_) grow();
}

void continuations::part::remove(continuation& which) noexcept {
    which.attached = false;
    continuation** const link = link_to(*which.awaited);
    const bool alone = which.next == &which;
    which.previous->next = which.next;
    which.next->previous = which.previous;
    if (*link != &which) return;
    if (!alone) {
        which.next->next_group = which.next_group;
        *link = which.next;
        return;
    }
    *link = which.next_group;
    if (--tokens_ == 0) shrink();
}

continuation* continuations::part::take(const token_node& token) noexcept {
    continuation** const link = link_to(token);
    continuation* const first = *link;
    if (first == nullptr || !is_terminal(first->awaited->state.phase())) return nullptr;
    *link = first->next_group;
    if (--tokens_ == 0) shrink();
    continuation* each = first;
    do {
        each->attached = false;
        each = each->next;
    } while (each != first);
    return first;
}

// Without memory its buckets just have more tokens each.
void continuations::part::grow() noexcept {
    const std::size_t size = 2 * size_;
    auto* const made = new (std::nothrow) continuation* [size] {};
    if (made != nullptr) rehash(made, size);
}

// Empty: what many tokens have needed goes back.
void continuations::part::shrink() noexcept {
    if (size_ <= 64 * fewest) return;
    std::fill(few_.begin(), few_.end(), nullptr);
    delete[] std::exchange(more_, nullptr);
    size_ = fewest;
}

void continuations::part::rehash(continuation** into, std::size_t size) noexcept {
    continuation** const before = buckets();
    for (std::size_t b = 0; b < size_; ++b) {
        for (continuation* each = before[b]; each != nullptr;) {
            continuation* const after = each->next_group;
            continuation*& bucket = into[(hash_of(*each->awaited) >> 16U) & (size - 1)];
            each->next_group = bucket;
            bucket = each;
            each = after;
        }
    }
    delete[] more_;
    more_ = into;
    size_ = size;
}

bool continuations::attach(continuation& which) noexcept {
    part& home = part_of(*which.awaited);
    const std::scoped_lock guard(home.lock);
    home.add(which);
    // The mutex keeps who ends the token from looking in between.
    const std::uint32_t seen = which.awaited->state.announce_follower();
    if (!is_terminal(state_word::phase_of(seen))) return true;
    home.remove(which);
    return false;
}

bool continuations::detach(continuation& which) noexcept {
    part& home = part_of(*which.awaited);
    const std::scoped_lock guard(home.lock);
    if (!which.attached) return false;
    home.remove(which);
    return true;
}

void continuations::tell(const token_node& ended) noexcept {
    continuation* first = nullptr;
    {
        part& home = part_of(ended);
        const std::scoped_lock guard(home.lock);
        first = home.take(ended);
    }
    if (first == nullptr) return;
    continuation* const last = first->previous;
    last->next = nullptr;
    (waiting.first == nullptr ? waiting.first : waiting.last->next) = first;
    waiting.last = last;
    if (!waiting.busy) tell_all();
}

void continuations::tell_all() noexcept {
    waiting.busy = true;
    while (continuation* const each = waiting.first) {
        // It may be gone when it has been told.
        waiting.first = each->next;
        each->tell(*each);
    }
    waiting.busy = false;
}

continuations::later::later() noexcept : outermost_(!std::exchange(waiting.busy, true)) {}

continuations::later::~later() {
    if (outermost_) tell_all();
}

void continuations::survive_fork() {
    for (part& each : parts) hold_over_fork(each.lock);
}

bool attach(continuation& which) noexcept { return continuations::attach(which); }

bool detach(continuation& which) noexcept { return continuations::detach(which); }

}  // namespace tokengate::detail
