// SPDX-License-Identifier: Apache-2.0
// Storage tiers: so many callables at once in the whole process, and no worker is held meanwhile.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// How many are inside at once, and were at most.
class crowd {
  public:
    void enter() {
        const int now = ++inside_;
        int seen = most_;
        while (now > seen && !most_.compare_exchange_weak(seen, now)) {}
    }
    void leave() { --inside_; }
    [[nodiscard]] int inside() const { return inside_; }
    [[nodiscard]] int most() const { return most_; }

  private:
    std::atomic<int> inside_{0};
    std::atomic<int> most_{0};
};

}  // namespace

TEST_CASE("no_more_callables_of_a_tier_run_at_once_than_it_has_permits") {
    runtime rt({.cores = 8, .reserve_workers = 8});
    crowd present;
    hold gate;
    const auto body = [&] {
        present.enter();
        gate.pass();
        present.leave();
    };
    const auto op = rt.operation("op", {.storage = storage::slow}, body);
    const auto other =
        rt.operation("other", {.weight = weight::heavy, .storage = storage::slow}, body);
    const auto compute = rt.operation("compute", [](int i) { return i; });
    for (int i = 0; i < 40; ++i) {
        op();
        other();
    }
    REQUIRE(gate.await(10));
    // Those that wait hold no worker, and those that run are stood in for.
    for (int i = 0; i < 100; ++i) CHECK(result_of(compute(i)) == i);
    CHECK(present.inside() == 10);
    const storage_stats seen = stats_of(storage::slow);
    CHECK(seen.limit == 10);
    CHECK(seen.executing == 10);
    gate.release();
    settle_locality(rt);
    CHECK(present.most() == 10);
    CHECK(stats_of(storage::slow).executing == 0);
    CHECK(stats_of(storage::slow).waiting == 0);
}

TEST_CASE("the_limit_of_a_tier_can_be_changed_while_it_is_in_use_and_is_never_exceeded") {
    runtime rt({.cores = 8, .reserve_workers = 8});
    crowd present;
    std::atomic<bool> open{false};
    const auto op = rt.operation("op", {.storage = storage::moderate}, [&] {
        present.enter();
        while (!open) std::this_thread::sleep_for(50us);
        present.leave();
    });
    set_storage_limit(storage::moderate, 3);
    for (int i = 0; i < 30; ++i) op();
    REQUIRE(eventually([&] { return present.inside() == 3; }));
    set_storage_limit(storage::moderate, 6);
    REQUIRE(eventually([&] { return present.inside() == 6; }));
    set_storage_limit(storage::moderate, 2);
    CHECK(present.inside() == 6);  // what runs goes on
    open = true;
    settle_locality(rt);
    CHECK(present.most() == 6);
    set_storage_limit(storage::moderate, most_at_once(storage::moderate));
    CHECK_THROWS_AS(set_storage_limit(storage::moderate, 0), config_error);
    CHECK_THROWS_AS(set_storage_limit(storage::none, 5), config_error);
    CHECK_THROWS_AS(static_cast<void>(stats_of(storage::none)), config_error);
    CHECK(stats_of(storage::moderate).limit == 25);
}

TEST_CASE("tokens_of_a_tier_that_wait_for_each_other_do_not_starve") {
    for (const config& shape : {config{.cores = 1}, config{.cores = 2}, config{.cores = 8},
                                config{.cores = 1, .reserve_workers = 0},
                                config{.cores = 2, .workers_per_core = 2, .reserve_workers = 1}}) {
        INFO(*shape.cores, " domains, ", shape.reserve_workers.value_or(16), " reserves");
        runtime rt(shape);
        crowd present;
        std::optional<operation<int(int)>> tree;
        tree = rt.operation("tree", {.storage = storage::fast}, [&](int depth) -> int {
            present.enter();
            if (depth == 0) {
                present.leave();
                return 1;
            }
            const auto left = (*tree)(depth - 1);
            const auto right = (*tree)(depth - 1);
            present.leave();
            const int sum = left.get() + right.get();
            present.enter();
            present.leave();
            return sum;
        });
        set_storage_limit(storage::fast, 2);
        CHECK(result_of((*tree)(6)) == 64);
        settle_locality(rt);
        CHECK(present.most() <= 2);
        CHECK(stats_of(storage::fast).executing == 0);
        set_storage_limit(storage::fast, most_at_once(storage::fast));
    }
}

TEST_CASE("a_killed_or_paused_token_of_a_tier_gives_its_permit_on") {
    runtime rt({.cores = 4});
    hold gate;
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", {.storage = storage::insane}, [&] {
        gate.pass();
        ++ran;
    });
    set_storage_limit(storage::insane, 1);
    op();
    REQUIRE(gate.await(1));
    std::vector<token<void>> made;
    for (int i = 0; i < 100; ++i) made.push_back(op());
    for (std::size_t i = 0; i < made.size(); i += 2) CHECK(made[i].kill());
    op.pause();
    gate.release();
    REQUIRE(eventually([&] { return ran == 1; }));
    op.resume();
    settle_locality(rt);
    CHECK(ran == 51);
    set_storage_limit(storage::insane, most_at_once(storage::insane));
}

TEST_CASE("a_stop_with_a_deadline_ends_what_waits_for_its_storage_with_passes_under_way") {
    runtime rt({.cores = 1, .reserve_workers = 0});
    std::atomic<bool> begun{false};
    const auto op = rt.operation("op", {.storage = storage::slow}, [] {});
    const auto held = rt.operation("held", [&] {
        begun = true;
        while (!this_token::stop_requested()) std::this_thread::yield();
    });
    op.pause();
    std::vector<token<void>> made;
    for (int i = 0; i < 50; ++i) made.push_back(op());
    REQUIRE(eventually([&] { return op.stats().set_aside == 50; }));
    held();
    REQUIRE(eventually([&] { return begun.load(); }));
    op.resume();  // the passes lie in the lane of a worker that is busy
    const stop_report report = rt.stop(0ms);
    CHECK(report.killed == 51);
    for (const auto& each : made) CHECK(each.state() == token_state::killed);
    rt.stop();
    CHECK(stats_of(storage::slow).executing == 0);
    CHECK(stats_of(storage::slow).waiting == 0);
    rt.start();
    REQUIRE(ends(op()));
    settle_locality(rt);
}

TEST_CASE("tokens_of_a_tier_on_one_stack_need_one_permit_whatever_becomes_of_the_limit") {
    // One worker, no reserve, and room for three: a call from inside runs others on top of its
    // token, which then wait, and find that there is one permit left for all of them.
    runtime rt({.cores = 1, .in_flight_limit = 3, .reserve_workers = 0});
    std::atomic<int> inside{0};
    std::optional<operation<int(int)>> self;
    self = rt.operation("self", {.storage = storage::fast}, [&](int depth) -> int {
        if (++inside == 3) set_storage_limit(storage::fast, 1);
        if (depth == 0) return 1;
        const auto a = (*self)(depth - 1);
        const auto b = (*self)(depth - 1);
        return a.get() + b.get();
    });
    for (int i = 0; i < 5; ++i) {
        set_storage_limit(storage::fast, 8);
        inside = 0;
        CHECK(result_of((*self)(5)) == 32);
    }
    settle_locality(rt);
    CHECK(stats_of(storage::fast).executing == 0);
    set_storage_limit(storage::fast, most_at_once(storage::fast));
}

}  // namespace tokengate::test
