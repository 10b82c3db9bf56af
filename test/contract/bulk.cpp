// SPDX-License-Identifier: Apache-2.0
// Many calls at once: the same promises as for as many calls, behind one handle.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

constexpr std::array<std::size_t, 9> sizes{0, 1, 2, 3, 63, 64, 65, 1000, 20'000};

/// What can be read once.
struct words_of {
    std::istream& text;
    [[nodiscard]] std::istream_iterator<int> begin() const { return {text}; }
    [[nodiscard]] static std::istream_iterator<int> end() { return {}; }
};

/// Cannot always be made an argument.
struct grudging {
    std::shared_ptr<int> content;
    bool refuses;
    operator std::shared_ptr<int>() const {
        if (refuses) throw std::out_of_range("on purpose");
        return content;
    }
};

}  // namespace

TEST_CASE("a_bulk_gives_its_results_in_the_order_of_the_range") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        for (const weight each : all_weights) {
            const auto square =
                rt.operation(to_string(each), {.weight = each}, [](int i) { return i * i; });
            std::size_t all = 0;
            for (const std::size_t count : sizes) {
                INFO(count, " elements");
                const bulk<int> made = square.bulk(numbers<int>(0, static_cast<int>(count)));
                REQUIRE(made.size() == count);
                REQUIRE(ends(made));
                CHECK(made.done());
                const std::vector<int> results = made.get();
                REQUIRE(results.size() == count);
                for (std::size_t i = 0; i < count; ++i) {
                    REQUIRE(results[i] == static_cast<int>(i * i));
                    REQUIRE(made.state(i) == token_state::completed);
                }
                all += count;
            }
            settle(rt);
            const token_counts counts = rt.stats().by_weight[index_of(each)];
            CHECK(counts.accepted == all);
            CHECK(counts.completed == all);
        }
        CHECK(executed_in(rt.stats()) == rt.stats().total().accepted);
    });
}

TEST_CASE("a_bulk_takes_any_range_and_any_arguments") {
    runtime rt({.cores = 2});
    const auto add = rt.operation(
        "add", [](int a, const std::string& b) { return static_cast<std::size_t>(a) + b.size(); });
    const std::list<std::tuple<short, const char*>> pairs{{1, "a"}, {2, "bb"}, {3, "ccc"}};
    CHECK(add.bulk(pairs).get() == std::vector<std::size_t>{2, 4, 6});
    // What is read once.
    const auto twice = rt.operation("twice", [](int a) { return 2 * a; });
    std::istringstream text("1 2 3");
    CHECK(twice.bulk(words_of{text}).get() == std::vector<int>{2, 4, 6});
    // No parameters.
    std::atomic<int> ran{0};
    const auto none = rt.operation("none", [&] { ++ran; });
    none.bulk(1000).get();
    CHECK(ran == 1000);
    // A tuple as one argument.
    const auto first = rt.operation("first", [](std::tuple<int, int> t) { return std::get<0>(t); });
    const std::vector<std::tuple<int, int>> tuples{{7, 1}, {8, 2}};
    CHECK(first.bulk(tuples).get() == std::vector<int>{7, 8});
    // A callable that takes several types.
    const auto size = rt.operation("size", [](const auto& each) { return each.size(); });
    const std::vector<std::string> words{"", "x", "yy"};
    CHECK(size.bulk(words).get() == std::vector<std::size_t>{0, 1, 2});
    // Packed booleans and references.
    const auto odd = rt.operation("odd", [](int i) { return i % 2 == 1; });
    CHECK(odd.bulk(numbers<int>(0, 3)).get() == std::vector<bool>{false, true, false});
    std::array<int, 3> places{};
    const auto place = rt.operation("place", [&](std::size_t i) -> int& { return places[i]; });
    const auto references = place.bulk(numbers<std::size_t>(0, places.size())).get();
    for (std::size_t i = 0; i < places.size(); ++i) CHECK(&references[i].get() == &places[i]);
    settle(rt);
}

