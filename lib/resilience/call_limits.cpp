// SPDX-License-Identifier: Apache-2.0
#include "resilience/call_limits.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "resilience/complaints.hpp"
#include "resilience/memory_budget.hpp"

namespace tokengate::detail {

namespace {

// Of this thread, innermost first: calls are made inside each other while one waits.
constinit thread_local call_limits::hold* innermost_hold = nullptr;

}  // namespace

double rate_bucket::used_at(steady_ns now) const noexcept {
    const auto passed = static_cast<double>(std::max<steady_ns>(now - at_, 0));
    return std::max(0.0, used_ - passed * per_nanosecond_);
}

// Unless a call comes, the numbers stay as they are: what drains between two looks may be less than
// a number of this size can tell.
bool rate_bucket::take(steady_ns now) noexcept {
    const double used = used_at(now);
    if (used + 1 > burst_) return false;
    used_ = used + 1;
    at_ = std::max(at_, now);
    return true;
}

steady_ns rate_bucket::reserve(steady_ns now) noexcept {
    used_ = used_at(now) + 1;
    at_ = std::max(at_, now);
    constexpr double far = static_cast<double>(std::numeric_limits<steady_ns>::max()) / 2;
    const double wait = std::ceil((used_ - burst_) / per_nanosecond_);
    return at_ + static_cast<steady_ns>(std::clamp(wait, 0.0, far));
}

call_limits::call_limits(event_count& room, const operation_traits& traits, memory_budget& memory)
    : room_(room),
      memory_(memory),
      in_flight_(traits.in_flight),
      rate_(traits.rate),
      bucket_(traits.rate) {}

bool call_limits::any() const noexcept {
    return in_flight_.tokens != 0 || bucket_.limited() || memory_.limited();
}

void call_limits::give_back(const limit_share& share) noexcept {
    if (share.bytes != 0) memory_.give(share.bytes);
    if (share.place) {
        const std::scoped_lock guard(lock_);
        --places_;
    }
    // Whoever has looked before this has announced itself before that: under the lock, or by the
    // order of the seq_cst operations of the memory.
    if ((share.place || share.bytes != 0) && room_.has_waiters()) room_.notify_all();
}

void call_limits::give_up(const limit_share& share) noexcept {
    if (share.turn) {
        const std::scoped_lock guard(lock_);
        bucket_.give_back();
    }
    give_back(share);
}

std::size_t call_limits::places() const noexcept {
    const std::scoped_lock guard(lock_);
    return places_;
}

std::string call_limits::describe(limit_kind which) const {
    switch (which) {
        case limit_kind::in_flight:
            return "its in_flight limit of " + std::to_string(in_flight_.tokens) + " tokens";
        case limit_kind::rate:
            return "its rate limit of " + text_of(rate_.per_second) +
                   " calls per second, in bursts of " + text_of(rate_.burst);
        case limit_kind::memory:
            return "the memory_limit of its runtime of " + std::to_string(memory_.limit()) +
                   " bytes";
        case limit_kind::none: break;
    }
    return "no limit";
}

call_limits::hold::hold(call_limits& limits, std::size_t bytes) noexcept
    : limits_(limits),
      bytes_(limits.memory_.limited() ? bytes : 0),
      outer_(std::exchange(innermost_hold, this)) {}

call_limits::hold::~hold() {
    innermost_hold = outer_;
    limits_.give_up(share_);
}

call_limits::answer call_limits::hold::take(bool waits) noexcept {
    const in_flight_limit& in_flight = limits_.in_flight_;
    rate_bucket& bucket = limits_.bucket_;
    const std::scoped_lock guard(limits_.lock_);
    // A turn is not kept while the call waits for something else.
    const auto give_turn_back = [&] {
        if (std::exchange(share_.turn, false)) bucket.give_back();
    };
    if (in_flight.tokens != 0 && limits_.places_ >= in_flight.tokens) {
        give_turn_back();
        return {.lacking = limit_kind::in_flight, .policy = in_flight.policy};
    }
    if (bucket.limited() && !inherits_turn_) {
        const bool blocks = limits_.rate_.policy == when_full::block;
        const answer too_early{.lacking = limit_kind::rate, .policy = limits_.rate_.policy};
        const steady_ns now = steady_now();
        if (!share_.turn) {
            if (bucket.take(now)) {
                turn_at_ = now;
            } else if (waits && blocks) {
                turn_at_ = bucket.reserve(now);
            } else {
                return too_early;
            }
            share_.turn = true;
        }
        if (turn_at_ > now) {
            answer later = too_early;
            later.when = turn_at_;
            return later;
        }
    }
    if (bytes_ != 0 && !limits_.memory_.take(bytes_)) {
        give_turn_back();
        return {.lacking = limit_kind::memory,
                .policy = limits_.memory_.policy(),
                .never = bytes_ > limits_.memory_.limit()};
    }
    if (in_flight.tokens != 0) {
        ++limits_.places_;
        share_.place = true;
    }
    share_.bytes = bytes_;
    return {};
}

void call_limits::hold::take_beyond() noexcept {
    const std::scoped_lock guard(limits_.lock_);
    if (limits_.in_flight_.tokens != 0) {
        ++limits_.places_;
        share_.place = true;
    }
    limits_.memory_.take_beyond(bytes_);
    share_.bytes = bytes_;
}

limit_share call_limits::hold::move_out() noexcept { return std::exchange(share_, {}); }

std::size_t call_limits::hold::places_of_thread(const call_limits& limits) noexcept {
    std::size_t sum = 0;
    for (const hold* each = innermost_hold; each != nullptr; each = each->outer_) {
        if (&each->limits_ == &limits && each->share_.place) ++sum;
    }
    return sum;
}

std::size_t call_limits::hold::bytes_of_thread(const memory_budget& memory) noexcept {
    std::size_t sum = 0;
    for (const hold* each = innermost_hold; each != nullptr; each = each->outer_) {
        if (&each->limits_.memory_ == &memory) sum += each->share_.bytes;
    }
    return sum;
}

}  // namespace tokengate::detail
