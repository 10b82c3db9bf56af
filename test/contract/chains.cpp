// SPDX-License-Identifier: Apache-2.0
// Leads and what they create: one domain, one seed, counted until the last has ended.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "locality/seed.hpp"

namespace tokengate::test {
namespace {

/// Pending tokens of the chain that this lead has opened; 0 if it is not open.
std::uint64_t pending_of(const runtime& rt, std::uint64_t lead_id) {
    for (const chain_info& each : rt.open_chains()) {
        if (each.lead_id == lead_id) return each.pending;
    }
    return 0;
}

}  // namespace

TEST_CASE("everything_that_a_lead_creates_runs_in_its_domain_and_has_its_seed") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const operation<void(unsigned, int)>* again = nullptr;
        std::atomic<int> strayed{0};
        std::atomic<int> seeds_differ{0};
        // Weights that exclude the domain, generic operations, try_call, children of children.
        const auto light = rt.operation("light", {.weight = weight::light},
                                        [&](unsigned home) { strayed += here() != home ? 1 : 0; });
        const auto generic =
            rt.operation("generic", [&](auto home) { strayed += here() != home ? 1 : 0; });
        const operation<void(unsigned, int)> child =
            rt.operation("child", [&](unsigned home, int depth) {
                strayed += here() != home ? 1 : 0;
                if (depth == 0) return;
                const auto a = (*again)(home, depth - 1);
                const auto b = light(home);
                const auto c = generic(home);
                const auto d = light.try_call(home);
                const std::string seed = a.seed();
                const bool same = b.seed() == seed && c.seed() == seed && d->seed() == seed;
                seeds_differ += same && seed.size() == 64 ? 0 : 1;
                if (depth % 2 == 0) a.wait();
            });
        again = &child;
        const auto lead =
            rt.operation("lead", {.weight = weight::heavy, .external_calls = {"child"}},
                         [&] { child(here(), 5); });
        std::vector<token<void>> leads;
        for (int i = 0; i < 20; ++i) leads.push_back(lead());
        std::set<std::string> seeds;
        for (const auto& each : leads) seeds.insert(each.seed());
        CHECK(seeds.size() == leads.size());
        settle_locality(rt);
        CHECK(strayed == 0);
        CHECK(seeds_differ == 0);
        CHECK(rt.stats().total().accepted == 20 * (1 + 6 + 5 * 3));
    });
}

TEST_CASE("a_chain_counts_its_tokens_exactly_and_closes_with_the_last_one") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 1});
        hold lead_gate;
        hold child_gate;
        const auto child = rt.operation("child", [&] { child_gate.pass(); });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            for (int i = 0; i < 5; ++i) child();
            lead_gate.pass();
        });
        const token<void> t = lead();
        REQUIRE(lead_gate.await(1));
        const std::vector<chain_info> open = rt.open_chains();
        REQUIRE(open.size() == 1);
        CHECK(open[0].lead_id == t.id());
        CHECK(open[0].pending == 6);
        CHECK(open[0].domain == t.domain());
        CHECK(open[0].operation == "lead");
        CHECK(t.seed().starts_with(open[0].seed_prefix));
        CHECK(open[0].seed_prefix.size() == 8);
        CHECK(open[0].age.count() >= 0);
        lead_gate.release();
        REQUIRE(ends(t));
        // One child runs at a time; the others wait behind it.
        REQUIRE(child_gate.await(1));
        CHECK(pending_of(rt, t.id()) == 5);
        CHECK(rt.stats().locality.open_chains == 1);
        child_gate.release();
        settle_locality(rt);
        CHECK(rt.open_chains().empty());
    }
}

