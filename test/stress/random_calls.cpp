// SPDX-License-Identifier: Apache-2.0
// Random sequences of public calls, against a model that is too simple to be wrong: calls of all
// kinds, their handles, pauses, kills, drains, time-outs, limits, stops and starts. Where others
// have no say in it the model knows what must be in the books, of each operation; else the handles
// say how their tokens have ended, and what nobody holds is bounded.
//
// Elsewhere: stop() inside a token and from several threads at once in stress/shutdowns.cpp; a
// process that has forked in contract/forking.cpp; senders in contract/senders.cpp and
// schedulers.cpp; affinities in contract/affinity.cpp; flow graphs in contract/flow_graph.cpp;
// alerts, spikes and slow runs in contract/health.cpp, spikes.cpp and watchdog.cpp; a memory limit
// that is reached in contract/memory_limit.cpp and stress/bounds.cpp; generic operations and
// containers of tokens as arguments in contract/operations.cpp and dataflow.cpp; as_completed() and
// gather_outcomes() in contract/coroutines.cpp; isolated waits in contract/isolation.cpp; retries
// with delays in contract/retrying.cpp; a rate that blocks in contract/call_limits.cpp; what a
// reason says in contract/kill.cpp.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "at_work.hpp"
#include "figure.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "random_calls_chores.hpp"
#include "random_calls_driver.hpp"
#include "random_calls_model.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t sequences = 2'000;
constexpr std::size_t calls_in_a_sequence = 60;

config random_shape(seeded& random) {
    config wanted;
    wanted.cores = widths[random.below(4)];
    wanted.workers_per_core = 1 + static_cast<int>(random.below(2));
    wanted.spin_time = std::chrono::microseconds(random.below(2) * 20);
    wanted.steal = random.one_in(2) ? stealing::strict : stealing::soft;
    if (random.one_in(2)) wanted.in_flight_limit = 1 + static_cast<std::int64_t>(random.below(20));
    if (random.one_in(2)) wanted.mailbox_capacity = 1 + static_cast<std::int64_t>(random.below(9));
    if (random.one_in(4)) wanted.memory_limit = 1 << 20;
    if (random.one_in(4)) wanted.history = 16;
    return wanted;
}

bool is_roomy(const config& shape) { return !shape.in_flight_limit && !shape.mailbox_capacity; }

/// Storage is of the process: as it was, in the end.
struct storage_as_before {
    storage_as_before() = default;
    ~storage_as_before() { set_storage_limit(storage::slow, most_at_once(storage::slow)); }
    storage_as_before(const storage_as_before&) = delete;
    storage_as_before& operator=(const storage_as_before&) = delete;
};

/// Nothing is left of what was called, nowhere.
void settle_all(runtime& rt) {
    settle_locality(rt);
    REQUIRE(eventually([&] { return rt.stats().memory_bytes == 0; }));
    REQUIRE(eventually([] {
        const storage_stats seen = stats_of(storage::slow);
        return seen.executing == 0 && seen.waiting == 0;
    }));
    for (const operation_stats& each : rt.stats().operations) {
        CHECK(each.dropped <= each.counts.killed);
    }
}

}  // namespace

TEST_CASE("the_books_agree_with_a_simple_model_after_random_calls") {
    seeded random;
    const storage_as_before same;
    at_work work;
    std::optional<runtime> rt;
    std::optional<chores> all;
    circumstances around;
    for (std::size_t sequence = 0; sequence < scaled(sequences); ++sequence) {
        if (sequence % 20 == 0) {
            all.reset();
            const config shape = random_shape(random);
            around.roomy = is_roomy(shape);
            rt.emplace(shape);
            all.emplace(*rt, work);
        }
        const all_books before = books_of(*rt);
        driver one(*all, random, around);
        for (std::size_t i = 0; i < calls_in_a_sequence; ++i) one.step();
        one.finish();
        REQUIRE(one.wrong_at() == "");
        REQUIRE(all->await_rest());
        REQUIRE(agrees(since(before, books_of(*rt)), one.model().sums()));
        if (sequence % 20 == 19) settle_all(*rt);
    }
    figure("random sequences", scaled(sequences));
    figure("random calls", scaled(sequences) * calls_in_a_sequence);
}

TEST_CASE("the_books_agree_when_several_threads_call_at_random") {
    seeded parent;
    const storage_as_before same;
    constexpr std::size_t threads = 3;
    for (std::size_t round = 0; round < scaled(40); ++round) {
        at_work work;
        const config shape = random_shape(parent);
        runtime rt(shape);
        chores all(rt, work);
        std::vector<all_expected> models(threads);
        std::vector<std::string> wrong_at(threads);
        std::vector<std::thread> crowd;
        for (std::size_t t = 0; t < threads; ++t) {
            crowd.emplace_back([&, t] {
                seeded random(parent, round * threads + t);
                driver one(
                    all, random,
                    {.alone = false, .roomy = is_roomy(shape), .number = static_cast<int>(t)});
                for (int i = 0; i < 500; ++i) one.step();
                one.finish();
                wrong_at[t] = one.wrong_at();
                models[t] = one.model().sums();
            });
        }
        for (std::thread& each : crowd) each.join();
        for (const std::string& each : wrong_at) REQUIRE(each == "");
        REQUIRE(all.await_rest());
        settle_all(rt);
        all_expected model{};
        for (const all_expected& each : models) {
            for (std::size_t i = 0; i < kinds; ++i) model[i] += each[i];
        }
        REQUIRE(agrees(books_of(rt), model));
    }
}

