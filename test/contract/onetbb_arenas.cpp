// SPDX-License-Identifier: Apache-2.0
// Where oneTBB's algorithms inside tokens run: in the domain, or in an arena over several.
#include <array>
#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "guests.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using detail::cpu_mask;
using detail::this_thread_mask;

constexpr std::array<int, 4> core_counts{1, 2, 4, 8};

/// The CPUs of all domains of a runtime.
std::set<unsigned> cpus_of(const runtime& rt) {
    std::set<unsigned> all;
    for (const domain_info& each : rt.topology().domains()) {
        all.insert(each.cpus.begin(), each.cpus.end());
    }
    return all;
}

cpu_mask mask_of(const std::set<unsigned>& cpus) { return cpu_mask({cpus.begin(), cpus.end()}); }

/// How many threads an algorithm can use in the arena of the caller, as oneTBB sees it.
unsigned slots_here() { return static_cast<unsigned>(tbb::this_task_arena::max_concurrency()); }

/// A machine of our own making, onto which nothing can be bound.
config made_up(const char* what) { return {.synthetic = what}; }

}  // namespace

TEST_CASE("guests_in_the_arena_of_a_domain_are_bound_to_its_cpus") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .arena_slots = 2});
        const auto run = rt.operation("run", {.weight = weight::heavy}, [&] {
            const cpu_mask home(rt.topology().domain(here()).cpus);
            mask_book seen;
            const bool helped = beside_a_guest([&] { seen.note(); });
            return helped && seen.threads() == 2 && seen.all_are(home);
        });
        for (int i = 0; i < 4; ++i) CHECK(result_of(run()));
        settle_locality(rt);
    }
}

TEST_CASE("a_wide_arena_spans_the_cpus_of_its_domains_and_no_others") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        for (const unsigned width : {2U, 3U, 100U}) {
            INFO(cores, " domains, ", width, " of them in the arena");
            runtime rt({.cores = cores});
            const std::set<unsigned> all = cpus_of(rt);
            const auto run =
                rt.operation("run", {.weight = weight::heavy, .arena = domains(width)}, [&] {
                    const cpu_mask home(rt.topology().domain(here()).cpus);
                    const cpu_mask before = this_thread_mask();
                    mask_book guests;
                    bool moved = before != home;
                    if (slots_here() > 1) {
                        const bool helped = beside_a_guest([&] {
                            if (is_worker()) {
                                moved = moved || this_thread_mask() != home;
                            } else {
                                guests.note();
                            }
                        });
                        if (!helped || !guests.all_within(mask_of(all))) return false;
                        if (width >= all.size() && !guests.all_are(mask_of(all))) return false;
                    }
                    return !moved && slots_here() == this_token::concurrency() &&
                           slots_here() <= all.size() &&
                           (width < all.size() || slots_here() == all.size());
                });
            for (int i = 0; i < 4; ++i) CHECK(result_of(run()));
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_wide_arena_takes_the_nearest_domains") {
    const clean_hwloc_environment clean;
    // Two packages, in each two L3 caches with four cores of two hardware threads.
    runtime rt(made_up("pack:2 l3:2 core:4 pu:2"));
    const auto two = rt.operation("two", {.weight = weight::heavy, .arena = domains(2)},
                                  [] { return this_token::concurrency(); });
    const auto five = rt.operation("five", {.weight = weight::heavy, .arena = domains(5)},
                                   [] { return this_token::concurrency(); });
    const auto own =
        rt.operation("own", {.weight = weight::heavy}, [] { return this_token::concurrency(); });
    const auto all = rt.operation("all", {.weight = weight::heavy, .arena = domains(1000)},
                                  [] { return this_token::concurrency(); });
    for (int i = 0; i < 32; ++i) {
        CHECK(result_of(two()) == 4);
        CHECK(result_of(five()) == 10);
        CHECK(result_of(own()) == 2);
        CHECK(result_of(all()) == 32);
    }
    settle_locality(rt);
}

TEST_CASE("an_arena_over_no_domain_is_refused_and_one_over_one_is_the_own") {
    runtime rt({.cores = 2});
    CHECK_THROWS_WITH_AS(static_cast<void>(rt.operation("none", {.arena = domains(0)}, [] {})),
                         doctest::Contains("arena is over 0 domains; allowed are 1 and more"),
                         operation_error);
    const auto one = rt.operation("one", {.arena = domains(1)}, [&] {
        return this_token::concurrency() == rt.topology().domain(here()).cpus.size();
    });
    CHECK(result_of(one()));
    settle_locality(rt);
}

TEST_CASE("a_callable_in_a_wide_arena_stays_on_its_worker_however_many_run") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        for (const int workers : {1, 3}) {
            INFO(cores, " domains of ", workers, " workers");
            runtime rt({.cores = cores, .workers_per_core = workers});
            std::atomic<int> elsewhere{0};
            std::atomic<long> sum{0};
            const auto run = rt.operation("run", {.weight = weight::heavy, .arena = domains(8)},
                                          [&](unsigned depth) {
                                              const auto before = std::this_thread::get_id();
                                              if (!is_worker()) ++elsewhere;
                                              tbb::parallel_for(0, 50, [&](int) { ++sum; });
                                              if (std::this_thread::get_id() != before) ++elsewhere;
                                              return depth;
                                          });
            std::vector<token<unsigned>> tokens;
            for (int i = 0; i < 400; ++i) tokens.push_back(run(0U));
            for (const auto& each : tokens) CHECK(ends(each));
            CHECK(elsewhere == 0);
            CHECK(sum == 400 * 50);
            settle_locality(rt);
        }
    }
}

