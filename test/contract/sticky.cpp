// SPDX-License-Identifier: Apache-2.0
// Tokens with equal keys share a domain while one of them is in flight. What makes keys equal is
// held by keys.cpp.
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {

using namespace std::chrono_literals;

TEST_CASE("equal_keys_in_flight_share_a_domain") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments()}, [&](int) {
            gate.pass();
            return here();
        });
        std::vector<std::vector<token<unsigned>>> by_key(10);
        for (int round = 0; round < 20; ++round) {
            for (int key = 0; key < 10; ++key)
                by_key[static_cast<std::size_t>(key)].push_back(op(key));
        }
        const runtime_stats seen = rt.stats();
        CHECK(seen.locality.pinned_tokens == 200);
        CHECK(seen.locality.pinned_keys <= 10);
        for (const auto& tokens : by_key) {
            for (const auto& each : tokens) CHECK(each.domain() == tokens.front().domain());
        }
        gate.release();
        for (const auto& tokens : by_key) {
            const unsigned home = tokens.front().domain();
            for (const auto& each : tokens) CHECK(result_of(each) == home);
        }
        settle_locality(rt);
    });
}

TEST_CASE("colocated_tokens_run_side_by_side_if_their_domain_has_the_workers") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores, .workers_per_core = 3});
        hold gate;
        const auto op =
            rt.operation("op", {.sticky = sticky::by_arguments()}, [&](int) { gate.pass(); });
        for (int i = 0; i < 3; ++i) op(1);
        CHECK(gate.await(3));
        gate.release();
        settle_locality(rt);
    }
}

TEST_CASE("a_key_that_is_not_in_flight_is_placed_freely") {
    // The ranges have 3 and 2 domains; the next position is in the next domain.
    for (const weight each : {weight::medium, weight::light}) {
        runtime rt({.cores = 4, .steal = stealing::strict});
        const auto op = rt.operation("op", {.weight = each, .sticky = sticky::by_arguments()},
                                     [](int) { return here(); });
        std::set<unsigned> seen;
        for (int i = 0; i < 12; ++i) seen.insert(result_of(op(7)));
        CHECK(seen.size() == rt.settings().cores - rt.settings().first_core[index_of(each)]);
        settle_locality(rt);
    }
}

TEST_CASE("a_pin_stays_until_the_last_of_its_tokens_has_ended") {
    for (const int cores : {4, 8}) {
        runtime rt({.cores = cores, .steal = stealing::strict});
        std::optional<hold> gate;
        const auto named =
            rt.operation("named", {.sticky = sticky::by_anchor("name")}, [&](bool held) {
                if (held) gate->pass();
                return here();
            });
        for (int round = 0; round < 20; ++round) {
            gate.emplace();
            // The first one ends, the second one stays, and the first one's end frees nothing.
            const token<unsigned> stays = named(true);
            REQUIRE(gate->await(1));
            std::vector<token<unsigned>> others;
            for (int i = 0; i < 10; ++i) others.push_back(named(false));
            CHECK(rt.stats().locality.pinned_tokens == 11);
            gate->release();
            for (const auto& each : others) CHECK(result_of(each) == result_of(stays));
            settle_locality(rt);
        }
    }
}

TEST_CASE("tokens_that_end_before_the_first_one_leave_its_pin_alone") {
    runtime rt({.cores = 8, .workers_per_core = 2, .steal = stealing::strict});
    std::optional<hold> gate;
    const auto op = rt.operation("op", {.sticky = sticky::by_anchor("op")}, [&](bool held) {
        if (held) gate->pass();
        return here();
    });
    for (int round = 0; round < 20; ++round) {
        gate.emplace();
        const token<unsigned> stays = op(true);
        REQUIRE(gate->await(1));
        const unsigned home = stays.domain();
        for (int i = 0; i < 10; ++i) {
            // The domain's second worker runs it; the key stays with the first.
            CHECK(result_of(op(false)) == home);
            CHECK(rt.stats().locality.pinned_tokens == 1);
        }
        gate->release();
        settle_locality(rt);
    }
}

TEST_CASE("more_keys_than_places_for_them_are_still_kept_together") {
    for (const int workers : {1, 2}) {
        runtime rt({.cores = 8, .workers_per_core = workers, .sticky_slots = 16});
        hold gate;
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments()}, [&](int) {
            gate.pass();
            return here();
        });
        std::vector<token<unsigned>> first;
        std::vector<token<unsigned>> second;
        for (int key = 0; key < 500; ++key) first.push_back(op(key));
        for (int key = 0; key < 500; ++key) second.push_back(op(key));
        CHECK(rt.stats().locality.pinned_keys <= 16);
        CHECK(rt.stats().locality.pinned_tokens == 1000);
        gate.release();
        for (std::size_t key = 0; key < 500; ++key) {
            CHECK(result_of(first[key]) == result_of(second[key]));
        }
        settle_locality(rt);
    }
}

