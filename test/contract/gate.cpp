// SPDX-License-Identifier: Apache-2.0
// Where the gate places tokens, and in which order they start.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// True once every worker has gone to sleep at least once: all are idle, and known to be.
bool all_asleep(const runtime& rt) {
    return eventually([&] {
        const runtime_stats seen = rt.stats();
        return std::all_of(seen.domains.begin(), seen.domains.end(),
                           [](const domain_stats& each) { return each.parked > 0; });
    });
}

/// The domain that the documented formula gives.
unsigned domain_of(weight weight_class, std::uint64_t position, unsigned cores) {
    const unsigned first = std::min(static_cast<unsigned>(index_of(weight_class)), cores - 1);
    const auto step = static_cast<unsigned>(position % (cores - first));
    return weight_class == weight::light ? cores - 1 - step : first + step;
}

/// Keeps all workers of a runtime busy with heavy tokens.
void occupy(runtime& rt, hold& gate, const operation<void()>& held) {
    const std::size_t workers = rt.settings().cores * rt.settings().workers_per_core;
    for (std::size_t i = 0; i < workers; ++i) held();
    REQUIRE(gate.await(workers));
}

}  // namespace

TEST_CASE("a_token_executes_inside_the_range_of_its_class_when_stealing_is_strict") {
    for (const int cores : {1, 2, 3, 4, 64}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .spin_time = 0us, .steal = stealing::strict});
        std::vector<token<void>> tokens;
        for (const weight each : all_weights) {
            const auto op = rt.operation(to_string(each), {.weight = each}, [] {
                for (int i = 0; i < 200; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
            });
            for (int i = 0; i < 2000; ++i) tokens.push_back(op());
        }
        wait_all(tokens);
        for (const token<void>& each : tokens) {
            const unsigned first =
                std::min(static_cast<unsigned>(index_of(each.weight_class())), unsigned(cores) - 1);
            REQUIRE(each.domain() >= first);
            REQUIRE(each.domain() < static_cast<unsigned>(cores));
        }
        settle(rt);
        const runtime_stats seen = rt.stats();
        if (cores > 1) CHECK(seen.domains[0].executed[index_of(weight::medium)] == 0);
        if (cores > 1) CHECK(seen.domains[0].executed[index_of(weight::light)] == 0);
        if (cores > 2) CHECK(seen.domains[1].executed[index_of(weight::light)] == 0);
    }
}

TEST_CASE("heavy_tokens_take_the_lowest_free_domain_and_move_on_as_load_grows") {
    for (const int cores : {1, 2, 4, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .spin_time = 0us});
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        REQUIRE(all_asleep(rt));
        std::vector<token<void>> tokens;
        for (int i = 0; i < cores; ++i) {
            tokens.push_back(held());
            REQUIRE(gate.await(tokens.size()));
            CHECK(tokens.back().domain() == static_cast<unsigned>(i));
        }
        // All are busy: now positions decide.
        for (int i = 0; i < 3 * cores; ++i) {
            const token<void> t = held();
            REQUIRE(t.position().has_value());
            CHECK(t.domain() == domain_of(weight::heavy, *t.position(), unsigned(cores)));
            tokens.push_back(t);
        }
        gate.release();
        wait_all(tokens);
        settle(rt);
    }
}

TEST_CASE("a_heavy_token_goes_back_to_the_first_domain_when_that_is_free_again") {
    runtime rt({.cores = 3, .spin_time = 0us});
    hold first;
    hold second;
    const auto on_first = rt.operation("first", {.weight = weight::heavy}, [&] { first.pass(); });
    const auto on_second =
        rt.operation("second", {.weight = weight::heavy}, [&] { second.pass(); });
    REQUIRE(all_asleep(rt));
    const token<void> a = on_first();
    REQUIRE(first.await(1));
    const token<void> b = on_second();
    REQUIRE(second.await(1));
    const std::uint64_t slept = rt.stats().domains[0].parked;
    first.release();
    REQUIRE(ends(a));
    REQUIRE(eventually([&] { return rt.stats().domains[0].parked > slept; }));
    const token<void> c = on_second();
    REQUIRE(second.await(2));
    CHECK(c.domain() == 0);
    second.release();
    wait_all(a, b, c);
    settle(rt);
}

TEST_CASE("medium_and_light_tokens_are_dealt_by_position_over_their_ranges") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .steal = stealing::strict});
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        occupy(rt, gate, held);
        std::vector<token<void>> tokens;
        for (const weight each : {weight::medium, weight::light}) {
            const auto op = rt.operation(to_string(each), {.weight = each}, [] {});
            for (int i = 0; i < 3 * cores; ++i) {
                tokens.push_back(op());
                const token<void>& t = tokens.back();
                REQUIRE(t.position().has_value());
                CHECK(t.domain() == domain_of(each, *t.position(), unsigned(cores)));
            }
        }
        // The first light token of a runtime goes to the last domain.
        const auto first_light = tokens.begin() + 3 * cores;
        CHECK(first_light->domain() == static_cast<unsigned>(cores) - 1);
        gate.release();
        wait_all(tokens);
        settle(rt);
    }
}