TEST_CASE("a_nested_lead_opens_its_own_chain_in_the_same_domain_and_holds_the_outer_one_open") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        std::atomic<int> strayed{0};
        std::optional<token<unsigned>> inner;
        std::optional<token<unsigned>> leaf;
        const auto last = rt.operation("last", [&] {
            gate.pass();
            return here();
        });
        const auto nested =
            rt.operation("nested", {.weight = weight::light, .external_calls = {"last"}}, [&] {
                leaf = last();
                return here();
            });
        const auto outer = rt.operation("outer", {.external_calls = {"nested"}}, [&] {
            inner = nested();
            return here();
        });
        const token<unsigned> first = outer();
        REQUIRE(gate.await(1));
        REQUIRE(ends(first));
        // Only the leaf is left: it holds the nested chain, and that one holds the outer one.
        REQUIRE(ends(*inner));
        CHECK(pending_of(rt, first.id()) == 1);
        CHECK(pending_of(rt, inner->id()) == 1);
        CHECK(rt.stats().locality.open_chains == 2);
        gate.release();
        CHECK(result_of(*leaf) == result_of(first));
        CHECK(result_of(*inner) == result_of(first));
        CHECK(inner->seed() != first.seed());
        CHECK(leaf->seed() == inner->seed());
        settle_locality(rt);
        CHECK(strayed == 0);
    });
}

TEST_CASE("chains_inside_chains_are_all_closed_in_the_end") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::optional<operation<void(int)>> lead;
        std::atomic<int> ran{0};
        lead = rt.operation("lead", {.external_calls = {"lead"}}, [&](int depth) {
            ++ran;
            if (depth == 0) return;
            (*lead)(depth - 1);
            const token<void> second = (*lead)(depth - 1);
            if (depth % 2 == 0) second.wait();
            if (depth % 3 == 0) throw std::runtime_error("on purpose");
        });
        for (int i = 0; i < 3; ++i) (*lead)(7);
        settle_locality(rt);
        CHECK(ran == 3 * 255);
    });
}

TEST_CASE("a_seed_is_the_digest_of_the_leads_id_and_its_external_calls") {
    // The digests of "1:one,two", computed elsewhere (sha256sum, b2sum -a blake2s).
    const std::string whole = "e21ea58b62887ef4668930583fafa56d0e136f03996cc93d359f5d001cbf24b4";
    const std::vector<std::pair<digest_policy, std::string>> known{
        {digest_policy::full, whole},
        {digest_policy::brief, whole.substr(0, 16)},
        {digest_policy::fast, "177ac3392f5fa6ee"},
        {digest_policy::minimal, whole.substr(0, 8)}};
    for (const auto& each : known) {
        const digest_policy policy = each.first;
        const std::string& seed = each.second;
        runtime rt({.cores = 2});
        std::optional<token<void>> made;
        const auto child = rt.operation("child", [] {});
        const auto lead = rt.operation("lead", {.external_calls = {"one", "two"}, .digest = policy},
                                       [&] { made = child(); });
        const token<void> first = lead();
        REQUIRE(first.id() == 1);
        REQUIRE(ends(first));
        CHECK(first.seed() == seed);
        CHECK(made->seed() == seed);
        const token<void> next = lead();
        CHECK(next.seed() == detail::seed_of(next.id(), {.calls = "one,two", .policy = policy}));
        CHECK(next.seed() != seed);
        settle_locality(rt);
    }
}

TEST_CASE("a_seed_can_be_asked_for_when_its_chain_and_its_runtime_are_gone") {
    token<void> led;
    token<void> child_of_it;
    token<void> free;
    std::string seed;
    {
        runtime rt({.cores = 2});
        const auto child = rt.operation("child", [] {});
        const auto lead =
            rt.operation("lead", {.external_calls = {"child"}}, [&] { child_of_it = child(); });
        led = lead();
        REQUIRE(ends(led));
        seed = led.seed();
        free = child();
        settle_locality(rt);
    }
    // Others use the records of the chains meanwhile.
    runtime other({.cores = 2});
    const auto lead = other.operation("lead", {.external_calls = {"nothing"}}, [] {});
    for (int i = 0; i < 1000; ++i) lead();
    settle_locality(other);
    CHECK(led.seed() == seed);
    CHECK(child_of_it.seed() == seed);
    CHECK(free.seed().empty());
}