TEST_CASE("several_threads_find_the_domain_of_a_key") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        hold gate;
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments()}, [&](int) {
            gate.pass();
            return here();
        });
        // Nobody is first: whoever comes first decides for all.
        std::vector<std::vector<token<unsigned>>> made(4);
        std::vector<std::thread> crowd;
        for (auto& mine : made) {
            crowd.emplace_back([&] {
                for (int i = 0; i < 100; ++i) mine.push_back(op(i % 5));
            });
        }
        for (std::thread& each : crowd) each.join();
        gate.release();
        for (const auto& tokens : made) {
            for (std::size_t i = 0; i < tokens.size(); ++i) {
                CHECK(result_of(tokens[i]) == result_of(made.front()[i % 5]));
            }
        }
        settle_locality(rt);
    });
}

TEST_CASE("a_key_draws_tokens_of_every_weight_into_its_domain") {
    // Domain 0 is outside the ranges of medium and light tokens.
    for (const stealing steal : {stealing::strict, stealing::soft}) {
        runtime rt({.cores = 4, .workers_per_core = 2, .spin_time = 0us, .steal = steal});
        await_sleep(rt);
        hold gate;
        const auto body = [&](int) {
            gate.pass();
            return here();
        };
        const sticky shared = sticky::by_anchor("shared");
        const auto heavy = rt.operation("heavy", {.weight = weight::heavy, .sticky = shared}, body);
        const auto medium = rt.operation("medium", {.sticky = shared}, body);
        const auto light = rt.operation("light", {.weight = weight::light, .sticky = shared}, body);
        const token<unsigned> first = heavy(1);
        REQUIRE(gate.await(1));
        CHECK(first.domain() == 0);
        const token<unsigned> second = light(2);
        const token<unsigned> third = medium(3);
        REQUIRE(gate.await(2));
        CHECK(rt.stats().locality.redirected == 2);
        gate.release();
        CHECK(result_of(second) == 0);
        CHECK(result_of(third) == 0);
        settle_locality(rt);
    }
}

TEST_CASE("a_hold_keeps_a_key_in_its_domain") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        for_each_shape([&](const config& shape) {
            runtime rt(shape);
            const auto op = rt.operation("op", {.sticky = sticky::by_arguments(how)},
                                         [](int) { return here(); });
            {
                const key_hold held = op.hold(3);
                REQUIRE(held);
                for (int i = 0; i < 10; ++i) CHECK(result_of(op(3)) == held.domain());
                const key_hold again = op.hold(3);
                CHECK(again.domain() == held.domain());
                const locality_stats seen = rt.stats().locality;
                CHECK(seen.pinned_tokens == (how == sticky::colocate ? 2 : 0));
                CHECK(seen.serial_keys == (how == sticky::serial ? 1 : 0));
                CHECK(rt.wait_idle_for(hang_limit));
            }
            settle_locality(rt);
        });
    }
}

TEST_CASE("a_hold_takes_the_domain_of_tokens_in_flight") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        runtime rt({.cores = 8});
        std::optional<hold> gate;
        const auto op =
            rt.operation("op", {.sticky = sticky::by_arguments(how)}, [&](int) { gate->pass(); });
        for (int round = 0; round < 10; ++round) {
            gate.emplace();
            const token<void> first = op(1);
            key_hold held = op.hold(1);
            CHECK(held.domain() == first.domain());
            gate->release();
            REQUIRE(ends(first));
            CHECK(op(1).domain() == held.domain());
            key_hold moved = std::move(held);
            CHECK(op(1).domain() == moved.domain());
            moved = {};
            CHECK_FALSE(moved);
            settle_locality(rt);
        }
    }
}

TEST_CASE("an_operation_without_a_key_has_none_to_hold") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [](int) {});
    CHECK_THROWS_AS(static_cast<void>(op.hold(1)), operation_error);
    settle_locality(rt);
}

TEST_CASE("an_anchored_token_has_no_position") {
    runtime rt({.cores = 4});
    const auto keyed = rt.operation("keyed", {.sticky = sticky::by_arguments()}, [](int) {});
    const auto serial =
        rt.operation("serial", {.sticky = sticky::by_arguments(sticky::serial)}, [](int) {});
    const auto lead = rt.operation("lead", {.external_calls = {"free"}}, [] {});
    const auto free = rt.operation("free", [] {});
    CHECK_FALSE(keyed(1).position());
    CHECK_FALSE(serial(1).position());
    CHECK_FALSE(lead().position());
    CHECK(free().position());
    settle_locality(rt);
}

}  // namespace tokengate::test
