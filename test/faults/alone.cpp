// SPDX-License-Identifier: Apache-2.0
// Isolated waits where nobody can stand in, since the system has no thread to give, for tokens that
// may not begin yet: who waits gets them out of their backlog.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// Leaves one permit of a tier, and has it until it is told to let it go.
class last_permit {
  public:
    explicit last_permit(storage kind) : kind_(kind) {
        set_storage_limit(kind, 1);
        const auto held = rt_.operation("held", {.storage = kind}, [this] { gate_.pass(); });
        held();
        REQUIRE(gate_.await(1));
    }
    ~last_permit() {
        let_go();
        rt_.stop();
        set_storage_limit(kind_, most_at_once(kind_));
    }
    last_permit(const last_permit&) = delete;
    last_permit& operator=(const last_permit&) = delete;

    void let_go() { gate_.release(); }

  private:
    storage kind_;
    hold gate_;
    runtime rt_{{.cores = 1}};
};

/// One worker, which nobody stands in for if the system has no thread.
config lonely() { return {.cores = 1, .workers_per_core = 1, .reserve_workers = 0}; }

/// Serial tokens wait isolated.
operation_traits serial() { return {.sticky = sticky::by_anchor("key", sticky::serial)}; }

/// Waits until a worker sleeps that nobody stands in for.
void await_lonely_wait(const runtime& rt) {
    REQUIRE(eventually([&] { return rt.stats().locality.short_of_reserves > 0; }));
}

}  // namespace

TEST_CASE("a_wait_for_a_token_of_a_tier_ends_also_where_nobody_can_stand_in") {
    for (const placement where : {placement::automatic, placement::staggered}) {
        for (const int cores : {1, 2}) {
            for (const int reserves : {0, 1}) {
                INFO(cores, " domains, ", reserves, " reserves");
                runtime rt({.cores = cores, .workers_per_core = 1, .reserve_workers = reserves});
                const auto child = rt.operation(
                    "child",
                    {.placement = where, .retry = {.attempts = 2}, .storage = storage::insane},
                    [](int i) {
                        if (this_token::attempt() < 2) throw std::runtime_error("not yet");
                        return i;
                    });
                const auto outer = rt.operation("outer", serial(), [&] {
                    const auto a = child(1);
                    const auto b = child(2);
                    return a.get() + b.get();
                });
                const refused_threads others(
                    {.number = 1 + static_cast<std::uint64_t>(cores * reserves),
                     .lasting = true,
                     .all_threads = true});
                set_storage_limit(storage::insane, 1);
                for (int i = 0; i < 10; ++i) CHECK(result_of(outer()) == 3);
                settle_locality(rt);
                set_storage_limit(storage::insane, most_at_once(storage::insane));
            }
        }
    }
    CHECK(stats_of(storage::insane).executing == 0);
}

TEST_CASE("who_waits_where_nobody_can_stand_in_gets_the_permit_for_its_token_when_it_comes_back") {
    for (const placement where : {placement::automatic, placement::staggered}) {
        last_permit held(storage::insane);
        runtime rt(lonely());
        const auto child =
            rt.operation("child", {.placement = where, .storage = storage::insane}, [] {});
        const auto outer = rt.operation("outer", serial(), [&] { child().wait(); });
        const refused_threads none({.lasting = true, .all_threads = true});
        const token<void> t = outer();
        await_lonely_wait(rt);
        held.let_go();
        REQUIRE(ends(t));
        settle_locality(rt);
        CHECK(stats_of(storage::insane).waiting == 0);
    }
}

TEST_CASE("who_waits_where_nobody_can_stand_in_gets_its_token_out_of_the_middle_of_a_backlog") {
    last_permit held(storage::insane);
    runtime rt(lonely());
    std::vector<int> order;
    const operation_traits traits{.storage = storage::insane};
    const auto first = rt.operation("first", traits, [&](int i) { order.push_back(i); });
    const auto second = rt.operation("second", traits, [&](int i) { order.push_back(i); });
    const refused_threads none({.lasting = true, .all_threads = true});
    std::vector<token<void>> made;
    for (int i = 0; i < 3; ++i) {
        made.push_back(first(i));
        made.push_back(second(10 + i));
    }
    REQUIRE(eventually([&] { return stats_of(storage::insane).waiting == 6; }));
    const auto outer = rt.operation("outer", serial(), [&] { made[3].wait(); });
    const token<void> t = outer();
    await_lonely_wait(rt);
    held.let_go();
    REQUIRE(ends(t));
    settle_locality(rt);
    REQUIRE(order.size() == 6);
    CHECK(order.front() == 11);
    CHECK(stats_of(storage::insane).executing == 0);
    CHECK(stats_of(storage::insane).waiting == 0);
}

