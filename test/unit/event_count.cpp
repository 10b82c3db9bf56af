// SPDX-License-Identifier: Apache-2.0
// Sleeping until something happens.
#include "sleep/event_count.hpp"

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::event_count;
using detail::steady_now;
using detail::steady_ns;

constexpr steady_ns second = 1'000'000'000;
constexpr int ping_pongs = 100'000;

/// A waiter that forgets the order of the protocol: it looks before it announces itself.
/// True if it would have slept through an event that happened in between.
bool sleeps_through_an_event(bool announce_first) {
    event_count events;
    bool condition = false;
    if (announce_first) {
        const auto ticket = events.prepare();
        const bool seen = condition;
        condition = true;  // the notifier, between the look and the sleep
        events.notify_one();
        return !seen && !events.wait(ticket, steady_now() + second / 1000);
    }
    const bool seen = condition;
    condition = true;
    events.notify_one();
    const auto ticket = events.prepare();
    return !seen && !events.wait(ticket, steady_now() + second / 1000);
}

}  // namespace

TEST_CASE("a_ticket_sees_events_that_come_after_it") {
    event_count events;
    const auto before = events.look();
    CHECK_FALSE(events.happened_since(before));
    events.notify_one();
    CHECK(events.happened_since(before));
    CHECK_FALSE(events.happened_since(events.look()));
}

TEST_CASE("waiters_are_counted_while_they_are_announced") {
    event_count events;
    CHECK_FALSE(events.has_waiters());
    static_cast<void>(events.prepare());
    CHECK(events.has_waiters());
    events.cancel();
    CHECK_FALSE(events.has_waiters());
    const auto ticket = events.prepare();
    events.notify_all();
    CHECK(events.wait(ticket));
    CHECK_FALSE(events.has_waiters());
}

TEST_CASE("a_wait_whose_deadline_has_passed_says_so") {
    event_count events;
    CHECK_FALSE(events.wait(events.prepare(), steady_now() - 1));
    CHECK_FALSE(events.wait(events.prepare(), steady_now() + second / 200));
    CHECK_FALSE(events.park(events.look(), steady_now() + second / 200));
    CHECK_FALSE(events.has_waiters());
}

TEST_CASE("an_event_counts_even_if_the_deadline_has_passed") {
    event_count events;
    const auto ticket = events.prepare();
    events.notify_one();
    CHECK(events.wait(ticket, steady_now() - second));
}

TEST_CASE("an_event_between_announcement_and_sleep_is_not_slept_through") {
    CHECK_FALSE(sleeps_through_an_event(true));
    CHECK(sleeps_through_an_event(false));  // what the announcement is for
}

TEST_CASE("no_wake_up_is_lost_in_100000_ping_pongs") {
    event_count to_left;
    event_count to_right;
    std::atomic<int> ball{0};  // even: on the left
    std::atomic<bool> lost{false};
    const auto play = [&](int mine, event_count& own, event_count& other) {
        for (int i = mine; i < ping_pongs && !lost; i += 2) {
            while (ball.load() != i && !lost) {
                const auto ticket = own.prepare();
                if (ball.load() == i) {
                    own.cancel();
                    break;
                }
                if (!own.wait(ticket, steady_now() + 30 * second)) lost = true;
            }
            ball.store(i + 1);
            other.notify_one();
        }
    };
    std::thread left([&] { play(0, to_left, to_right); });
    play(1, to_right, to_left);
    left.join();
    CHECK_FALSE(lost);
    CHECK(ball.load() == ping_pongs);
}

TEST_CASE("notify_all_wakes_every_waiter") {
    event_count events;
    std::atomic<int> waiting{0};
    std::atomic<int> woken{0};
    std::vector<std::thread> crowd;
    for (int i = 0; i < 4; ++i) {
        crowd.emplace_back([&] {
            const auto ticket = events.prepare();
            waiting.fetch_add(1);
            if (events.wait(ticket, steady_now() + 30 * second)) woken.fetch_add(1);
        });
    }
    while (waiting.load() < 4) std::this_thread::yield();
    events.notify_all();
    for (std::thread& each : crowd) each.join();
    CHECK(woken.load() == 4);
}

}  // namespace tokengate::test
