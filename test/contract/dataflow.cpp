// SPDX-License-Identifier: Apache-2.0
// Tokens as arguments: the new token waits for them, without a worker, and gets their results.
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {

TEST_CASE("a_token_as_an_argument_is_waited_for_and_its_result_is_passed") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto sum = rt.operation("sum", [](int a, int b) { return a + b; });
        const auto text = rt.operation("text", [](const std::string& word, long times) {
            std::string all;
            for (long i = 0; i < times; ++i) all += word;
            return all;
        });
        CHECK(result_of(sum(number(1), number(2))) == 3);
        CHECK(result_of(sum(number(1), 2)) == 3);
        CHECK(result_of(sum(sum(number(1), number(2)), sum(number(3), number(4)))) == 10);
        CHECK(result_of(text("ab", number(2))) == "abab");
        CHECK(result_of(text(text("ab", number(2)), sum(number(1), number(1)))) == "abababab");
        const token<int> shared = number(7);
        CHECK(result_of(sum(shared, shared)) == 14);
        CHECK(result_of(shared) == 7);
        settle_locality(rt);
    });
}

TEST_CASE("a_token_that_waits_for_its_inputs_holds_no_worker") {
    hold gate;
    runtime rt({.cores = 1});
    const auto first = rt.operation("first", [&](int value) {
        gate.pass();
        return value;
    });
    const auto next = rt.operation("next", [](int value) { return value + 1; });
    const auto other = rt.operation("other", [] { return 1; });
    std::atomic<bool> go{false};
    const auto outer = rt.operation("outer", [&] {
        while (!go) std::this_thread::yield();
    });
    const token<void> busy = outer();
    const token<int> held = first(1);
    std::vector<token<int>> waiting;
    for (int i = 0; i < 100; ++i) waiting.push_back(next(held));
    for (const auto& each : waiting) {
        CHECK(each.state() == token_state::waiting);
        CHECK_FALSE(each.position());
        CHECK(each.seed().empty());
    }
    go = true;
    REQUIRE(gate.await(1));
    // The one worker is inside `first`: another thread stands in while that is said to block.
    CHECK(waiting.front().state() == token_state::waiting);
    gate.release();
    CHECK(result_of(other()) == 1);
    for (const auto& each : waiting) CHECK(result_of(each) == 2);
    settle_locality(rt);
}

TEST_CASE("containers_of_tokens_are_waited_for_however_deep") {
    runtime rt({.cores = 4});
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto total = rt.operation("total", [](const std::vector<int>& all) {
        int sum = 0;
        for (const int each : all) sum += each;
        return sum;
    });
    const auto nested = rt.operation("nested", [](std::vector<std::vector<long>> all) {
        long sum = 0;
        for (const auto& inner : all) {
            for (const long each : inner) sum += each;
        }
        return sum;
    });
    const auto mixed = rt.operation(
        "mixed", [](std::array<int, 2> pair, std::optional<int> maybe, std::optional<int> none,
                    std::pair<int, std::string> named, std::tuple<int, double, std::set<int>> all) {
            return pair[0] + pair[1] + maybe.value() + (none ? 1000 : 0) + named.first +
                   static_cast<int>(named.second.size()) + std::get<0>(all) +
                   static_cast<int>(std::get<1>(all)) + static_cast<int>(std::get<2>(all).size());
        });
    std::vector<token<int>> some;
    for (int i = 1; i <= 10; ++i) some.push_back(number(i));
    CHECK(result_of(total(some)) == 55);
    std::deque<token<int>> others(some.begin(), some.end());
    CHECK(result_of(total(std::move(others))) == 55);
    CHECK(result_of(total(std::vector<token<int>>())) == 0);
    CHECK(result_of(nested(std::vector{some, some})) == 110);
    CHECK(result_of(
              mixed(std::array{number(1), number(2)}, std::optional(number(3)),
                    std::optional<token<int>>(), std::pair(number(4), std::string("five")),
                    std::tuple(number(6), 7.0, std::vector{number(8), number(8), number(9)}))) ==
          1 + 2 + 3 + 4 + 4 + 6 + 7 + 2);
    settle_locality(rt);
}

TEST_CASE("the_tokens_of_a_view_are_copied_and_those_of_a_container_that_is_kept_stay") {
    runtime rt({.cores = 2});
    const auto text = rt.operation("text", [](int value) { return std::to_string(value); });
    const auto join = rt.operation("join", [](const std::vector<std::string>& all) {
        std::string joined;
        for (const std::string& each : all) joined += each;
        return joined;
    });
    std::vector<token<std::string>> some{text(1), text(2), text(3)};
    CHECK(result_of(join(std::span(some).subspan(1))) == "23");
    CHECK(result_of(join(some)) == "123");
    for (const auto& each : some) CHECK(each.valid());
    CHECK(result_of(some.front()) == "1");
    settle_locality(rt);
}

