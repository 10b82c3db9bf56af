// SPDX-License-Identifier: Apache-2.0
// Serial tokens in line behind one that is paused keep their room, but leave half of it to others.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

operation_traits serial(const char* key) {
    return {.sticky = sticky::by_anchor(key, sticky::serial)};
}

/// Calls until there is no room.
template <class Operation>
void fill(const Operation& op, std::vector<token<void>>& made) {
    while (auto t = op.try_call()) made.push_back(*t);
}

/// Others are called, and run.
template <class Operation>
void check_not_blocked(const Operation& other) {
    for (int i = 0; i < 100; ++i) {
        const auto t = other.try_call();
        REQUIRE(t);
        REQUIRE(ends(*t));
    }
}

void await_set_aside(const operation<void()>& op) {
    REQUIRE(eventually([&] { return op.stats().set_aside == 1; }));
}

/// A line whose first token executes until it is let go.
struct busy_line {
    runtime rt{{.cores = 2, .mailbox_capacity = 64, .in_flight_limit = 32}};
    hold gate;
    operation<void()> first = rt.operation("first", serial("a"), [this] { gate.pass(); });
    operation<void()> next = rt.operation("next", serial("a"), [] {});
    operation<void()> other = rt.operation("other", [] {});

    busy_line() {
        first();
        REQUIRE(gate.await(1));
    }
};

}  // namespace

TEST_CASE("a_line_behind_a_paused_operation_leaves_room_to_others") {
    runtime rt({.cores = 2, .mailbox_capacity = 64, .in_flight_limit = 32});
    const auto paused = rt.operation("paused", serial("a"), [] {});
    const auto same_key = rt.operation("same key", serial("a"), [] {});
    const auto other_key = rt.operation("other key", serial("b"), [] {});
    const auto other = rt.operation("other", [] {});
    paused.pause();
    std::vector<token<void>> made;
    made.push_back(paused());
    await_set_aside(paused);
    fill(paused, made);
    CHECK(made.size() >= 15);
    fill(same_key, made);
    check_not_blocked(other);
    check_not_blocked(other_key);
    paused.resume();
    settle_locality(rt);
    check_not_blocked(same_key);
    // All room has come back.
    std::vector<token<void>> more;
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    for (int i = 0; i < 32; ++i) {
        REQUIRE(eventually([&] {
            const auto t = held.try_call();
            return t.has_value();
        }));
    }
    gate.release();
    settle_locality(rt);
}

TEST_CASE("a_line_that_waits_for_a_permit_after_a_drain_is_not_held_up") {
    // One permit, which a token of another operation has.
    set_storage_limit(storage::slow, 1);
    runtime rt({.cores = 2, .mailbox_capacity = 64, .in_flight_limit = 32});
    hold gate;
    const auto holder = rt.operation("holder", {.storage = storage::slow}, [&] { gate.pass(); });
    auto traits = serial("a");
    traits.storage = storage::slow;
    const auto next = rt.operation("next", traits, [] {});
    holder();
    REQUIRE(gate.await(1));
    std::vector<token<void>> made;
    made.push_back(next());
    await_set_aside(next);
    next.pause();
    CHECK_FALSE(next.drain_for(std::chrono::milliseconds(1)));
    next.resume();
    // All room but that of the holder.
    fill(next, made);
    CHECK(made.size() >= 31);
    gate.release();
    for (const auto& each : made) REQUIRE(ends(each));
    settle_locality(rt);
    set_storage_limit(storage::slow, most_at_once(storage::slow));
}

TEST_CASE("a_line_behind_a_paused_token_leaves_room_to_others") {
    enum class end { resume, kill, kill_operation };
    for (const end how : {end::resume, end::kill, end::kill_operation}) {
        busy_line line;
        runtime& rt = line.rt;
        const auto& next = line.next;
        const token<void> paused = next();
        CHECK(paused.pause());
        line.gate.release();
        await_set_aside(next);
        std::vector<token<void>> made;
        fill(next, made);
        CHECK(made.size() >= 15);
        check_not_blocked(line.other);
        if (how == end::resume) CHECK(paused.resume());
        if (how == end::kill) CHECK(paused.kill());
        if (how == end::kill_operation) CHECK(next.kill() >= 1);
        for (const auto& each : made) REQUIRE(ends(each));
        settle_locality(rt);
        check_not_blocked(next);
        // Whoever was held up is not any more.
        hold again;
        const auto held = rt.operation("held", serial("a"), [&] { again.pass(); });
        held();
        REQUIRE(again.await(1));
        std::vector<token<void>> behind;
        REQUIRE(eventually([&] {
            fill(next, behind);
            return behind.size() == 31;
        }));
        again.release();
        settle_locality(rt);
    }
}

TEST_CASE("what_fills_the_room_before_its_line_is_held_up_leaves_a_place_to_others") {
    busy_line line;
    auto& [rt, gate, first, next, other] = line;
    std::vector<token<void>> made;
    fill(next, made);
    CHECK(made.size() == 31);
    next.pause();
    gate.release();
    await_set_aside(next);
    fill(next, made);
    check_not_blocked(other);
    next.resume();
    settle_locality(rt);
}

TEST_CASE("however_many_call_a_paused_serial_operation_at_once_others_have_room") {
    for (const int limit : {1, 2, 3, 5, 32}) {
        INFO("limit ", limit);
        runtime rt({.cores = 2, .mailbox_capacity = 64, .in_flight_limit = limit});
        std::atomic<int> ran{0};
        const auto paused = rt.operation("paused", serial("a"), [&] { ++ran; });
        const auto other = rt.operation("other", [] {});
        for (int round = 0; round < 20; ++round) {
            ran = 0;
            paused.pause();
            std::vector<std::thread> callers;
            for (int c = 0; c < 8; ++c) {
                callers.emplace_back([&] {
                    for (int i = 0; i < 4; ++i) paused();
                });
            }
            for (int i = 0; i < 20; ++i) REQUIRE(ends(other()));
            CHECK(ran == 0);
            paused.resume();
            for (std::thread& each : callers) each.join();
            REQUIRE(rt.wait_idle_for(hang_limit));
            CHECK(ran == 32);
        }
        settle_locality(rt);
    }
}

TEST_CASE("lines_held_up_and_killed_at_random_leave_nothing_behind") {
    seeded random;
    for (const int cores : {1, 2}) {
        runtime rt(
            {.cores = cores, .mailbox_capacity = 64, .in_flight_limit = 64, .sticky_slots = 64});
        const auto a = rt.operation("a", serial("a"), [] {});
        const auto b = rt.operation("b", serial("a"), [] {});
        std::vector<token<void>> made;
        for (std::size_t i = 0; i < scaled(5000); ++i) {
            const auto& op = random.one_in(2) ? a : b;
            if (auto t = op.try_call()) made.push_back(*t);
            if (made.empty()) {
                a.resume();
                b.resume();
                continue;
            }
            const auto& any = made[random.below(made.size())];
            switch (random.below(8)) {
                case 0: static_cast<void>(any.pause()); break;
                case 1: static_cast<void>(any.resume()); break;
                case 2: static_cast<void>(any.kill()); break;
                case 3: op.pause(); break;
                case 4: op.resume(); break;
                case 5:
                    if (random.one_in(20)) op.cancel();
                    break;
                default: break;
            }
            if (made.size() > 40) {
                for (const auto& each : made) static_cast<void>(each.resume());
                made.clear();
                a.resume();
                b.resume();
            }
        }
        for (const auto& each : made) static_cast<void>(each.resume());
        a.resume();
        b.resume();
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