TEST_CASE("a_lonely_wait_for_what_was_paused_goes_on_when_that_may") {
    enum class end { resume, drain, stop };
    for (const placement where : {placement::automatic, placement::staggered}) {
        for (const bool single : {false, true}) {
            for (const end how : {end::resume, end::drain, end::stop}) {
                INFO("paused by itself: ", single, ", end ", static_cast<int>(how));
                runtime rt(lonely());
                const refused_threads none({.lasting = true, .all_threads = true});
                std::optional<token<int>> kept;
                std::atomic<bool> known{false};
                const auto child =
                    rt.operation("child", {.placement = where}, [](int i) { return i; });
                const auto outer = rt.operation("outer", serial(), [&] {
                    kept = child(1);
                    if (single) {
                        static_cast<void>(kept->pause());
                    } else {
                        child.pause();
                    }
                    known = true;
                    return kept->get();
                });
                const token<int> t = outer();
                REQUIRE(eventually([&] { return known.load(); }));
                await_lonely_wait(rt);
                CHECK_FALSE(t.done());
                if (how == end::resume && single) CHECK(kept->resume());
                if (how == end::resume && !single) child.resume();
                if (how == end::drain) child.drain();
                if (how == end::stop) rt.stop();
                CHECK(result_of(t) == 1);
                kept.reset();
                rt.stop();
                check_ledger(rt);
            }
        }
    }
}

TEST_CASE("a_lonely_wait_for_what_was_set_aside_before_goes_on_when_that_may") {
    for (const bool keyed : {false, true}) {
        for (const int awaited : {0, 2, 4}) {
            INFO("keyed ", keyed, ", number ", awaited, " of 5");
            runtime rt(lonely());
            const refused_threads none({.lasting = true, .all_threads = true});
            std::vector<int> order;
            std::optional<operation<int(int)>> child;
            child = rt.operation("child",
                                 {.sticky = keyed ? sticky(sticky::by_anchor("child")) : sticky()},
                                 [&](int i) {
                                     order.push_back(i);
                                     // Behind those that wait still.
                                     if (i == awaited) child->post(5);
                                     return i;
                                 });
            child->pause();
            std::vector<token<int>> made;
            for (int i = 0; i < 5; ++i) made.push_back((*child)(i));
            REQUIRE(eventually([&] { return child->stats().set_aside == 5; }));
            const auto outer = rt.operation(
                "outer", serial(), [&] { return made[static_cast<std::size_t>(awaited)].get(); });
            const token<int> t = outer();
            await_lonely_wait(rt);
            child->resume();
            CHECK(result_of(t) == awaited);
            for (const auto& each : made) REQUIRE(ends(each));
            settle_locality(rt);
            std::vector<int> expected{awaited};
            for (int i = 0; i < 6; ++i) {
                if (i != awaited) expected.push_back(i);
            }
            CHECK(order == expected);
        }
    }
}

TEST_CASE("a_wait_whose_only_stand_in_waits_too_goes_on_alone") {
    // The stand-in waits for the very token that it stands in for.
    for (const bool stored : {false, true}) {
        INFO("stored ", stored);
        runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = 1});
        last_permit held(storage::insane);
        hold gate;
        operation_traits traits{.placement = placement::staggered};
        if (stored) {
            traits.storage = storage::insane;
        } else {
            traits.retry = {.attempts = 2};
        }
        std::optional<token<int>> lead;
        const auto waits = rt.operation("waits", [&] {
            gate.pass();
            return lead->get(isolated);
        });
        const auto child = rt.operation("child", traits, [&] { return 7; });
        const auto outer = rt.operation("outer", [&] {
            const token<int> other = waits();  // on this worker's deque
            const token<int> t = child();      // in a lane
            return t.get(isolated);
        });
        const refused_threads second({.number = 2, .lasting = true, .all_threads = true});
        child.pause();
        lead = outer();
        REQUIRE(gate.await(1));
        gate.release();
        await_lonely_wait(rt);
        child.resume();
        held.let_go();
        CHECK(result_of(*lead) == 7);
        settle_locality(rt);
    }
}