TEST_CASE("a_generic_operation_gets_results_for_tokens") {
    runtime rt({.cores = 2});
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto twice = rt.operation("twice", [](const auto& value) { return value + value; });
    const auto count = rt.operation("count", [](const auto& a, const auto& all) {
        return static_cast<int>(a) + static_cast<int>(all.size());
    });
    CHECK(result_of(twice(number(4))) == 8);
    CHECK(result_of(twice(twice(number(4)))) == 16);
    CHECK(result_of(twice(std::string("ab"))) == "abab");
    CHECK(result_of(count(number(1), std::vector{number(1), number(2)})) == 3);
    settle_locality(rt);
}

TEST_CASE("an_operation_that_takes_a_token_gets_the_token") {
    runtime rt({.cores = 2});
    hold gate;
    const auto slow = rt.operation("slow", [&] {
        gate.pass();
        return 5;
    });
    const auto look = rt.operation("look", {.weight = weight::heavy},
                                   [](const token<int>& other) { return other.done(); });
    const token<int> held = slow();
    CHECK_FALSE(result_of(look(held)));
    gate.release();
    settle_locality(rt);
}

TEST_CASE("a_result_is_moved_out_of_a_token_that_nobody_else_holds_and_else_copied") {
    struct counted {
        std::shared_ptr<std::atomic<int>> copies = std::make_shared<std::atomic<int>>(0);
        counted() = default;
        counted(const counted& other) : copies(other.copies) { ++*copies; }
        counted(counted&&) = default;
        counted& operator=(const counted&) = delete;
        counted& operator=(counted&&) = default;
        ~counted() = default;
    };
    runtime rt({.cores = 2});
    hold gate;
    const auto make = rt.operation("make", [&] {
        gate.pass();
        return counted();
    });
    const auto look =
        rt.operation("look", [](const counted& given) { return given.copies->load(); });
    const auto own = rt.operation(
        "own", [](std::unique_ptr<int> given) { return given == nullptr ? 0 : *given; });
    const auto box = rt.operation("box", [&](int value) {
        gate.pass();
        return std::make_unique<int>(value);
    });
    const token<int> moved = look(make());
    const token<counted> kept = make();
    const token<int> copied = look(kept);
    const token<int> boxed = own(box(3));
    const token<std::unique_ptr<int>> mine = box(4);
    const token<int> refused = own(mine);
    gate.release();
    CHECK(result_of(moved) == 0);
    CHECK(result_of(copied) == 1);
    CHECK(result_of(boxed) == 3);
    REQUIRE(ends(refused));
    CHECK_THROWS_AS(demand(refused), result_shared);
    CHECK(*result_of(mine) == 4);
    settle_locality(rt);
}

TEST_CASE("arguments_beside_tokens_may_be_large_and_have_more_than_the_usual_alignment") {
    struct alignas(256) wide {
        explicit wide(int of) noexcept : value(of), self(this) {}
        wide(const wide& other) noexcept : value(other.value), self(this) {}
        wide& operator=(const wide&) = delete;
        [[nodiscard]] bool aligned() const noexcept {
            return self == this && reinterpret_cast<std::uintptr_t>(this) % alignof(wide) == 0;
        }
        int value;
        const wide* self;
        ~wide() { CHECK(aligned()); }
    };
    runtime rt({.cores = 2});
    hold gate;
    const auto number = rt.operation("number", [&](int value) {
        gate.pass();
        return value;
    });
    const auto add = rt.operation("add", [](int a, const wide& b, const std::array<int, 700>& c) {
        return b.aligned() ? a + b.value + c[699] : -1;
    });
    const token<int> first = number(1);
    std::array<int, 700> many{};
    many[699] = 5;
    std::vector<token<int>> sums;
    for (int i = 0; i < 100; ++i) sums.push_back(add(first, wide(i), many));
    gate.release();
    for (int i = 0; i < 100; ++i) CHECK(result_of(sums[static_cast<std::size_t>(i)]) == 6 + i);
    settle_locality(rt);
}

TEST_CASE("references_that_tokens_deliver_refer_to_the_object") {
    runtime rt({.cores = 2});
    int object = 1;
    const auto find = rt.operation("find", [&]() -> int& { return object; });
    const auto change =
        rt.operation("change", [](std::reference_wrapper<int> where) { where.get() = 2; });
    change(find()).wait();
    CHECK(object == 2);
    settle_locality(rt);
}