TEST_CASE("a_bulk_moves_arguments_in_and_results_out") {
    runtime rt({.cores = 2});
    const auto pass = rt.operation("pass", [](std::unique_ptr<int> p) { return p; });
    std::vector<std::unique_ptr<int>> given;
    std::vector<const int*> addresses;
    for (int i = 0; i < 500; ++i) {
        given.push_back(std::make_unique<int>(i));
        addresses.push_back(given.back().get());
    }
    const std::vector<std::unique_ptr<int>> back = pass.bulk(std::move(given)).get();
    REQUIRE(back.size() == 500);
    for (std::size_t i = 0; i < back.size(); ++i) CHECK(back[i].get() == addresses[i]);
    // What nobody collects goes with the handle.
    const auto shared = std::make_shared<int>(1);
    const auto copy = rt.operation("copy", [](const std::shared_ptr<int>& p) { return p; });
    {
        const std::vector<std::shared_ptr<int>> many(200, shared);
        const auto kept = copy.bulk(many);
        REQUIRE(ends(kept));
        CHECK(shared.use_count() == 401);
        CHECK(kept.get().size() == 200);
        CHECK(kept.get().size() == 200);
    }
    settle(rt);
    CHECK(shared.use_count() == 1);
    bulk<std::shared_ptr<int>> moved = copy.bulk(std::vector(3, shared));
    bulk<std::shared_ptr<int>> other = std::move(moved);
    CHECK_FALSE(moved.valid());
    CHECK_THROWS_AS(static_cast<void>(moved.size()), empty_token);
    CHECK(std::move(other).get().size() == 3);
    CHECK_THROWS_AS(other.wait(), empty_token);
}

TEST_CASE("an_empty_bulk_is_done_at_once") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", [](int i) { return i; });
    const bulk<int> none = op.bulk(std::vector<int>{});
    CHECK(none.valid());
    CHECK(none.size() == 0);
    CHECK(none.done());
    CHECK(none.get().empty());
    CHECK(none.failures().empty());
    CHECK_FALSE(none.kill());
    CHECK(rt.stats().total().accepted == 0);
    CHECK_FALSE(bulk<int>().valid());
}

TEST_CASE("the_tokens_of_a_bulk_fail_alone") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        const auto shared = std::make_shared<int>(0);
        const auto picky = rt.operation("picky", [&](int i) {
            if (i % 100 == 7) throw std::runtime_error(std::to_string(i));
            return shared;
        });
        {
            const auto made = picky.bulk(numbers<int>(0, 1000));
            REQUIRE(ends(made));
            try {
                static_cast<void>(made.get());
                FAIL("it has failed");
            } catch (const std::runtime_error& first) {
                CHECK(std::string(first.what()) == "7");
            }
            const std::vector<bulk_failure> failures = made.failures();
            REQUIRE(failures.size() == 10);
            for (std::size_t i = 0; i < failures.size(); ++i) {
                CHECK(failures[i].index == 100 * i + 7);
                CHECK_THROWS_AS(std::rethrow_exception(failures[i].error), std::runtime_error);
                CHECK(made.state(failures[i].index) == token_state::failed);
                CHECK(made.state(failures[i].index + 1) == token_state::completed);
            }
            CHECK(shared.use_count() == 991);
        }
        settle(rt);
        CHECK(shared.use_count() == 1);
        CHECK(rt.stats().total().failed == 10);
        CHECK(rt.stats().total().completed == 990);
    });
}

TEST_CASE("nothing_is_accepted_if_an_argument_cannot_be_made") {
    runtime rt({.cores = 2});
    const auto shared = std::make_shared<int>(0);
    const auto op = rt.operation("op", [](const std::shared_ptr<int>&) {});
    {
        std::vector<grudging> until_50(100, grudging{shared, false});
        until_50[50].refuses = true;
        CHECK_THROWS_AS(op.bulk(until_50), std::out_of_range);
        CHECK(shared.use_count() == 101);
    }
    CHECK(shared.use_count() == 1);
    CHECK(rt.stats().total().accepted == 0);
    rt.stop();
    CHECK_THROWS_AS(op.bulk(std::vector(3, shared)), runtime_stopped);
    CHECK(shared.use_count() == 1);
    check_ledger(rt);
}

TEST_CASE("the_tokens_of_a_bulk_have_ids_of_their_own") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [] {});
    std::set<std::uint64_t> seen;
    std::size_t all = 0;
    std::uint64_t last = 0;
    for (const std::size_t count : {1U, 10U, 64U, 100U, 1000U, 3U}) {
        CHECK(seen.insert(op().id()).second);
        const auto made = op.bulk(count);
        CHECK(made.id() > last);
        for (std::size_t i = 0; i < count; ++i) {
            CHECK(made.id(i) == made.id() + i);
            CHECK(seen.insert(made.id(i)).second);
        }
        last = made.id(count - 1);
        all += count + 1;
    }
    CHECK(seen.size() == all);
}