TEST_CASE("a_retried_token_that_runs_in_place_is_not_lost_with_the_entry_that_it_left_behind") {
    for (const bool stored : {false, true}) {
        INFO("stored ", stored);
        for (int round = 0; round < 50; ++round) {
            runtime rt(
                {.cores = 2, .workers_per_core = 1, .reserve_workers = 0, .steal = stealing::soft});
            operation_traits traits{.placement = placement::staggered, .retry = {.attempts = 3}};
            if (stored) traits.storage = storage::insane;
            const auto result = std::make_shared<int>(7);
            const auto child = rt.operation("child", traits, [&] {
                // Until the other worker has taken out what this one has left in the lane.
                CHECK(eventually([&] {
                    const auto domains = rt.stats().domains;
                    return this_token::attempt() != 1 || domains[0].queued + domains[1].queued == 0;
                }));
                if (this_token::attempt() < 3) throw std::runtime_error("not yet");
                return result;
            });
            const auto outer = rt.operation("outer", serial(), [&] { return *child().get(); });
            const refused_threads none({.lasting = true, .all_threads = true});
            CHECK(result_of(outer()) == 7);
            settle_locality(rt);
            rt.stop();
            CHECK(result.use_count() == 1);
        }
    }
}

TEST_CASE("nothing_foreign_runs_in_the_stead_of_a_token_that_is_awaited_in_isolation") {
    for (const int reserves : {0, 1}) {
        INFO(reserves, " reserves");
        runtime rt({.cores = 1, .workers_per_core = 1, .reserve_workers = reserves});
        const refused_threads others({.number = 1 + static_cast<std::uint64_t>(reserves),
                                      .lasting = true,
                                      .all_threads = true});
        std::atomic<bool> waiting{false};
        std::atomic<int> foreign{0};
        const auto child = rt.operation("child", [&](int i) {
            const bool on_top = rt.settings().reserve_workers == 0 && waiting;
            if (i != 7 && on_top) ++foreign;
            return i;
        });
        child.pause();
        const token<int> before = child(1);
        REQUIRE(eventually([&] { return child.stats().set_aside == 1; }));
        const auto outer = rt.operation("outer", serial(), [&] {
            child.resume();
            waiting = true;
            const int got = child(7).get();
            waiting = false;
            return got;
        });
        CHECK(result_of(outer()) == 7);
        CHECK(result_of(before) == 1);
        settle_locality(rt);
        CHECK(foreign == 0);
    }
}

TEST_CASE("a_token_that_was_killed_with_its_operation_does_not_run_for_who_waits") {
    for (const bool all : {false, true}) {
        for (const bool paused : {false, true}) {
            INFO("paused ", paused);
            runtime rt(lonely());
            const refused_threads none({.lasting = true, .all_threads = true});
            std::atomic<int> ran{0};
            std::atomic<bool> known{false};
            const auto child =
                rt.operation("child", {.placement = placement::staggered}, [&] { ++ran; });
            const auto outer = rt.operation("outer", serial(), [&]() -> std::string {
                if (paused) child.pause();
                const token<void> t = child();
                if (!paused) static_cast<void>(all ? child.kill("why") : child.cancel("why"));
                known = true;
                try {
                    t.get();
                } catch (const token_killed& killed) {
                    return std::string(killed.reason());
                }
                return "it ran";
            });
            const token<std::string> t = outer();
            if (paused) {
                REQUIRE(eventually([&] { return known.load(); }));
                await_lonely_wait(rt);
                static_cast<void>(all ? child.kill("why") : child.cancel("why"));
            }
            CHECK(result_of(t) == "why");
            child.resume();
            settle_locality(rt);
            CHECK(ran == 0);
            CHECK(child.stats().counts.killed == 1);
        }
    }
}

TEST_CASE("a_bulk_that_was_killed_with_its_operation_does_not_run_for_who_waits") {
    for (const bool alone : {false, true}) {
        runtime rt(lonely());
        const refused_threads none({.lasting = true, .all_threads = true});
        std::atomic<int> ran{0};
        const auto child = rt.operation("child", [&](int) { ++ran; });
        const auto outer = rt.operation("outer", alone ? serial() : operation_traits(), [&] {
            const auto all = child.bulk(numbers(0, 100));
            child.cancel();
            all.wait();
            return all.done();
        });
        CHECK(result_of(outer()));
        settle_locality(rt);
        CHECK(ran == 0);
        CHECK(child.stats().counts.killed == 100);
    }
}

}  // namespace tokengate::test