TEST_CASE("then_calls_with_the_result_and_after_comes_after_without_it") {
    runtime rt({.cores = 4});
    std::atomic<int> done{0};
    const auto work = rt.operation("work", [&] { ++done; });
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto count = rt.operation("count", [&] { return done.load(); });
    const auto plus = rt.operation("plus", [&](int a, int b) { return a + b + done.load(); });
    const auto twice = rt.operation("twice", [](int value) { return 2 * value; });
    CHECK(result_of(number(3).then(twice).then(twice)) == 12);
    const token<int> kept = number(3);
    CHECK(result_of(kept.then(twice)) == 6);
    CHECK(result_of(kept) == 3);
    CHECK(result_of(work().then(count)) == 1);
    std::vector<token<void>> many;
    for (int i = 0; i < 99; ++i) many.push_back(work());
    const auto last = rt.after(many, kept);
    CHECK(result_of(last.call(count)) == 100);
    CHECK(result_of(last.call(plus, number(1), 2)) == 103);
    CHECK(result_of(rt.after().call(count)) == 100);
    settle_locality(rt);
}

TEST_CASE("a_chain_of_a_million_dependent_tokens_does_not_overflow_a_stack") {
    const std::size_t length = scaled(1'000'000);
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto first = rt.operation("first", [&] {
            gate.pass();
            return std::size_t{0};
        });
        const auto next = rt.operation("next", [](std::size_t value) { return value + 1; });
        token<std::size_t> last = first();
        for (std::size_t i = 0; i < length; ++i) last = next(std::move(last));
        gate.release();
        CHECK(result_of(last) == length);
        settle_locality(rt);
    }
}

TEST_CASE("a_failure_goes_through_a_chain_of_a_million_dependent_tokens") {
    const std::size_t length = scaled(1'000'000);
    runtime rt({.cores = 2});
    hold gate;
    const auto first = rt.operation("first", [&]() -> int {
        gate.pass();
        throw std::runtime_error("no beginning");
    });
    std::atomic<int> ran{0};
    const auto next = rt.operation("next", [&](int value) {
        ++ran;
        return value;
    });
    const token<int> root = first();
    token<int> last = root;
    for (std::size_t i = 0; i < length; ++i) last = next(std::move(last));
    gate.release();
    REQUIRE(ends(last));
    try {
        demand(last);
        FAIL("it has no result");
    } catch (const dependency_failed& why) {
        CHECK(why.id() == last.id());
        CHECK(why.causes().back().id == root.id());
        CHECK(why.causes().back().operation == "first");
        CHECK(why.causes().size() + why.omitted() == length);
        CHECK_THROWS_WITH_AS(std::rethrow_exception(why.root()), "no beginning",
                             std::runtime_error);
        CHECK(std::string(why.what()).size() < 2000);
    }
    settle_locality(rt);
    CHECK(ran == 0);
    CHECK(next.stats().without_inputs == length);
}

TEST_CASE("a_hundred_thousand_tokens_are_the_input_of_one_and_one_is_the_input_of_as_many") {
    const std::size_t width = scaled(100'000);
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        hold gate;
        const auto seed = rt.operation("seed", [&] {
            gate.pass();
            return std::size_t{1};
        });
        const auto next = rt.operation("next", [](std::size_t value) { return value; });
        const auto total = rt.operation("total", [](const std::vector<std::size_t>& all) {
            std::size_t sum = 0;
            for (const std::size_t each : all) sum += each;
            return sum;
        });
        const token<std::size_t> one = seed();
        std::vector<token<std::size_t>> many;
        for (std::size_t i = 0; i < width; ++i) many.push_back(next(one));
        const token<std::size_t> all = total(std::move(many));
        gate.release();
        CHECK(result_of(all) == width);
        settle_locality(rt);
    }
}

TEST_CASE("dependents_join_the_chain_of_their_creator_and_stay_in_its_domain") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const auto leaf = rt.operation("leaf", [](int value) { return value; });
        const auto place = rt.operation("place", [](int) { return here(); });
        struct seen {
            unsigned domain;
            std::string seed;
            token<unsigned> where;
        };
        const auto lead = rt.operation("lead", {.external_calls = {"place"}}, [&](int value) {
            const token<unsigned> child = place(leaf(value));
            return seen{here(), child.seed(), child};
        });
        std::vector<token<seen>> leads;
        for (int i = 0; i < 50; ++i) leads.push_back(lead(leaf(i)));
        for (const auto& each : leads) {
            const seen& found = result_of(each);
            CHECK(result_of(found.where) == found.domain);
            CHECK(found.seed == each.seed());
            CHECK_FALSE(found.seed.empty());
        }
        settle_locality(rt);
    });
}

