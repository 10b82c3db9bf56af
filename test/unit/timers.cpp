// SPDX-License-Identifier: Apache-2.0
// Alarms ring on the thread of their timers, and what they are about is there.
#include "resilience/timers.hpp"

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/error.hpp>

#include "hold.hpp"

namespace tokengate::test {
namespace {

using detail::alarm;
using detail::alarm_kind;
using detail::never;
using detail::steady_now;
using detail::steady_ns;
using detail::timers;

constexpr steady_ns millisecond = 1'000'000;
constexpr steady_ns hour = 3600 * 1000 * millisecond;

/// What an alarm is about: may outlive it.
struct subject {
    std::atomic<int> claimed{0};
    std::atomic<int> rung{0};
    std::atomic<bool> early{false};
    std::atomic<bool> refuses{false};  ///< there is nothing to do
    hold* stays_in = nullptr;
};

struct counted final : alarm {
    explicit counted(subject& of, const alarm_kind& what = usual) noexcept
        : alarm(what), about(of) {}

    void arm(timers& clock, steady_ns moment) {
        when = moment;
        clock.arm(*this, moment);
    }

    static void* claim(alarm& which) noexcept {
        const auto& self = detail::owner_of<counted>(which);
        if (steady_now() < self.when) self.about.early = true;
        ++self.about.claimed;
        return self.about.refuses ? nullptr : &self.about;
    }
    static void ring(void* about) noexcept {
        auto& rings = *static_cast<subject*>(about);
        ++rings.rung;
        if (rings.stays_in != nullptr) rings.stays_in->pass();
    }
    static constexpr alarm_kind usual{.claim = claim, .ring = ring};
    static constexpr alarm_kind other{.claim = claim, .ring = ring};

    subject& about;
    steady_ns when = 0;
};

/// Arms itself again each time it rings, and moves another one.
struct repeated final : alarm {
    explicit repeated(timers& by) noexcept : alarm(kind), clock(by), next(nothing) {}

    static void* claim(alarm& which) noexcept { return &detail::owner_of<repeated>(which); }
    static void ring(void* about) noexcept {
        auto& self = *static_cast<repeated*>(about);
        self.next.arm(self.clock, steady_now() + hour);
        if (self.rung % 3 == 0) self.clock.disarm(self.next);
        if (++self.rung < 50) self.clock.arm(self, steady_now() + 1000);
    }
    static constexpr alarm_kind kind{.claim = claim, .ring = ring};