TEST_CASE("tokens_outside_of_chains_have_no_seed") {
    runtime rt({.cores = 2});
    const auto keyed = rt.operation("keyed", {.sticky = sticky::by_anchor("key")}, [] {});
    const auto free = rt.operation("free", [] {});
    const auto parent = rt.operation("parent", [&] { return free().seed(); });
    CHECK(keyed().seed().empty());
    CHECK(free().seed().empty());
    CHECK(result_of(parent()).empty());
    settle_locality(rt);
}

TEST_CASE("a_chain_goes_before_a_key") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        std::atomic<int> strayed{0};
        const auto colocated =
            rt.operation("colocated", {.sticky = sticky::by_anchor("one")},
                         [&](unsigned home) { strayed += here() != home ? 1 : 0; });
        const auto serial =
            rt.operation("serial", {.sticky = sticky::by_anchor("two", sticky::serial)},
                         [&](unsigned home) { strayed += here() != home ? 1 : 0; });
        const auto lead = rt.operation("lead", {.external_calls = {"keyed"}}, [&] {
            for (int i = 0; i < 5; ++i) {
                colocated(here());
                serial(here());
            }
        });
        {
            // The keys are elsewhere, at least in some of the rounds.
            const key_hold one = colocated.hold(0U);
            const key_hold two = serial.hold(0U);
            for (int i = 0; i < 20; ++i) lead();
            settle(rt);
            CHECK(rt.stats().locality.pinned_tokens == 1);
        }
        settle_locality(rt);
        CHECK(strayed == 0);
    });
}

TEST_CASE("a_key_that_a_chain_uses_first_is_where_the_chain_is") {
    for (const int cores : {2, 4, 8}) {
        CAPTURE(cores);
        runtime rt({.cores = cores});
        hold gate;
        const operation_traits keyed{.weight = weight::heavy, .sticky = sticky::by_anchor("key")};
        const auto stays = rt.operation("stays", keyed, [&] { gate.pass(); });
        const auto follows = rt.operation("follows", keyed, [] {});
        const auto lead = rt.operation("lead", {.external_calls = {"stays"}}, [&] { stays(); });
        const token<void> first = lead();
        REQUIRE(gate.await(1));
        std::vector<token<void>> later;
        for (int i = 0; i < 20; ++i) later.push_back(follows());
        for (const token<void>& each : later) CHECK(each.domain() == first.domain());
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("what_is_created_outside_of_the_leads_token_is_in_no_chain") {
    runtime rt({.cores = 2});
    runtime other({.cores = 2});
    const auto child = rt.operation("child", [] {});
    const auto foreign = other.operation("foreign", [] {});
    const auto back = other.operation("back", [&] { return child().seed(); });
    const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
        // Another runtime, another runtime's token, a thread of the user's.
        if (!foreign().seed().empty()) return false;
        if (!back().get().empty()) return false;
        bool inherited = true;
        std::thread([&] { inherited = !child().seed().empty(); }).join();
        return !inherited && !child().seed().empty();
    });
    CHECK(result_of(lead()));
    settle_locality(rt);
    settle_locality(other);
}

TEST_CASE("chains_can_be_watched_while_they_open_and_close") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const std::uint64_t each_worker = rt.settings().workers_per_core;
        std::atomic<bool> over{false};
        const auto child = rt.operation("child", [] {});
        const auto lead = rt.operation("lead", {.external_calls = {"child"}}, [&] {
            for (int i = 0; i < 3; ++i) child();
        });
        std::thread watcher([&] {
            while (!over) {
                for (const chain_info& each : rt.open_chains()) {
                    CHECK(each.pending >= 1);
                    // What the workers have in store may change between the two looks.
                    CHECK(each.pending <= 4 + 16 * each_worker);
                    CHECK(each.domain < rt.settings().cores);
                    CHECK(each.operation == "lead");
                }
                std::this_thread::yield();
            }
        });
        for (std::size_t i = 0; i < scaled(300); ++i) lead();
        CHECK(rt.wait_idle_for(hang_limit));
        over = true;
        watcher.join();
        settle_locality(rt);
    });
}

}  // namespace tokengate::test