TEST_CASE("limits_hold_for_bulks_that_are_larger") {
    for (const int limit : {1, 2, 7, 100}) {
        INFO("limit ", limit);
        runtime rt({.cores = 2, .in_flight_limit = limit});
        hold gate;
        const auto op = rt.operation("op", [&](int i) {
            gate.pass();
            return i;
        });
        bulk<int> made;
        std::thread submitter([&] { made = op.bulk(numbers<int>(0, 500)); });
        // All that there is room for, and no more.
        const auto accepted = [&] { return rt.stats().total().accepted; };
        CHECK(eventually([&] { return accepted() == static_cast<std::uint64_t>(limit); }));
        CHECK(gate.await(1));
        CHECK(accepted() == static_cast<std::uint64_t>(limit));
        gate.release();
        submitter.join();
        REQUIRE(ends(made));
        CHECK(made.get()[499] == 499);
        settle(rt);
    }
    for (const int limit : {1, 2, 7, 100}) {
        INFO("room for ", limit, " in a lane");
        runtime rt({.cores = 2, .mailbox_capacity = limit});
        const auto op = rt.operation("op", [](int i) { return i; });
        const auto made = op.bulk(numbers<int>(0, 500));
        REQUIRE(ends(made));
        CHECK(made.get()[499] == 499);
        settle(rt);
    }
}

TEST_CASE("a_bulk_from_inside_a_token_is_run_by_who_waits_for_it") {
    for (const int cores : {1, 2, 8}) {
        for (const int limit : {1, 3, 1'000'000}) {
            INFO(cores, " domains, ", limit, " in flight");
            runtime rt({.cores = cores, .in_flight_limit = limit});
            const auto child = rt.operation("child", [](int i) { return i; });
            const auto staggered = rt.operation("staggered", {.placement = placement::staggered},
                                                [](int i) { return i; });
            const auto parent = rt.operation("parent", [&](int kind) {
                const std::vector<int> all = numbers(0, 300);
                if (kind == 0) return child.bulk(all).get();
                if (kind == 1) return child.bulk(all).get(isolated);
                return staggered.bulk(all).get();
            });
            std::vector<int> expected(300);
            std::iota(expected.begin(), expected.end(), 0);
            for (int kind = 0; kind < 3; ++kind) {
                const token<std::vector<int>> t = parent(kind);
                CHECK(result_of(t) == expected);
            }
            // Deeper: each token of a bulk makes a bulk.
            const auto middle = rt.operation("middle", [&](int i) {
                const std::vector<int> got = child.bulk(numbers<int>(0, i)).get();
                return std::accumulate(got.begin(), got.end(), 0);
            });
            const auto sums = middle.bulk(numbers<int>(0, 50));
            REQUIRE(ends(sums));
            CHECK(sums.get()[49] == 48 * 49 / 2);
            settle(rt);
        }
    }
}

TEST_CASE("a_bulk_in_a_chain_stays_in_its_domain") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        const auto child = rt.operation("child", {.weight = weight::light}, [] { return here(); });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}},
                                       [&] { return std::pair(here(), child.bulk(200).get()); });
        for (int i = 0; i < 20; ++i) {
            const auto t = lead();
            const auto& [home, places] = result_of(t);
            CHECK(places == std::vector<unsigned>(200, home));
        }
        // Nobody waits: the chain stays open as long as they run.
        std::atomic<int> ran{0};
        const auto late = rt.operation("late", [&] { ++ran; });
        const auto leaves = rt.operation("leaves", {.external_calls = {"late"}},
                                         [&] { static_cast<void>(late.bulk(100)); });
        for (int i = 0; i < 20; ++i) leaves();
        settle_locality(rt);
        CHECK(ran == 2000);
    });
}