TEST_CASE("tokens_in_wide_arenas_may_be_nested_and_wait") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const operation<int(int)>* self = nullptr;
        const auto plain = rt.operation("plain", [](int n) { return n; });
        const auto run = rt.operation(
            "run", {.weight = weight::heavy, .arena = domains(4)}, [&](int depth) -> int {
                std::atomic<int> sum{plain(1).get()};
                if (depth == 0) return sum;
                const token<int> child = (*self)(depth - 1);
                tbb::parallel_for(0, 3, [&](int) { sum += (*self)(depth - 1).get(); });
                sum += child.get();
                return sum;
            });
        self = &run;
        // s(0) = 1, s(n) = 1 + 4 s(n - 1)
        std::vector<token<int>> tokens;
        for (int i = 0; i < 4; ++i) tokens.push_back(run(3));
        for (const auto& each : tokens) CHECK(result_of(each) == 85);
        settle_locality(rt);
    }
}

TEST_CASE("while_a_token_in_a_wide_arena_waits_nothing_foreign_runs_there") {
    const clean_hwloc_environment clean;
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
    const auto other = rt.operation("other", {.weight = weight::heavy},
                                    [&] { return std::this_thread::get_id(); });
    const auto last = rt.operation("last", [] {});
    std::atomic<bool> waits{false};
    const auto run = rt.operation("run", {.weight = weight::heavy, .arena = domains(4)}, [&] {
        const token<void> awaited = last();
        waits = true;
        awaited.wait();
        return std::this_thread::get_id();
    });
    last.pause();
    // One worker is held, so that only that of the waiting token and who stands in for it are left.
    held();
    REQUIRE(gate.await(1));
    const auto t = run();
    REQUIRE(eventually([&] { return waits.load(); }));
    std::vector<token<std::thread::id>> others;
    for (int i = 0; i < 50; ++i) others.push_back(other());
    std::set<std::thread::id> ran_on;
    for (const auto& each : others) ran_on.insert(result_of(each));
    last.resume();
    const auto home = result_of(t);
    gate.release();
    // With one CPU there is no wide arena.
    if (cpus_of(rt).size() > 1) CHECK_FALSE(ran_on.contains(home));
    settle_locality(rt);
}

TEST_CASE("guests_of_a_wide_arena_that_wait_for_tokens_hold_up_nobody") {
    const clean_hwloc_environment clean;
    const onetbb_threads enough(8);
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const bool wide = cpus_of(rt).size() > 1;
        const auto key = sticky::by_anchor("here");
        std::atomic<int> ran{0};
        const auto work =
            rt.operation("work", {.weight = weight::heavy, .sticky = key}, [&] { ++ran; });
        const auto lead =
            rt.operation("lead", {.weight = weight::heavy, .sticky = key, .arena = domains(4)},
                         [&] { return !wide || beside_a_guest([&] { work().wait(); }); });
        for (int i = 0; i < 4; ++i) CHECK(result_of(lead()));
        if (wide) CHECK(ran == 8);
        settle_locality(rt);
    }
}

TEST_CASE("a_token_in_a_wide_arena_is_killed_retried_timed_and_stopped_like_any_other") {
    const clean_hwloc_environment clean;
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold begun;
        const auto until_stopped =
            rt.operation("until_stopped", {.weight = weight::heavy, .arena = domains(2)},
                         [&](const std::stop_token& stop) {
                             begun.release();
                             while (!stop.stop_requested() || !this_token::stop_requested()) {
                                 std::this_thread::yield();
                             }
                         });
        const auto t = until_stopped();
        begun.pass();
        CHECK(t.kill("enough"));
        t.join();
        CHECK_THROWS_AS(demand(t), token_killed);

        const auto third_time = rt.operation(
            "third_time", {.weight = weight::heavy, .retry = {.attempts = 3}, .arena = domains(2)},
            [&] {
                if (this_token::attempt() < 3) throw std::runtime_error("again");
                return this_token::attempt();
            });
        CHECK(result_of(third_time()) == 3);

        const auto fails = rt.operation("fails", {.arena = domains(2)},
                                        []() -> int { throw std::runtime_error("no"); });
        const auto failed = fails();
        REQUIRE(ends(failed));
        CHECK_THROWS_AS(demand(failed), std::runtime_error);

        const auto generic = rt.operation("generic", {.arena = domains(2)},
                                          [](auto value) { return value + value; });
        CHECK(result_of(generic(21)) == 42);
        CHECK(result_of(generic(std::string("a"))) == "aa");

        const auto each = rt.operation("each", {.weight = weight::light, .arena = domains(2)},
                                       [](int n) { return 2 * n; });
        const bulk<int> all = each.bulk(std::vector<int>{1, 2, 3});
        CHECK(all.get() == std::vector<int>{2, 4, 6});

        settle_locality(rt);
        REQUIRE(rt.stop().drained);
        rt.start();
        CHECK(result_of(generic(1)) == 2);
        settle_locality(rt);
    }
}

TEST_CASE("an_outsider_is_told_the_concurrency_of_the_machine") {
    CHECK(this_token::concurrency() == std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace tokengate::test
