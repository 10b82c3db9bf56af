// SPDX-License-Identifier: Apache-2.0
// Workers that go to sleep after each token are woken for each.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "ledger.hpp"
#include "longest.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "sleep/event_count.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using clock = longest::clock;

constexpr std::size_t park_cycles = 100'000;
constexpr std::size_t cycles_of_several = 20'000;

/// When something was done that another thread waits for.
using moment = std::atomic<clock::time_point>;

std::uint64_t parked_in(const runtime& rt) {
    std::uint64_t sum = 0;
    for (const domain_stats& each : rt.stats().domains) sum += each.parked;
    return sum;
}

/// A sleeper and a notifier that hand a number back and forth. Broken: the sleeper looks at the
/// number, and only then announces itself. True if nobody slept through his turn.
template <bool announces_first>
bool nobody_oversleeps(int turns) {
    detail::event_count bell;
    std::atomic<int> asked{0};
    std::atomic<int> answered{0};
    std::atomic<bool> overslept{false};
    std::thread sleeper([&] {
        for (int turn = 1; turn <= turns && !overslept; ++turn) {
            while (asked.load() < turn && !overslept) {
                if constexpr (!announces_first) std::this_thread::yield();
                const auto ticket = bell.prepare();
                if (announces_first && asked.load() >= turn) {
                    bell.cancel();
                    break;
                }
                const auto limit = announces_first ? 30s : 1s;
                if (!bell.wait(ticket,
                               detail::steady_now() + std::chrono::nanoseconds(limit).count())) {
                    overslept = true;
                }
            }
            answered.store(turn);
        }
    });
    for (int turn = 1; turn <= turns && !overslept; ++turn) {
        asked.store(turn);
        bell.notify_one();
        while (answered.load() < turn && !overslept) std::this_thread::yield();
    }
    sleeper.join();
    return !overslept;
}

}  // namespace

TEST_CASE("no_wake_up_is_lost_in_100000_park_cycles") {
    seeded random;
    std::uint64_t parked = 0;
    longest wake_up;
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .spin_time = 0us});
        const auto op = rt.operation("op", [](std::size_t n) { return n; });
        for (std::size_t i = 0; i < scaled(park_cycles) / 3; ++i) {
            const auto begun = clock::now();
            const token<std::size_t> t = op(i);
            // Without going to sleep, if it does not take too long: so the next call comes at any
            // step of the worker's own way there, or behind it.
            for (int looks = 0; looks < 1000 && !t.done(); ++looks) detail::cpu_pause();
            REQUIRE(result_of(t) == i);
            wake_up.add(begun);
            for (std::uint64_t spins = random.below(200); spins > 0; --spins) detail::cpu_pause();
            if (random.one_in(64)) std::this_thread::sleep_for(50us);
        }
        settle(rt);
        // They did sleep, or this has shown nothing.
        CHECK(parked_in(rt) > scaled(park_cycles) / 100);
        parked += parked_in(rt);
    }
    figure("park cycles", parked);
    wake_up.say("wake-up");
}

TEST_CASE("no_wake_up_is_lost_when_several_threads_submit_single_tokens") {
    longest wake_up;
    for (const int cores : {2, 5, 64}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .spin_time = 0us, .steal = stealing::strict});
        std::vector<std::thread> crowd;
        std::atomic<bool> stuck{false};
        const seeded parent;
        for (std::size_t t = 0; t < 3; ++t) {
            const weight chosen = all_weights[t];
            const auto op = rt.operation(to_string(chosen), {.weight = chosen}, [] {});
            crowd.emplace_back([&, op, t] {
                seeded random(parent, t);
                for (std::size_t i = 0; i < scaled(cycles_of_several) / 3 && !stuck; ++i) {
                    const auto begun = clock::now();
                    if (!ends(op())) stuck = true;
                    wake_up.add(begun);
                    if (random.one_in(16)) std::this_thread::sleep_for(20us);
                }
            });
        }
        for (std::thread& each : crowd) each.join();
        REQUIRE_FALSE(stuck);
        settle(rt);
        figure("park cycles", parked_in(rt));
    }
    wake_up.say("wake-up");
}

TEST_CASE("a_worker_that_sleeps_in_a_wait_is_always_woken") {
    longest worker_is_up;
    longest thread_is_up;
    for (const int cores : {2, 4}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .spin_time = 0us});
        moment inner_done;
        moment outer_done;
        const auto inner = rt.operation("inner", {.weight = weight::light}, [&](int n) {
            inner_done = clock::now();
            return n + 1;
        });
        const auto outer = rt.operation("outer", {.weight = weight::heavy}, [&](int n) {
            const token<int> t = inner(n);
            std::this_thread::yield();
            const int result = t.get();
            worker_is_up.add(inner_done);
            outer_done = clock::now();
            return result;
        });
        for (int i = 0; i < static_cast<int>(scaled(10'000)); ++i) {
            REQUIRE(result_of(outer(i)) == i + 1);
            thread_is_up.add(outer_done);
        }
        settle(rt);
        figure("park cycles", parked_in(rt));
    }
    worker_is_up.say("wake-up of a worker that waits");
    thread_is_up.say("wake-up of a thread that waits");
}

TEST_CASE("a_worker_is_always_woken_for_the_next_token_of_a_serial_key") {
    longest turn;
    for (const int cores : {1, 2}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .workers_per_core = 2, .spin_time = 0us});
        std::atomic<bool> stuck{false};
        moment before_done = clock::now();
        const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", sticky::serial)},
                                     [&](clock::time_point called) {
                                         // Since then nobody else has had the turn.
                                         turn.add(std::max(called, before_done.load()));
                                         before_done = clock::now();
                                     });
        std::vector<std::thread> crowd;
        const seeded parent;
        for (std::size_t t = 0; t < 3; ++t) {
            crowd.emplace_back([&, t] {
                seeded random(parent, t);
                for (std::size_t i = 0; i < scaled(cycles_of_several) / 6 && !stuck; ++i) {
                    if (!ends(op(clock::now()))) stuck = true;
                    if (random.one_in(4)) std::this_thread::sleep_for(20us);
                }
            });
        }
        for (std::thread& each : crowd) each.join();
        REQUIRE_FALSE(stuck);
        settle(rt);
        // They did sleep, or this has shown nothing.
        CHECK(parked_in(rt) > scaled(cycles_of_several) / 100);
        figure("park cycles", parked_in(rt));
    }
    turn.say("wake-up for the turn of a serial token");
}

TEST_CASE("wait_idle_is_always_woken") {
    runtime rt({.cores = 3, .spin_time = 0us});
    longest is_up;
    moment done;
    const auto op = rt.operation("op", [&] { done = clock::now(); });
    for (std::size_t i = 0; i < scaled(20'000); ++i) {
        op();
        REQUIRE(rt.wait_idle_for(hang_limit));
        is_up.add(done);
    }
    check_ledger(rt);
    figure("park cycles", parked_in(rt));
    is_up.say("wake-up of wait_idle()");
}

TEST_CASE("the_check_of_sleepers_catches_one_that_looks_before_it_announces_itself") {
    CHECK(nobody_oversleeps<true>(20'000));
    CHECK_FALSE(nobody_oversleeps<false>(1'000'000));
}

}  // namespace tokengate::test