TEST_CASE("the_comparison_with_the_model_notices_a_single_token") {
    seeded random;
    const storage_as_before same;
    at_work work;
    runtime rt({.cores = 2});
    chores all(rt, work);
    driver one(all, random, {});
    for (int i = 0; i < 300; ++i) one.step();
    one.finish();
    REQUIRE(one.wrong_at() == "");
    REQUIRE(all.await_rest());
    const all_books books = books_of(rt);
    const all_expected model = one.model().sums();
    CHECK(agrees(books, model));
    for (std::size_t i = 0; i < kinds; ++i) {
        const auto notices = [&](auto&& change) {
            all_expected wrong = model;
            change(wrong[i]);
            return !agrees(books, wrong);
        };
        for (std::size_t way = 0; way < all_ways.size(); ++way) {
            CHECK(notices(
                [&](expected_counts& each) { each.ended[way].least = ++each.ended[way].most; }));
        }
        CHECK(notices([](expected_counts& each) { each.accepted.least = ++each.accepted.most; }));
        CHECK(notices([](expected_counts& each) { ++each.refused; }));
        CHECK(notices([](expected_counts& each) { ++each.coalesced; }));
        // One that has not ended, or has ended twice, whatever the bounds are.
        for (std::uint64_t token_counts::*field :
             {&token_counts::accepted, &token_counts::completed, &token_counts::failed,
              &token_counts::killed, &token_counts::timed_out, &token_counts::refused}) {
            all_books wrong = books;
            ++(wrong[i].counts.*field);
            CHECK_FALSE(agrees(wrong, model));
        }
    }
}

TEST_CASE("the_comparison_with_the_model_notices_a_token_that_has_ended_in_another_way") {
    const auto books = [](const token_counts& fine, const token_counts& plus_one = {}) {
        all_books made{};
        made[index_of(kind::fine)].counts = fine;
        made[index_of(kind::plus_one)].counts = plus_one;
        return made;
    };
    const auto everything = [](const fate&) { return true; };
    SUBCASE("killed while it waits for the end of a pause") {
        book_model model(true);
        model.add({.of = kind::fine, .waits = true});
        CHECK(agrees(books({.accepted = 1, .completed = 1}), model.sums()));
        CHECK(model.kill(everything) == 1);
        CHECK(agrees(books({.accepted = 1, .killed = 1}), model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .completed = 1}), model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .timed_out = 1}), model.sums()));
        CHECK_FALSE(agrees(books({}), model.sums()));
    }
    SUBCASE("killed while nobody knows whether it runs") {
        book_model model(true);
        fate& one = model.add({.of = kind::fine});
        model.kill(everything);
        CHECK(agrees(books({.accepted = 1, .killed = 1}), model.sums()));
        CHECK(agrees(books({.accepted = 1, .completed = 1}), model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .failed = 1}), model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1}), model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .completed = 1, .killed = 1}), model.sums()));
        CHECK_FALSE(model.learn(one, failed));
        CHECK(model.learn(one, killed));
        CHECK_FALSE(model.learn(one, completed));
        CHECK_FALSE(agrees(books({.accepted = 1, .completed = 1}), model.sums()));
    }
    SUBCASE("what depends on one that was killed") {
        book_model model(true);
        fate& one = model.add({.of = kind::fine, .waits = true});
        model.add({.of = kind::plus_one, .inputs = {&one}});
        model.kill([](const fate& each) { return each.of == kind::fine; });
        CHECK(agrees(books({.accepted = 1, .killed = 1}, {.accepted = 1, .failed = 1}),
                     model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .killed = 1}, {.accepted = 1, .killed = 1}),
                           model.sums()));
        CHECK_FALSE(agrees(books({.accepted = 1, .killed = 1}, {.accepted = 1, .completed = 1}),
                           model.sums()));
    }
    SUBCASE("what makes room for newer ones") {
        book_model model(true);
        const auto books_of_latest = [](const token_counts& counts) {
            all_books made{};
            made[index_of(kind::latest)].counts = counts;
            return made;
        };
        for (int i = 0; i < 3; ++i) {
            model.drop_oldest(chores::limited_to);
            model.add({.of = kind::latest, .waits = true});
        }
        const all_expected sums = model.sums();
        CHECK(agrees(books_of_latest({.accepted = 3, .completed = 2, .killed = 1}), sums));
        CHECK_FALSE(agrees(books_of_latest({.accepted = 3, .completed = 3}), sums));
    }
    SUBCASE("a token of one that waits is never made") {
        book_model model(true);
        fate& child = model.add({.of = kind::fine});
        model.add(
            {.of = kind::nested, .children = {&child}, .needs_children = true, .waits = true});
        model.kill([](const fate& each) { return each.of == kind::nested; });
        all_books found = books({});
        found[index_of(kind::nested)].counts = {.accepted = 1, .killed = 1};
        CHECK(agrees(found, model.sums()));
        found[index_of(kind::fine)].counts = {.accepted = 1, .completed = 1};
        CHECK_FALSE(agrees(found, model.sums()));
    }
}

}  // namespace tokengate::test