TEST_CASE("a_bulk_whose_calls_are_anchored_each_by_itself") {
    for_each_small_shape([](const config& shape) {
        runtime rt(shape);
        std::array<std::set<unsigned>, 10> homes;
        std::array<std::mutex, 10> locks;
        hold gate;
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_arguments()}, [&](std::size_t key) {
                const std::scoped_lock guard(locks[key]);
                homes[key].insert(here());
                return key;
            });
        std::vector<key_hold> holds;
        for (std::size_t key = 0; key < 10; ++key) holds.push_back(keyed.hold(key));
        std::vector<std::size_t> keys(1000);
        for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = i % 10;
        const auto made = keyed.bulk(keys);
        CHECK(made.size() == 1000);
        REQUIRE(ends(made));
        CHECK(made.get() == keys);
        CHECK(std::move(keyed.bulk(keys)).get() == keys);
        for (const auto& each : homes) CHECK(each.size() == 1);
        holds.clear();
        // Serial: in order, so that nothing needs a lock.
        std::vector<int> journal;
        const auto note =
            rt.operation("note", {.sticky = sticky::by_anchor("journal", sticky::serial)},
                         [&](int i) { journal.push_back(i); });
        const auto notes = note.bulk(numbers<int>(0, 1000));
        REQUIRE(ends(notes));
        notes.get();
        CHECK(journal.size() == 1000);
        CHECK(std::is_sorted(journal.begin(), journal.end()));
        // Leads.
        const auto lead = rt.operation("lead", {.external_calls = {"x"}}, [] { return here(); });
        CHECK(lead.bulk(50).get().size() == 50);
        settle_locality(rt);
    });
}

TEST_CASE("a_bulk_longer_than_a_lane_is_admitted_at_once") {
    // What fills a lane are stretches: 16 of them here, of 64 elements.
    runtime rt({.cores = 1, .mailbox_capacity = 16});
    hold gate;
    const auto stay = rt.operation("stay", [&] { gate.pass(); });
    const auto square = rt.operation("square", [](int i) { return i * i; });
    stay();
    REQUIRE(gate.await(1));
    const auto all = square.bulk(numbers<int>(0, 1024));  // or it would block for ever
    CHECK_FALSE(all.done());
    CHECK_FALSE(square.try_call(1).has_value());
    gate.release();
    REQUIRE(ends(all));
    CHECK(all.get()[1023] == 1023 * 1023);
    settle(rt);
}

TEST_CASE("tokens_of_a_bulk_begin_in_the_order_of_the_range") {
    // One worker: what one thread submits to one mailbox begins in the order of positions.
    runtime rt({.cores = 1});
    std::vector<int> order;
    const auto op = rt.operation("op", [&](int i) { order.push_back(i); });
    hold gate;
    const auto stay = rt.operation("stay", [&] { gate.pass(); });
    stay();
    REQUIRE(gate.await(1));
    op(0);
    const auto many = op.bulk(numbers<int>(1, 20'000));
    op(20'000);
    gate.release();
    settle(rt);
    REQUIRE(order.size() == 20'001);
    CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("who_waits_for_its_own_bulk_gets_deadlock") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        std::atomic<const bulk<void>*> own{nullptr};
        std::atomic<int> refused{0};
        const auto op = rt.operation("op", [&](int) {
            while (own == nullptr) std::this_thread::yield();
            try {
                own.load()->wait();
            } catch (const deadlock&) {
                ++refused;
            }
        });
        const bulk<void> made = op.bulk(numbers<int>(0, 20));
        own = &made;
        REQUIRE(ends(made));
        CHECK(refused == 20);
        settle(rt);
    }
}

TEST_CASE("bulks_of_many_threads_and_single_calls_get_along") {
    for_each_small_shape([](const config& shape) {
        config small = shape;
        small.in_flight_limit = 700;
        small.mailbox_capacity = 300;
        runtime rt(small);
        std::atomic<std::uint64_t> ran{0};
        const auto op = rt.operation("op", [&](int) { ++ran; });
        const auto heavy = rt.operation("heavy", {.weight = weight::heavy}, [&](int i) {
            ++ran;
            op.bulk(numbers<int>(0, i % 40)).wait();
        });
        std::vector<std::thread> crowd;
        std::atomic<std::uint64_t> made{0};
        for (int t = 0; t < 3; ++t) {
            crowd.emplace_back([&, t] {
                for (int round = 0; round < static_cast<int>(scaled(30)); ++round) {
                    const int count = (round * 61 + t * 17) % 900;
                    op(round);
                    const auto a = op.bulk(numbers<int>(0, count));
                    const auto b = heavy.bulk(numbers<int>(0, 50));
                    std::uint64_t inner = 0;
                    for (int i = 0; i < 50; ++i) inner += static_cast<std::uint64_t>(i % 40);
                    made += static_cast<std::uint64_t>(count) + 51 + inner;
                    if (round % 3 == 0) a.wait();
                }
            });
        }
        for (std::thread& each : crowd) each.join();
        settle(rt);
        CHECK(ran == made);
        CHECK(rt.stats().total().completed == made);
    });
}

}  // namespace tokengate::test
