// SPDX-License-Identifier: Apache-2.0
// The wheel against a sorted list.
#include "resilience/wheel.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"

namespace tokengate::test {
namespace {

using detail::alarm;
using detail::alarm_kind;
using detail::never;
using detail::steady_ns;
using detail::wheel;

constexpr steady_ns tick_length = 1 << 16;

void* claim_nothing(alarm&) noexcept { return nullptr; }
void ring_nothing(void*) noexcept {}

constexpr alarm_kind one_kind{.claim = claim_nothing, .ring = ring_nothing};
constexpr alarm_kind other_kind{.claim = claim_nothing, .ring = ring_nothing};

struct numbered final : alarm {
    explicit numbered(std::size_t which, const alarm_kind& what = one_kind) noexcept
        : alarm(what), number(which) {}
    std::size_t number;
};

/// So many alarms, numbered from 0.
std::deque<numbered> alarms(std::size_t count) {
    std::deque<numbered> all;
    for (std::size_t i = 0; i < count; ++i) all.emplace_back(i);
    return all;
}

/// The next one that is due, in as many steps as it takes.
numbered* take(wheel& from, steady_ns now) {
    for (;;) {
        if (alarm* const found = from.expire(now)) return &detail::owner_of<numbered>(*found);
        if (from.next() > now) return nullptr;
    }
}

/// The numbers of all that are due, as they come.
std::vector<std::size_t> take_all(wheel& from, steady_ns now) {
    std::vector<std::size_t> numbers;
    while (const numbered* const found = take(from, now)) numbers.push_back(found->number);
    return numbers;
}

/// What the wheel promises, in the simplest way.
class model {
  public:
    explicit model(std::size_t count) : places_(count) {}

    static std::uint64_t tick_from(steady_ns when) {
        if (when <= 0) return 0;
        const auto whole = static_cast<std::uint64_t>(when / tick_length);
        return whole + (when % tick_length == 0 ? 0 : 1);
    }

    static steady_ns begin_of(std::uint64_t tick) {
        const auto after_all = static_cast<std::uint64_t>(never / tick_length) + 1;
        return tick >= after_all ? never : static_cast<steady_ns>(tick) * tick_length;
    }

    steady_ns arm(std::size_t number, steady_ns when) {
        disarm(number);
        const std::uint64_t tick = std::max(tick_from(when), now_);
        places_[number] = due_.emplace(tick, number);
        return begin_of(tick);
    }

    bool disarm(std::size_t number) {
        if (!places_[number]) return false;
        due_.erase(*places_[number]);
        places_[number].reset();
        return true;
    }

    std::optional<std::size_t> take(steady_ns now) {
        const auto until = static_cast<std::uint64_t>(now / tick_length);
        if (due_.empty() || due_.begin()->first > until) {
            now_ = std::max(now_, until);
            return std::nullopt;
        }
        now_ = due_.begin()->first;
        const std::size_t number = due_.begin()->second;
        disarm(number);
        return number;
    }

    [[nodiscard]] steady_ns earliest() const {
        return due_.empty() ? never : begin_of(due_.begin()->first);
    }

