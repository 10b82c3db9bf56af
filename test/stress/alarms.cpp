// SPDX-License-Identifier: Apache-2.0
// Many threads arm, move and disarm alarms while they ring: each of them rings once, or it was
// disarmed.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "figure.hpp"
#include "hold.hpp"
#include "random.hpp"
#include "resilience/timers.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using detail::alarm;
using detail::alarm_kind;
using detail::steady_now;
using detail::steady_ns;
using detail::timers;

constexpr std::size_t threads = 4;
constexpr std::size_t alarms_of_each = 64;
constexpr std::size_t steps = 40'000;
constexpr steady_ns far = 3'600'000'000'000;

/// An alarm that keeps count. One thread arms and disarms it.
class kept final : public alarm {
  public:
    kept() noexcept : alarm(kind) {}

    /// Arms it, or moves it.
    void arm(timers& clock, steady_ns when) {
        // Moved to a later time, it may still ring at the old one.
        if (armed_ == 0 || when < not_before_) not_before_ = when;
        ++armed_;
        clock.arm(*this, when);
    }

    /// Moves it to where it cannot ring. False if it has rung too often.
    [[nodiscard]] bool put_off(timers& clock) {
        clock.arm(*this, steady_now() + far);
        const bool fine = claimed_ - seen_ <= armed_;
        seen_ = claimed_;
        armed_ = 1;
        put_off_ = true;
        return fine;
    }

    /// False if the answer does not go with how often it has rung.
    [[nodiscard]] bool disarm(timers& clock, std::uint64_t& disarmed) {
        const bool undone = clock.disarm(*this);
        // Read without a lock: nobody writes from here on, and all before was under the lock.
        const std::uint64_t rings = claimed_ - seen_;
        bool fine = undone ? rings + 1 <= armed_ : (armed_ == 0 ? rings == 0 : rings >= 1);
        fine = fine && rings <= armed_;
        if (put_off_) fine = fine && undone && rings == 0;
        disarmed += undone ? 1U : 0U;
        seen_ = claimed_;
        armed_ = 0;
        put_off_ = false;
        return fine;
    }

    /// Armed once since it was disarmed: true when it has rung then, and for each claim before.
    [[nodiscard]] bool has_rung_again() const { return rung_.load() == seen_ + 1; }

    [[nodiscard]] std::uint64_t rung() const { return rung_; }
    [[nodiscard]] bool early() const { return early_; }

  private:
    static void* claim(alarm& which) noexcept {
        kept& self = detail::owner_of<kept>(which);
        if (steady_now() < self.not_before_) self.early_ = true;
        ++self.claimed_;
        return &self;
    }
    static void ring(void* subject) noexcept { ++static_cast<kept*>(subject)->rung_; }
    static constexpr alarm_kind kind{.claim = claim, .ring = ring};

    std::atomic<steady_ns> not_before_{0};
    bool early_ = false;         ///< it has rung before its time
    std::uint64_t claimed_ = 0;  ///< under the lock of the timers
    std::uint64_t seen_ = 0;     ///< of these, when it was last known not to ring
    std::uint64_t armed_ = 0;    ///< how often since then
    bool put_off_ = false;
    std::atomic<std::uint64_t> rung_{0};
};

/// A moment that has come, comes soon, or does not come.
steady_ns any_time(seeded& random) {
    switch (random.below(8)) {
        case 0: return steady_now() + far;
        case 1: return 0;
        case 2: return steady_now() + static_cast<steady_ns>(random.below(5'000'000));
        default: return steady_now() + static_cast<steady_ns>(random.below(200'000));
    }
}

}  // namespace

TEST_CASE("every_alarm_rings_once_or_was_disarmed") {
    const seeded parent;
    std::array<std::deque<kept>, threads> all;
    std::array<std::uint64_t, threads> disarmed{};
    std::array<std::uint64_t, threads> wrong{};
    std::optional<timers> all_of_them(std::in_place);
    timers& clock = *all_of_them;
    clock.start();
    std::vector<std::thread> crowd;
    for (std::size_t t = 0; t < threads; ++t) {
        all[t].resize(alarms_of_each);
        crowd.emplace_back([&, t] {
            seeded random(parent, t);
            std::uint64_t undone = 0;
            std::uint64_t mistakes = 0;
            for (std::size_t step = 0; step < scaled(steps); ++step) {
                kept& which = all[t][random.below(alarms_of_each)];
                bool fine = true;
                switch (random.below(8)) {
                    case 0:
                    case 1: fine = which.disarm(clock, undone); break;
                    case 2: fine = which.put_off(clock) && which.disarm(clock, undone); break;
                    default: which.arm(clock, any_time(random)); break;
                }
                mistakes += fine ? 0U : 1U;
                if (random.one_in(256)) std::this_thread::sleep_for(std::chrono::microseconds(100));
            }
            for (kept& each : all[t]) {
                mistakes += each.disarm(clock, undone) ? 0U : 1U;
                each.arm(clock, steady_now() + static_cast<steady_ns>(random.below(1'000'000)));
            }
            disarmed[t] = undone;
            wrong[t] = mistakes;
        });
    }
    for (std::thread& each : crowd) each.join();
    for (std::size_t t = 0; t < threads; ++t) {
        CHECK(wrong[t] == 0);
        CHECK(disarmed[t] > 0);
        for (const kept& each : all[t]) {
            REQUIRE(eventually([&] { return each.has_rung_again(); }));
        }
    }
    all_of_them.reset();
    std::uint64_t rung = 0;
    for (const auto& each_thread : all) {
        for (const kept& each : each_thread) {
            CHECK(each.has_rung_again());
            CHECK_FALSE(each.early());
            rung += each.rung();
        }
    }
    figure("alarms rung", rung);
    for (const std::uint64_t each : disarmed) figure("alarms disarmed", each);
}

TEST_CASE("alarms_ring_while_nothing_else_happens") {
    // Each is armed when the one before has rung, so that the thread sleeps in between, and for
    // long.
    seeded random;
    kept one;
    kept behind;
    std::uint64_t disarmed = 0;
    timers clock;
    clock.start();
    behind.arm(clock, steady_now() + far);
    for (std::uint64_t turn = 1; turn <= scaled(2000); ++turn) {
        one.arm(clock, steady_now() + static_cast<steady_ns>(random.below(100'000)));
        while (one.rung() < turn) std::this_thread::yield();
        REQUIRE(one.disarm(clock, disarmed));
        REQUIRE(one.rung() == turn);
    }
    CHECK_FALSE(one.early());
    CHECK(disarmed == 0);
    CHECK(behind.disarm(clock, disarmed));
    CHECK(disarmed == 1);
    CHECK(behind.rung() == 0);
}

}  // namespace tokengate::test
