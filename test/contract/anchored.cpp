// SPDX-License-Identifier: Apache-2.0
// What thieves leave where it is, and where they look first.
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

constexpr std::array<stealing, 2> both_ways{stealing::strict, stealing::soft};

/// Other workers are awake, have nothing to do, and look around.
void keep_others_busy(const operation<void()>& free) {
    for (int i = 0; i < 500; ++i) REQUIRE(ends(free()));
}

}  // namespace

TEST_CASE("a_token_with_a_key_waits_for_its_own_domain_although_all_others_are_idle") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        for (const stealing steal : both_ways) {
            for (const int cores : {2, 4, 8}) {
                runtime rt({.cores = cores, .sticky_slots = 64, .steal = steal});
                hold gate;
                const auto free = rt.operation("free", {.weight = weight::heavy}, [] {});
                const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key", how)}, [&] {
                    gate.pass();
                    return here();
                });
                const token<unsigned> first = op();
                REQUIRE(gate.await(1));
                std::vector<token<unsigned>> others;
                for (int i = 0; i < 100; ++i) others.push_back(op());
                keep_others_busy(free);
                CHECK(gate.arrived() == 1);
                gate.release();
                for (const auto& each : others) CHECK(result_of(each) == result_of(first));
                settle_locality(rt);
            }
        }
    }
}

TEST_CASE("what_a_lead_creates_waits_for_its_domain_although_all_others_are_idle") {
    for (const stealing steal : both_ways) {
        for (const int cores : {2, 4, 8}) {
            runtime rt({.cores = cores, .sticky_slots = 64, .steal = steal});
            hold gate;
            std::atomic<int> ran{0};
            std::atomic<int> strayed{0};
            const auto free = rt.operation("free", {.weight = weight::heavy}, [] {});
            const auto child = rt.operation("child", [&](unsigned home) {
                ++ran;
                strayed += here() != home ? 1 : 0;
            });
            // Some of them in its deque, the others in the mailbox.
            const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
                for (int i = 0; i < 2000; ++i) child(here());
                gate.pass();
            });
            lead();
            REQUIRE(gate.await(1));
            keep_others_busy(free);
            CHECK(ran == 0);
            gate.release();
            settle_locality(rt);
            CHECK(ran == 2000);
            CHECK(strayed == 0);
        }
    }
}

TEST_CASE("all_workers_of_a_domain_share_what_is_anchored_there") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 3, .sticky_slots = 64});
        hold gate;
        const auto child = rt.operation("child", [&] { gate.pass(); });
        // It does not wait for them as a worker would: the others must come.
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            child();
            child();
            return gate.await(2);
        });
        const token<bool> t = lead();
        CHECK(result_of(t));
        gate.release();
        settle_locality(rt);
        CHECK(rt.stats().domains[t.domain()].anchored == 3);
    }
}

TEST_CASE("anchored_tokens_are_counted_where_they_run") {
    runtime rt({.cores = 4, .sticky_slots = 64});
    const auto op = rt.operation("op", {.sticky = sticky::by_anchor("key")}, [] {});
    const auto free = rt.operation("free", [] {});
    const key_hold held = op.hold();
    for (int i = 0; i < 100; ++i) {
        op();
        free();
    }
    settle(rt);
    const runtime_stats seen = rt.stats();
    for (unsigned d = 0; d < 4; ++d) {
        CHECK(seen.domains[d].anchored == (d == held.domain() ? 100 : 0));
        CHECK(seen.domains[d].escapes == 0);
    }
}

TEST_CASE("a_thief_looks_at_the_nearest_domains_first") {
    // Two packages, in each two caches of two cores.
    runtime rt({.cores = 8, .binding = false, .synthetic = "pack:2 [numa] l3:2 core:2 pu:1"});
    REQUIRE(rt.settings().cores == 8);
    constexpr std::size_t count = 80;
    std::array<hold, 8> gates;
    hold all_held;
    std::vector<unsigned> placed(count);
    std::vector<unsigned> order;  // one worker writes it, then it is read
    std::atomic<std::size_t> ran{0};
    const auto held =
        rt.operation("held", {.weight = weight::heavy}, [&] { gates[here()].pass(); });
    const auto op = rt.operation("op", {.weight = weight::heavy}, [&](std::size_t i) {
        if (ran < count) order.push_back(placed[i]);
        ++ran;
    });
    for (int i = 0; i < 8; ++i) held();
    for (hold& each : gates) REQUIRE(each.await(1));
    // All are busy, so that positions decide; ten tokens in each domain.
    for (std::size_t i = 0; i < count; ++i) placed[i] = op(i).domain();
    constexpr unsigned thief = 5;
    // What it holds up to now may have been stolen, too.
    const std::uint64_t before = rt.stats().domains[thief].stolen;
    gates[thief].release();
    REQUIRE(eventually([&] { return ran == count; }));
    const auto distance = [](unsigned domain) {
        if (domain == thief) return 0;
        if (domain / 2 == thief / 2) return 1;
        return domain / 4 == thief / 4 ? 2 : 3;
    };
    REQUIRE(order.size() == count);
    for (std::size_t i = 1; i < count; ++i) CHECK(distance(order[i - 1]) <= distance(order[i]));
    CHECK(rt.stats().domains[thief].stolen - before == 70);
    for (hold& each : gates) each.release();
    settle_locality(rt);
}

}  // namespace tokengate::test