  private:
    using list = std::multimap<std::uint64_t, std::size_t>;
    list due_;  // equal ones in the order in which they came
    std::vector<std::optional<list::iterator>> places_;
    std::uint64_t now_ = 0;
};

/// A number of up to so many bits, each length as likely as any other.
steady_ns any_length(seeded& random, unsigned most) {
    const std::uint64_t bits = random.below(most + 1);
    return static_cast<steady_ns>(random.below(std::uint64_t{1} << bits));
}

/// The last moment of all.
constexpr steady_ns last = never - 1;

steady_ns later(steady_ns now, steady_ns by) { return now > last - by ? last : now + by; }

}  // namespace

TEST_CASE("a_wheel_does_what_a_sorted_list_does") {
    seeded random;
    constexpr std::size_t rounds = 100;
    constexpr std::size_t steps = 1000;
    std::size_t rung = 0;
    for (std::size_t round = 0; round < rounds; ++round) {
        const std::size_t count = 1 + random.below(200);
        wheel tested;
        model right(count);
        std::deque<numbered> all = alarms(count);
        std::vector<steady_ns> wanted(count);
        steady_ns now = any_length(random, 62);
        for (std::size_t step = 0; step < steps; ++step) {
            const std::size_t which = random.below(count);
            const std::uint64_t kind = random.below(16);
            if (kind < 8) {
                steady_ns when = later(now, any_length(random, kind < 4 ? 22 : 62));
                if (kind == 6) when = now - any_length(random, 40);
                if (kind == 7 && random.one_in(8)) when = never;
                wanted[which] = when;
                REQUIRE(tested.arm(all[which], when) == right.arm(which, when));
            } else if (kind < 10) {
                REQUIRE(tested.disarm(all[which]) == right.disarm(which));
            } else {
                // Or time stands still.
                if (kind == 10) now = std::max(now, std::min(tested.next(), last));
                if (kind == 11) now = std::max(now, tested.next() - 1);
                if (kind == 12) now = later(now, any_length(random, 20));
                if (kind == 13 && random.one_in(20)) now = later(now, any_length(random, 60));
                for (std::uint64_t most = random.below(20); most > 0; --most) {
                    const numbered* const found = take(tested, now);
                    const std::optional<std::size_t> expected = right.take(now);
                    REQUIRE((found != nullptr) == expected.has_value());
                    if (found == nullptr) break;
                    REQUIRE(found->number == *expected);
                    REQUIRE(wanted[found->number] <= now);
                    ++rung;
                }
            }
            REQUIRE(tested.next() <= right.earliest());
            REQUIRE((tested.next() == never) == (right.earliest() == never));
        }
    }
    CHECK(rung > rounds * steps / 20);
}

TEST_CASE("alarms_of_one_tick_ring_in_the_order_in_which_they_were_armed") {
    std::deque<numbered> all = alarms(6);
    wheel tested;
    const steady_ns far = steady_ns{1} << 40;
    tested.arm(all[0], far);
    tested.arm(all[1], far - tick_length);
    tested.arm(all[2], far - 1);
    CHECK(tested.expire(far - 3 * tick_length) == nullptr);
    // From here on it takes another way through the levels.
    tested.arm(all[3], far - tick_length + 1);
    tested.arm(all[4], far - tick_length);
    tested.arm(all[0], far - 2);  // moved: behind the others
    tested.arm(all[5], 0);        // at once
    CHECK(take_all(tested, far - tick_length - 1) == std::vector<std::size_t>{5});
    CHECK(take_all(tested, far) == std::vector<std::size_t>{1, 4, 2, 3, 0});
    CHECK(tested.next() == never);
}

TEST_CASE("no_alarm_rings_before_its_time_nor_a_tick_after_it") {
    for (steady_ns base : {steady_ns{1}, tick_length * 63, tick_length * 64 * 64 * 5 + 77}) {
        for (steady_ns when = base; when < base + 3 * tick_length; when += tick_length / 4 - 1) {
            numbered one(0);
            wheel tested;
            const steady_ns due = tested.arm(one, when);
            CHECK(due >= when);
            CHECK(due < when + tick_length);
            CHECK(take(tested, due - 1) == nullptr);
            CHECK(take(tested, due) == &one);
            CHECK_FALSE(tested.disarm(one));
        }
    }
}

TEST_CASE("whoever_sleeps_until_next_wakes_up_in_vain_seven_times_at_most") {
    for (unsigned bits = 0; bits < 63; ++bits) {
        for (const steady_ns less : {0, 1, 12345678}) {
            numbered one(0);
            wheel tested;
            const steady_ns when = (steady_ns{1} << bits) - less;
            steady_ns now = 0;
            tested.arm(one, when);
            int wakes = 0;
            for (bool rang = false; !rang; ++wakes) {
                const steady_ns next = tested.next();
                REQUIRE(next < std::max<steady_ns>(when, 0) + tick_length);
                REQUIRE((wakes == 0 || next > now));
                now = next;
                rang = take(tested, now) != nullptr;
            }
            CHECK(wakes <= 8);
            CHECK(now >= when);
        }
    }
}

TEST_CASE("the_end_of_all_time_does_not_come") {
    std::deque<numbered> all = alarms(3);
    wheel tested;
    CHECK(tested.next() == never);
    CHECK(tested.arm(all[0], never) == never);
    CHECK(tested.next() == never);
    CHECK(take(tested, last) == nullptr);
    CHECK(tested.arm(all[1], last) == never);
    CHECK(tested.arm(all[2], never - 2 * tick_length) < never);
    CHECK(take_all(tested, last) == std::vector<std::size_t>{2});
    CHECK(tested.disarm(all[0]));
    CHECK(tested.disarm(all[1]));
    CHECK_FALSE(tested.disarm(all[0]));
}

TEST_CASE("a_step_is_short_however_many_alarms_are_due_about_then") {
    constexpr std::size_t count = 1000;
    std::deque<numbered> all = alarms(count + 2);
    wheel tested;
    const steady_ns far = tick_length * 64 * 64;
    for (std::size_t i = 0; i < count; ++i) tested.arm(all[i], far + tick_length);
    // One step does not bring them all where they ring.
    const steady_ns now = far + 5 * tick_length;
    CHECK(tested.expire(now) == nullptr);
    CHECK(tested.next() <= now);
    // Of what is armed and disarmed meanwhile all is as if it had.
    tested.arm(all[count], far + tick_length);
    tested.arm(all[count + 1], far);
    CHECK(tested.disarm(all[0]));
    CHECK(tested.disarm(all[500]));
    tested.arm(all[1], far + tick_length);
    std::vector<std::size_t> expected{count + 1};
    for (std::size_t i = 2; i <= count; ++i) {
        if (i != 500) expected.push_back(i);
    }
    expected.push_back(1);
    CHECK(take_all(tested, now) == expected);
    CHECK(tested.next() == never);
}

TEST_CASE("what_empties_a_slot_while_its_alarms_move_leaves_the_wheel_in_order") {
    std::deque<numbered> all = alarms(200);
    wheel tested;
    const steady_ns far = tick_length * 64 * 64 * 64;
    for (numbered& each : all) tested.arm(each, far + tick_length * 7);
    CHECK(tested.expire(far) == nullptr);
    CHECK(tested.next() <= far);
    for (numbered& each : all) CHECK(tested.disarm(each));
    CHECK(tested.next() == never);
    tested.arm(all[0], far + tick_length * 9);
    tested.arm(all[1], far + tick_length * 8);
    CHECK(take_all(tested, far + tick_length * 8) == std::vector<std::size_t>{1});
    CHECK(take_all(tested, far + tick_length * 9) == std::vector<std::size_t>{0});
}

TEST_CASE("alarms_of_one_kind_can_be_taken_before_their_time") {
    wheel tested;
    std::deque<numbered> all = alarms(5);
    std::deque<numbered> others;
    for (std::size_t i = 0; i < 5; ++i) others.emplace_back(i, other_kind);
    const std::array<steady_ns, 5> times{never, 1, 1, tick_length << 20, tick_length << 40};
    for (std::size_t i = 0; i < 5; ++i) {
        tested.arm(all[i], times[i]);
        tested.arm(others[i], times[i]);
    }
    std::vector<std::size_t> taken;
    while (alarm* const found = tested.take_one(other_kind)) {
        CHECK(&found->kind() == &other_kind);
        taken.push_back(detail::owner_of<numbered>(*found).number);
        CHECK_FALSE(tested.disarm(*found));
    }
    std::sort(taken.begin(), taken.end());
    CHECK(taken == std::vector<std::size_t>{0, 1, 2, 3, 4});
    for (numbered& each : all) CHECK(tested.disarm(each));
    CHECK(tested.take_one(one_kind) == nullptr);
}

}  // namespace tokengate::test