TEST_CASE("keys_of_dependents_are_made_of_the_results_of_their_inputs") {
    runtime rt({.cores = 8, .sticky_slots = 1024});
    hold gate;
    const auto number =
        rt.operation("number", {.weight = weight::heavy}, [](int value) { return value; });
    const auto held = rt.operation(
        "held", {.weight = weight::heavy, .sticky = sticky::by_anchor_and_arguments("a")},
        [&](int) { gate.pass(); });
    const auto where = rt.operation(
        "where", {.weight = weight::heavy, .sticky = sticky::by_anchor_and_arguments("a")},
        [](int) { return here(); });
    const token<void> first = held(5);
    REQUIRE(gate.await(1));
    const unsigned home = first.domain();
    std::vector<token<unsigned>> others;
    for (int i = 0; i < 20; ++i) others.push_back(where(number(5)));
    REQUIRE(eventually([&] {
        for (const auto& each : others) {
            if (each.state() == token_state::waiting) return false;
        }
        return true;
    }));
    for (const auto& each : others) CHECK(each.domain() == home);
    gate.release();
    for (const auto& each : others) CHECK(result_of(each) == home);
    settle_locality(rt);
}

TEST_CASE("serial_dependents_run_one_at_a_time_in_the_order_in_which_their_inputs_come") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores, .workers_per_core = 2});
        hold gate;
        std::vector<int> order;
        std::atomic<int> inside{0};
        const auto source = rt.operation("source", [&](int value) {
            gate.pass();
            return value;
        });
        const auto note = rt.operation(
            "note", {.sticky = sticky::by_anchor("journal", sticky::serial)}, [&](int value) {
                CHECK(++inside == 1);
                order.push_back(value);
                --inside;
            });
        const token<int> one = source(1);
        std::vector<token<void>> notes;
        for (int i = 0; i < 1000; ++i) notes.push_back(note(one));
        for (int i = 0; i < 100; ++i) notes.push_back(note(2));
        gate.release();
        for (const auto& each : notes) REQUIRE(ends(each));
        CHECK(order.size() == 1100);
        settle_locality(rt);
    }
}

TEST_CASE("calls_at_the_limit_are_refused_and_leave_tokens_alone") {
    runtime rt({.cores = 2, .in_flight_limit = 8});
    hold gate;
    const auto source = rt.operation("source", [&] {
        gate.pass();
        return 1;
    });
    const auto next = rt.operation("next", [](int value) { return value; });
    token<int> one = source();
    std::vector<token<int>> made;
    for (;;) {
        auto t = next.try_call(one);
        if (!t) break;
        made.push_back(*t);
    }
    CHECK(made.size() == 7);
    CHECK_FALSE(next.try_call(std::move(one)));
    CHECK(one.valid());
    gate.release();
    for (const auto& each : made) CHECK(result_of(each) == 1);
    settle_locality(rt);
}

TEST_CASE("an_empty_handle_is_no_argument") {
    runtime rt({.cores = 2});
    const auto next = rt.operation("next", [](int value) { return value; });
    CHECK_THROWS_AS(next(token<int>()), empty_token);
    CHECK_THROWS_AS(rt.after(token<int>()).call(next, 1), empty_token);
    settle_locality(rt);
    CHECK(next.stats().counts.accepted == 0);
}

TEST_CASE("tokens_that_nobody_holds_run_when_their_inputs_are_there") {
    runtime rt({.cores = 4});
    std::atomic<int> sum{0};
    const auto number = rt.operation("number", [](int value) { return value; });
    const auto add = rt.operation("add", [&](int value) { sum += value; });
    for (int i = 0; i < 1000; ++i) add.post(number(i));
    settle_locality(rt);
    CHECK(sum == 499'500);
}

TEST_CASE("inputs_may_be_of_another_runtime") {
    std::optional<runtime> theirs(std::in_place, config{.cores = 2});
    runtime ours({.cores = 2});
    hold gate;
    const auto number = theirs->operation("number", [&](int value) {
        gate.pass();
        return value;
    });
    const auto twice = ours.operation("twice", [](int value) { return 2 * value; });
    std::vector<token<int>> made;
    for (int i = 0; i < 100; ++i) made.push_back(twice(number(i)));
    gate.release();
    for (int i = 0; i < 100; ++i) CHECK(result_of(made[static_cast<std::size_t>(i)]) == 2 * i);
    theirs.reset();
    settle_locality(ours);
}

}  // namespace tokengate::test
