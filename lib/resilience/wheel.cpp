// SPDX-License-Identifier: Apache-2.0
#include "resilience/wheel.hpp"

#include <algorithm>
#include <bit>

namespace tokengate::detail {

// Rounded down: the tick that has begun.
wheel::tick wheel::tick_at(steady_ns now) noexcept {
    return now < 0 ? 0 : static_cast<tick>(now) >> tick_bits;
}

// Rounded up: no alarm rings before its time.
wheel::tick wheel::tick_from(steady_ns when) noexcept {
    if (when <= 0) return 0;
    return (static_cast<tick>(when) + ((tick{1} << tick_bits) - 1)) >> tick_bits;
}

steady_ns wheel::begin_of(tick which) noexcept {
    constexpr tick after_all = tick{1} << (63 - tick_bits);
    return which < after_all ? static_cast<steady_ns>(which << tick_bits) : never;
}

// The level is that of the highest digit in which the tick differs from now, the place in it that
// digit. The higher digits are those of now.
std::size_t wheel::slot_of(tick due) const noexcept {
    const auto level = (static_cast<unsigned>(std::bit_width((due ^ now_) | 1)) - 1) / level_bits;
    // What belongs into a slot that is being emptied waits there behind the others.
    if (level < opened_ / slots_in_level && occupied(opened_)) return opened_;
    return std::size_t{level} * slots_in_level + (due >> (level * level_bits)) % slots_in_level;
}

bool wheel::occupied(std::size_t number) const noexcept {
    return (bitmap_[number / slots_in_level] >> (number % slots_in_level) & 1) != 0;
}

void wheel::append(alarm& which, std::size_t number) noexcept {
    slot& home = slots_[number];
    which.slot_ = number & alarm::no_slot;
    which.previous_ = home.last;
    which.next_ = nullptr;
    (home.last != nullptr ? home.last->next_ : home.first) = &which;
    home.last = &which;
    bitmap_[number / slots_in_level] |= std::uint64_t{1} << (number % slots_in_level);
}

void wheel::remove(alarm& which) noexcept {
    const std::size_t number = which.slot_;
    slot& home = slots_[number];
    (which.previous_ != nullptr ? which.previous_->next_ : home.first) = which.next_;
    (which.next_ != nullptr ? which.next_->previous_ : home.last) = which.previous_;
    which.slot_ = alarm::no_slot;
    if (home.first == nullptr) {
        bitmap_[number / slots_in_level] &= ~(std::uint64_t{1} << (number % slots_in_level));
    }
}

steady_ns wheel::arm(alarm& which, steady_ns when) noexcept {
    disarm(which);
    const tick due = std::max(tick_from(when), now_);
    which.tick_ = due & ((tick{1} << (levels * level_bits)) - 1);
    append(which, slot_of(due));
    return begin_of(due);
}

bool wheel::disarm(alarm& which) noexcept {
    if (which.slot_ == alarm::no_slot) return false;
    remove(which);
    return true;
}

// All ticks of one level come before those of the next, and within a level they ascend with the
// slots, of which only those from now on are occupied.
wheel::place wheel::earliest() const noexcept {
    if (opened_ != 0 && occupied(opened_)) return {.number = opened_, .begin = now_, .found = true};
    for (unsigned level = 0; level < levels; ++level) {
        if (bitmap_[level] == 0) continue;
        const auto digit = static_cast<unsigned>(std::countr_zero(bitmap_[level]));
        const unsigned shift = level * level_bits;
        const tick above = now_ >> shift >> level_bits << level_bits;
        return {.number = std::size_t{level} * slots_in_level + digit,
                .begin = (above | digit) << shift,
                .found = true};
    }
    return {};
}

steady_ns wheel::next() const noexcept {
    const place first = earliest();
    return first.found ? begin_of(first.begin) : never;
}

alarm* wheel::expire(steady_ns now) noexcept {
    const tick until = tick_at(now);
    for (unsigned moved = 0; moved < most_moved; ++moved) {
        const place first = earliest();
        if (!first.found || first.begin > until) {
            // Not beyond the first occupied slot, so that all alarms are where they are to be.
            if (until > now_) {
                now_ = until;
                opened_ = 0;
            }
            return nullptr;
        }
        now_ = first.begin;
        opened_ = 0;
        alarm& found = *slots_[first.number].first;
        remove(found);
        if (first.number < slots_in_level) return &found;
        append(found, slot_of(found.tick_));
        opened_ = first.number;
    }
    return nullptr;
}

alarm* wheel::take_one(const alarm_kind& kind) noexcept {
    for (std::size_t level = 0; level < levels; ++level) {
        for (std::uint64_t left = bitmap_[level]; left != 0; left &= left - 1) {
            const auto digit = static_cast<unsigned>(std::countr_zero(left));
            alarm* each = slots_[level * slots_in_level + digit].first;
            while (each != nullptr && each->kind_ != &kind) each = each->next_;
            if (each == nullptr) continue;
            remove(*each);
            return each;
        }
    }
    return nullptr;
}

}  // namespace tokengate::detail