    timers& clock;
    subject nothing;
    counted next;
    std::atomic<int> rung{0};
};

std::ptrdiff_t threads_of_this_process() {
    const std::filesystem::directory_iterator all("/proc/self/task");
    return std::distance(begin(all), end(all));
}

}  // namespace

TEST_CASE("an_alarm_rings_once_and_not_before_its_time") {
    std::array<subject, 8> about;
    std::deque<counted> all;
    timers clock;
    clock.start();
    for (std::size_t i = 0; i < about.size(); ++i) {
        all.emplace_back(about[i]);
        const auto later = static_cast<steady_ns>(i) * millisecond / 2;
        all[i].arm(clock, i == 0 ? 0 : steady_now() + later);
    }
    for (subject& each : about) {
        CHECK(eventually([&] { return each.rung == 1; }));
        CHECK(each.claimed == 1);
        CHECK_FALSE(each.early);
    }
    for (counted& each : all) CHECK_FALSE(clock.disarm(each));
}

TEST_CASE("a_sleeping_thread_is_woken_for_an_earlier_alarm") {
    subject far;
    subject near;
    timers clock;
    clock.start();
    counted patient(far);
    counted hasty(near);
    patient.arm(clock, steady_now() + hour);
    // Whether it sleeps for the first one already or not.
    for (const int pause : {0, 20}) {
        std::this_thread::sleep_for(std::chrono::milliseconds(pause));
        const int before = near.rung;
        hasty.arm(clock, steady_now() + millisecond);
        CHECK(eventually([&] { return near.rung == before + 1; }));
    }
    // Moved, either way.
    hasty.arm(clock, steady_now() + hour);
    patient.arm(clock, steady_now());
    CHECK(eventually([&] { return far.rung == 1; }));
    CHECK(clock.disarm(hasty));
    CHECK(near.rung == 2);
}

TEST_CASE("an_alarm_that_rings_cannot_be_disarmed_and_may_go") {
    subject about;
    hold gate;
    about.stays_in = &gate;
    timers clock;
    clock.start();
    auto one = std::make_unique<counted>(about);
    one->arm(clock, 0);
    REQUIRE(gate.await(1));
    CHECK_FALSE(clock.disarm(*one));
    one.reset();
    // The lock is free meanwhile.
    subject other;
    counted next(other);
    next.arm(clock, 0);
    CHECK(clock.disarm(next));
    next.arm(clock, 0);
    CHECK(other.rung == 0);
    gate.release();
    CHECK(eventually([&] { return other.rung == 1; }));
    CHECK(about.rung == 1);
}

TEST_CASE("an_alarm_with_nothing_to_do_does_not_ring") {
    subject about;
    about.refuses = true;
    timers clock;
    clock.start();
    counted one(about);
    one.arm(clock, 0);
    CHECK(eventually([&] { return about.claimed == 1; }));
    CHECK_FALSE(clock.disarm(one));
    about.refuses = false;
    one.arm(clock, 0);
    CHECK(eventually([&] { return about.rung == 1; }));
    CHECK(about.claimed == 2);
}

TEST_CASE("what_rings_may_arm_itself_and_others") {
    std::optional<timers> clock(std::in_place);
    clock->start();
    repeated one(*clock);
    clock->arm(one, 0);
    CHECK(eventually([&] { return one.rung == 50; }));
    clock.reset();
    CHECK(one.rung == 50);
    CHECK(one.nothing.claimed == 0);
}

TEST_CASE("nothing_rings_when_timers_have_ended") {
    constexpr steady_ns steps = 20;
    for (steady_ns step = 0; step < steps; ++step) {
        subject about;
        subject never_due;
        counted one(about);
        counted two(never_due);
        {
            timers clock;
            clock.start();
            one.arm(clock, steady_now() + step * 10'000);
            two.arm(clock, never);
        }
        const int rung = about.rung;
        CHECK(rung <= 1);
        std::this_thread::sleep_for(std::chrono::microseconds(300));
        CHECK(about.rung == rung);
        CHECK(about.claimed == rung);
        CHECK(never_due.claimed == 0);
    }
}

TEST_CASE("timers_have_one_thread_however_often_they_are_started") {
    const std::ptrdiff_t before = threads_of_this_process();
    {
        timers clock;
        CHECK(threads_of_this_process() == before);
        std::vector<std::thread> crowd;
        for (int i = 0; i < 4; ++i) crowd.emplace_back([&] { clock.start(); });
        for (std::thread& each : crowd) each.join();
        // The kernel takes those who have been joined off its list a little later.
        CHECK(eventually([&] { return threads_of_this_process() == before + 1; }));
        clock.start();
        CHECK(threads_of_this_process() == before + 1);
    }
    CHECK(eventually([&] { return threads_of_this_process() == before; }));
}

TEST_CASE("timers_that_get_no_thread_say_so_and_may_try_again") {
    // Stacks that fit into no address space.
    pthread_attr_t usual;
    REQUIRE(pthread_getattr_default_np(&usual) == 0);
    pthread_attr_t huge;
    REQUIRE(pthread_attr_init(&huge) == 0);
    REQUIRE(pthread_attr_setstacksize(&huge, std::size_t{1} << 48) == 0);
    subject about;
    timers clock;
    REQUIRE(pthread_setattr_default_np(&huge) == 0);
    CHECK_THROWS_AS(clock.start(), resource_error);
    REQUIRE(pthread_setattr_default_np(&usual) == 0);
    clock.start();
    counted one(about);
    one.arm(clock, 0);
    CHECK(eventually([&] { return about.rung == 1; }));
    pthread_attr_destroy(&huge);
    pthread_attr_destroy(&usual);
}

TEST_CASE("all_alarms_of_one_kind_can_be_claimed_before_their_time") {
    subject about;
    subject wanted;
    subject refused;
    refused.refuses = true;
    timers clock;
    clock.start();
    std::deque<counted> usual;
    std::deque<counted> other;
    for (int i = 0; i < 10; ++i) {
        usual.emplace_back(about);
        other.emplace_back(i % 2 == 0 ? wanted : refused, counted::other);
        usual.back().arm(clock, steady_now() + hour + i * millisecond);
        other.back().arm(clock, steady_now() + hour + i * millisecond);
    }
    int claimed = 0;
    while (void* const one = clock.claim_one(counted::other)) {
        CHECK(one == &wanted);
        ++claimed;
    }
    CHECK(claimed == 5);
    CHECK(wanted.claimed == 5);
    CHECK(refused.claimed == 5);
    for (counted& each : other) CHECK_FALSE(clock.disarm(each));
    for (counted& each : usual) CHECK(clock.disarm(each));
    CHECK(about.claimed == 0);
    CHECK(wanted.rung == 0);
}

}  // namespace tokengate::test
