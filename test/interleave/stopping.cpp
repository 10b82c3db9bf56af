// SPDX-License-Identifier: Apache-2.0
// Calls against the end of a runtime (lib/gate/README.md, "Stopping"), and the credits that bound
// what is in flight, under many schedules.
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <doctest/doctest.h>

#include "domain/counters.hpp"
#include "domain/credits.hpp"
#include "domain/phase.hpp"
#include "schedule.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"

namespace tokengate::test {
namespace {

using detail::atomic;
using detail::credit_pool;
using detail::event_count;
using detail::full_fence;
using detail::own_counter;
using detail::phase;
using detail::phase_word;
using detail::purse;

/// Two callers from outside, a worker whose tokens call one more, and a stop.
struct stopping {
    static constexpr std::size_t callers = 2;
    phase_word phases;
    std::array<own_counter, callers + 1> accepted;  ///< the last one is the worker's
    own_counter finished;                           ///< by the worker
    event_count quiet;
    event_count work;
    atomic<int> queued{0};
    bool gone = false;  ///< the worker is
    int refused = 0;

    void push() {
        must(!gone, "a token was accepted that nobody will run");
        queued.fetch_add(1, std::memory_order_release);
        work.notify_one();
    }
    void tell_quiet() {
        full_fence();
        if (quiet.has_waiters()) quiet.notify_all();
    }
    void call(own_counter& own, bool from_inside) {
        if (!phases.count_call(own)) {
            full_fence();
            const phase now = phases.now();
            const bool stays = now == phase::open ||
                               (from_inside && (now == phase::draining || now == phase::closing));
            if (!stays) {
                must(!from_inside, "a token that was accepted may call to the end");
                own.retract();
                tell_quiet();
                ++refused;
                return;
            }
        }
        push();
    }
    bool take() {
        int seen = queued.load(std::memory_order_acquire);
        while (seen > 0) {
            if (queued.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire)) {
                return true;
            }
        }
        return false;
    }
    void serve() {
        bool first = true;
        for (;;) {
            if (take()) {
                if (std::exchange(first, false)) call(accepted[callers], true);
                finished.add();
                tell_quiet();
                continue;
            }
            const auto ticket = work.prepare();
            const bool over = phases.now() == phase::stopped;
            if (over || queued.load(std::memory_order_seq_cst) > 0) {
                work.cancel();
                if (over) break;
            } else {
                work.wait(ticket);
            }
        }
        gone = true;
        must(queued.load() == 0, "a token was left behind");
    }
    [[nodiscard]] bool idle() const {
        // What has finished comes before what was accepted.
        const std::uint64_t done = finished.value();
        std::uint64_t sum = 0;
        for (const own_counter& each : accepted) sum += each.value();
        return sum == done;
    }
    void wait_idle() {
        for (;;) {
            const auto ticket = quiet.prepare();
            full_fence();
            if (idle()) {
                quiet.cancel();
                return;
            }
            quiet.wait(ticket);
        }
    }
    void stop() {
        // Both looks are enough, each by itself.
        if (choice(2) == 0) must(phases.advance(phase::open, phase::draining), "it was open");
        for (;;) {
            wait_idle();
            phases.enter(phase::closing);
            if (idle()) break;
            phases.enter(phase::draining);
        }
        phases.enter(phase::stopped);
        work.notify_all();
    }

    void threads(schedule& run) {
        detail::prepare_heavy_fences();
        phases.set(phase::open);
        for (std::size_t i = 0; i < callers; ++i) {
            run.thread([this, i] {
                call(accepted[i], false);
                call(accepted[i], false);
            });
        }
        run.thread([this] { serve(); });
        run.thread([this] { stop(); });
    }
    void check() { must(idle() && gone, "something was accepted and has not ended"); }
};

/// Submitters that wait for room, and workers that give it back from their purses.
struct room_for_two {
    static constexpr int tokens = 4;
    credit_pool credits{2};
    event_count room;
    purse collected;
    atomic<int> in_flight{0};
    atomic<int> queued{0};
    atomic<int> left{2 * tokens};

    void give_back() {
        const std::int64_t found = collected.empty();
        if (found > 0 && credits.give(found)) room.notify_all();
    }
    void threads(schedule& run) {
        for (int i = 0; i < 2; ++i) {
            run.thread([this] {
                for (int token = 0; token < tokens; ++token) {
                    while (credits.take(1) == 0) {
                        const auto ticket = room.prepare();
                        give_back();  // what lies in the purse
                        if (credits.seems_to_have_room()) {
                            room.cancel();
                        } else {
                            room.wait(ticket);
                        }
                    }
                    must(in_flight.fetch_add(1) < 2, "there is more in flight than the limit says");
                    queued.fetch_add(1);
                }
            });
        }
        run.thread([this] {
            while (left.load() > 0) {
                if (queued.load() == 0) {
                    pause();
                    continue;
                }
                queued.fetch_sub(1);
                in_flight.fetch_sub(1);
                collected.earn();
                give_back();
                left.fetch_sub(1);
            }
        });
    }
    void check() { must(credits.available() == 2, "credits were lost, or made"); }
};

}  // namespace

TEST_CASE("a_stop_leaves_nothing_behind_that_was_accepted") { explore<stopping>(); }

TEST_CASE("credits_are_conserved_and_who_waits_for_room_gets_it") { explore<room_for_two>(); }

}  // namespace tokengate::test
