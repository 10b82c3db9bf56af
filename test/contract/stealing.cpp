// SPDX-License-Identifier: Apache-2.0
// What idle workers take from others, and what they leave.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
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

std::uint64_t stolen_in(const runtime_stats& seen) {
    std::uint64_t sum = 0;
    for (const domain_stats& each : seen.domains) sum += each.stolen;
    return sum;
}

}  // namespace

TEST_CASE("soft_stealing_lets_a_lower_domain_help") {
    // With two domains light tokens are placed in domain 1 only; two run at once all the same.
    runtime rt({.cores = 2, .steal = stealing::soft});
    hold gate;
    const auto light = rt.operation("light", {.weight = weight::light}, [&] { gate.pass(); });
    const token<void> a = light();
    const token<void> b = light();
    CHECK(gate.await(2));
    CHECK(a.domain() != b.domain());
    gate.release();
    settle(rt);
    const runtime_stats seen = rt.stats();
    CHECK(seen.domains[0].executed[index_of(weight::light)] == 1);
    CHECK(seen.domains[0].stolen == 1);
    CHECK(seen.domains[1].stolen == 0);
}

TEST_CASE("strict_stealing_leaves_tokens_to_their_range") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    const auto light = rt.operation("light", {.weight = weight::light}, [&] { gate.pass(); });
    const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [] {});
    const token<void> a = light();
    REQUIRE(gate.await(1));
    const token<void> b = light();
    // The other worker is free: it runs all of these, but not the light one.
    for (int i = 0; i < 1000; ++i) REQUIRE(ends(heavy()));
    CHECK(gate.arrived() == 1);
    CHECK(b.state() == token_state::admitted);
    gate.release();
    settle(rt);
    CHECK(rt.stats().domains[0].executed[index_of(weight::light)] == 0);
}

TEST_CASE("no_worker_of_a_range_idles_while_a_token_of_its_class_waits") {
    // All tokens must be held at the same time, wherever they were placed.
    for (const int cores : widths) {
        for (const weight each : all_weights) {
            runtime rt({.cores = cores, .spin_time = 0us, .steal = stealing::strict});
            const unsigned first = rt.settings().first_core[index_of(each)];
            const std::size_t range = rt.settings().cores - first;
            INFO(cores, " domains, ", std::string(to_string(each)));
            hold gate;
            const auto op = rt.operation("held", {.weight = each}, [&] { gate.pass(); });
            for (std::size_t i = 0; i < range; ++i) op();
            CHECK(gate.await(range));
            gate.release();
            settle(rt);
        }
    }
}

TEST_CASE("tokens_behind_a_long_one_are_stolen") {
    for (const int cores : {2, 4, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [] {});
        for (int i = 0; i < cores - 1; ++i) held();
        REQUIRE(gate.await(static_cast<std::size_t>(cores) - 1));
        std::vector<token<void>> tokens;
        for (int i = 0; i < 1000; ++i) tokens.push_back(heavy());
        for (const auto& each : tokens) REQUIRE(ends(each));
        gate.release();
        settle(rt);
    }
}

TEST_CASE("stolen_tokens_are_counted_where_they_run") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", [] {});
    for (int i = 0; i < 1000; ++i) op();
    settle(rt);
    CHECK(stolen_in(rt.stats()) == 0);

    runtime two({.cores = 2, .steal = stealing::strict});
    const auto light = two.operation("light", {.weight = weight::light}, [] {});
    for (int i = 0; i < 1000; ++i) light();
    settle(two);
    CHECK(stolen_in(two.stats()) == 0);
    CHECK(two.stats().domains[1].executed[index_of(weight::light)] == 1000);
}

TEST_CASE("a_wake_up_for_one_token_is_not_spent_on_another") {
    // Domain 3 is busy. A heavy token H goes to domain 0 and a light one Z to domain 3, both while
    // workers sleep. The worker that is woken for Z may find H first; then somebody else must be
    // woken for Z, because H does not end before Z has run.
    const std::size_t rounds = scaled_starts(200);
    for (std::size_t round = 0; round < rounds; ++round) {
        runtime rt({.cores = 5, .spin_time = 0us, .steal = stealing::strict});
        hold busy;
        std::latch light_has_run(1);
        const auto held = rt.operation("held", {.weight = weight::light}, [&] { busy.pass(); });
        const auto nothing = rt.operation("nothing", {.weight = weight::light}, [] {});
        const auto heavy =
            rt.operation("H", {.weight = weight::heavy}, [&] { light_has_run.wait(); });
        const auto light =
            rt.operation("Z", {.weight = weight::light}, [&] { light_has_run.count_down(); });
        REQUIRE(ends(nothing()));  // domain 4
        held();                    // domain 3
        REQUIRE(busy.await(1));
        REQUIRE(ends(nothing()));  // domain 2
        REQUIRE(ends(nothing()));  // domain 4
        std::this_thread::sleep_for(100us);
        const token<void> waits = heavy();
        const token<void> quick = light();  // domain 3
        const bool ran = quick.wait_for(10s);
        if (!ran) light_has_run.count_down();
        busy.release();
        REQUIRE(ran);
        settle(rt);
    }
}

}  // namespace tokengate::test