TEST_CASE("first_cores_can_be_configured") {
    runtime rt({.cores = 4,
                .steal = stealing::strict,
                .first_core = {.heavy = 3, .medium = 0, .light = 1}});
    std::vector<token<void>> tokens;
    for (const weight each : all_weights) {
        const auto op = rt.operation(to_string(each), {.weight = each}, [] {});
        for (int i = 0; i < 1000; ++i) tokens.push_back(op());
    }
    wait_all(tokens);
    settle(rt);
    const runtime_stats seen = rt.stats();
    for (unsigned d = 0; d < 4; ++d) {
        if (d != 3) CHECK(seen.domains[d].executed[index_of(weight::heavy)] == 0);
        if (d < 1) CHECK(seen.domains[d].executed[index_of(weight::light)] == 0);
    }
}

TEST_CASE("positions_are_used_once_and_grow_for_each_submitter") {
    for (const int cores : {1, 4}) {
        runtime rt({.cores = cores});
        std::vector<std::vector<std::uint64_t>> seen(4);
        std::vector<std::thread> crowd;
        const auto op = rt.operation("op", {.weight = weight::light}, [] {});
        for (auto& mine : seen) {
            crowd.emplace_back([&] {
                for (int i = 0; i < 20'000; ++i) mine.push_back(op().position().value());
            });
        }
        for (std::thread& each : crowd) each.join();
        std::vector<std::uint64_t> all;
        for (const auto& mine : seen) {
            CHECK(std::is_sorted(mine.begin(), mine.end()));
            all.insert(all.end(), mine.begin(), mine.end());
        }
        std::sort(all.begin(), all.end());
        CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
        settle(rt);
    }
}

TEST_CASE("each_class_counts_its_own_positions") {
    runtime rt({.cores = 4});
    for (const weight each : all_weights) {
        const auto op = rt.operation(to_string(each), {.weight = each}, [] {});
        CHECK(op().position() == 0);
        CHECK(op().position() == 1);
    }
    settle(rt);
}

TEST_CASE("tokens_of_one_class_and_submitter_start_in_position_order_in_one_mailbox") {
    // Ranges of one domain with one worker, so that nobody else can take a token.
    struct shape {
        int cores;
        weight weight_class;
    };
    for (const shape& each_shape :
         {shape{1, weight::heavy}, shape{1, weight::light}, shape{2, weight::medium},
          shape{2, weight::light}, shape{3, weight::light}}) {
        const int cores = each_shape.cores;
        const weight weight_class = each_shape.weight_class;
        INFO(cores, " domains, ", std::string(to_string(weight_class)));
        runtime rt({.cores = cores, .steal = stealing::strict});
        std::vector<std::vector<int>> started(3);
        const auto op = rt.operation("op", {.weight = weight_class}, [&](std::size_t who, int n) {
            started[who].push_back(n);  // one worker: no lock needed
        });
        std::vector<std::thread> crowd;
        for (std::size_t who = 0; who < started.size(); ++who) {
            crowd.emplace_back([&, who] {
                for (int i = 0; i < 10'000; ++i) op(who, i);
            });
        }
        for (std::thread& each : crowd) each.join();
        settle(rt);
        for (const auto& mine : started) {
            CHECK(mine.size() == 10'000);
            CHECK(std::is_sorted(mine.begin(), mine.end()));
        }
    }
}

TEST_CASE("a_heavy_backlog_does_not_keep_light_tokens_waiting") {
    // One worker: lanes are served in turn, so a light token waits for a few heavy ones at most.
    runtime rt({.cores = 1});
    hold gate;
    std::atomic<int> heavy_done{0};
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [&] { ++heavy_done; });
    const auto light =
        rt.operation("light", {.weight = weight::light}, [&] { return heavy_done.load(); });
    held();
    REQUIRE(gate.await(1));
    for (int i = 0; i < 1000; ++i) heavy();
    const token<int> quick = light();
    gate.release();
    CHECK(result_of(quick) <= 2);
    settle(rt);
}

TEST_CASE("a_worker_goes_on_with_the_next_class_and_the_next_submitter_after_a_row") {
    // One worker; what it takes in a row of one lane or one submitter is bounded.
    constexpr int each_submits = 200;
    runtime rt({.cores = 1});
    hold gate;
    std::vector<int> order;  // who submitted what ran; written by the one worker
    const auto stay = rt.operation("stay", [&] { gate.pass(); });
    const auto heavy =
        rt.operation("heavy", {.weight = weight::heavy}, [&](int who) { order.push_back(who); });
    const auto medium = rt.operation("medium", [&](int who) { order.push_back(who); });
    stay.post();
    REQUIRE(gate.await(1));
    for (int i = 0; i < each_submits; ++i) heavy.post(0);
    for (int i = 0; i < each_submits; ++i) medium.post(1);
    std::thread([&] {
        for (int i = 0; i < each_submits; ++i) medium.post(2);
    }).join();
    gate.release();
    settle(rt);
    REQUIRE(order.size() == 3 * each_submits);
    // While all three have something: 8 of a class, 16 of a submitter at most.
    std::array<int, 3> left{each_submits, each_submits, each_submits};
    std::array<int, 3> row{};
    std::array<int, 3> longest{};
    for (const int who : order) {
        const auto index = static_cast<std::size_t>(who);
        for (std::size_t i = 0; i < 3; ++i) row[i] = i == index ? row[i] + 1 : 0;
        if (std::ranges::min(left) > 0) longest[index] = std::max(longest[index], row[index]);
        --left[index];
    }
    CHECK(longest[0] <= 8);
    CHECK(longest[1] <= 16);
    CHECK(longest[2] <= 16);
    CHECK(std::count(order.begin(), order.begin() + 100, 0) >= 40);
    CHECK(std::count(order.begin(), order.begin() + 100, 2) >= 16);
}

}  // namespace tokengate::test
