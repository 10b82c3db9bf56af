// SPDX-License-Identifier: Apache-2.0
// Results of every kind reach the caller.
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"

namespace tokengate::test {
namespace {

struct alignas(64) one_line {
    int value = 0;
};
struct alignas(256) four_lines {
    int value = 0;
};

/// Counts what happens to its objects.
struct tracked {
    struct counts {
        std::atomic<int> copies{0};
        std::atomic<int> moves{0};
        std::atomic<int> alive{0};
    };
    explicit tracked(counts& where) : seen(&where) { ++seen->alive; }
    tracked(const tracked& other) : seen(other.seen) {
        ++seen->copies;
        ++seen->alive;
    }
    tracked(tracked&& other) noexcept : seen(other.seen) {
        ++seen->moves;
        ++seen->alive;
    }
    tracked& operator=(const tracked&) = delete;
    tracked& operator=(tracked&&) = delete;
    ~tracked() { --seen->alive; }
    counts* seen;
};

struct throws_when_copied {
    throws_when_copied() = default;
    throws_when_copied(const throws_when_copied&) { throw std::runtime_error("copied"); }
    throws_when_copied(throws_when_copied&&) noexcept = default;
    throws_when_copied& operator=(const throws_when_copied&) = delete;
    throws_when_copied& operator=(throws_when_copied&&) = delete;
    ~throws_when_copied() = default;
};

struct throws_when_moved {
    throws_when_moved() = default;
    throws_when_moved(throws_when_moved&&) { throw std::runtime_error("moved"); }  // NOLINT
    throws_when_moved(const throws_when_moved&) = delete;
    throws_when_moved& operator=(const throws_when_moved&) = delete;
    throws_when_moved& operator=(throws_when_moved&&) = delete;
    ~throws_when_moved() = default;
};

}  // namespace

TEST_CASE("void_results_just_end") {
    runtime rt({.cores = 2});
    bool ran = false;
    const token<void> t = rt.operation("void", [&] { ran = true; })();
    REQUIRE(ends(t));
    t.get();
    CHECK(ran);
    settle(rt);
}

TEST_CASE("a_reference_result_refers_to_the_same_object") {
    runtime rt({.cores = 2});
    int number = 1;
    const token<int&> mutable_one = rt.operation("int&", [&]() -> int& { return number; })();
    const token<const int&> const_one =
        rt.operation("const int&", [&]() -> const int& { return number; })();
    REQUIRE(ends(mutable_one));
    mutable_one.get() = 5;
    CHECK(number == 5);
    CHECK(&const_one.get() == &number);
    CHECK(&rt.operation("again", [&]() -> int& { return number; })().get() == &number);
    settle(rt);
}

TEST_CASE("large_results_arrive_whole") {
    runtime rt({.cores = 2});
    const auto numbers = rt.operation("numbers", [](int first) {
        std::array<int, 5000> made{};
        for (std::size_t i = 0; i < made.size(); ++i) made[i] = first + static_cast<int>(i);
        return made;
    });
    const auto result = numbers(100).get();
    bool whole = true;
    for (std::size_t i = 0; i < result.size(); ++i) {
        whole = whole && result[i] == 100 + static_cast<int>(i);
    }
    CHECK(whole);
    const auto middling = rt.operation("middling", [] { return std::array<char, 500>{'a'}; });
    CHECK(middling().get()[0] == 'a');
    settle(rt);
}

TEST_CASE("over_aligned_results_are_aligned") {
    runtime rt({.cores = 2});
    const auto one = rt.operation("one line", [] { return one_line{.value = 1}; });
    const auto four = rt.operation("four lines", [] { return four_lines{.value = 4}; });
    std::vector<token<one_line>> ones;
    std::vector<token<four_lines>> fours;
    for (int i = 0; i < 50; ++i) {
        ones.push_back(one());
        fours.push_back(four());
    }
    for (const auto& each : ones) {
        CHECK(reinterpret_cast<std::uintptr_t>(&result_of(each)) % 64 == 0);
        CHECK(each.get().value == 1);
    }
    for (const auto& each : fours) {
        CHECK(reinterpret_cast<std::uintptr_t>(&result_of(each)) % 256 == 0);
        CHECK(each.get().value == 4);
    }
    settle(rt);
}

TEST_CASE("a_result_is_built_in_place_and_moved_once_at_most") {
    runtime rt({.cores = 2});
    tracked::counts seen;
    const auto op = rt.operation("tracked", [&] { return tracked(seen); });
    {
        token<tracked> t = op();
        REQUIRE(ends(t));
        CHECK(seen.moves == 0);
        const tracked taken = std::move(t).get();
        CHECK(seen.moves == 1);
    }
    CHECK(seen.copies == 0);
    CHECK(seen.alive == 0);
    settle(rt);
}

TEST_CASE("a_result_dies_with_its_last_handle") {
    runtime rt({.cores = 2});
    tracked::counts seen;
    const auto op = rt.operation("tracked", [&] { return tracked(seen); });
    token<tracked> t = op();
    REQUIRE(ends(t));
    token<tracked> copy = t;
    t = {};
    CHECK(seen.alive == 1);
    copy = {};
    CHECK(seen.alive == 0);
    for (int i = 0; i < 100; ++i) op();
    settle(rt);
    CHECK(seen.alive == 0);
}

TEST_CASE("a_result_whose_constructors_throw_fails_or_throws_but_harms_nobody") {
    runtime rt({.cores = 1});
    const auto copied = rt.operation("copied", [] { return throws_when_copied(); });
    token<throws_when_copied> t = copied();
    const token<throws_when_copied> other = t;
    CHECK_THROWS_AS(static_cast<void>(std::move(t).get()), std::runtime_error);
    CHECK(other.state() == token_state::completed);

    const auto moved = rt.operation("moved", [](bool inside) {
        throws_when_moved made;
        if (inside) return throws_when_moved(std::move(made));
        return throws_when_moved();
    });
    CHECK_THROWS_WITH_AS(static_cast<void>(result_of(moved(true))), "moved", std::runtime_error);
    CHECK_THROWS_WITH_AS(static_cast<void>(moved(false).get()), "moved", std::runtime_error);
    CHECK(rt.operation("alive", [] { return 1; })().get() == 1);
    settle(rt);
}

TEST_CASE("a_worker_can_take_a_move_only_result") {
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto make = rt.operation("make", [](int n) { return std::make_unique<int>(n); });
        const auto take = rt.operation("take", [&](int n) { return *make(n).get(); });
        std::vector<token<int>> tokens;
        for (int i = 0; i < 100; ++i) tokens.push_back(take(i));
        wait_all(tokens);
        int right = 0;
        for (int i = 0; i < 100; ++i) {
            const token<int>& each = tokens[static_cast<std::size_t>(i)];
            if (each.state() == token_state::completed && each.get() == i) ++right;
        }
        CHECK(right == 100);
        settle(rt);
    }
}

TEST_CASE("results_may_be_tokens_and_functions") {
    runtime rt({.cores = 2});
    const auto inner = rt.operation("inner", [] { return 9; });
    const auto outer = rt.operation("outer", [&] { return inner(); });
    CHECK(outer().get().get() == 9);
    const auto make = rt.operation(
        "make", [](int n) { return std::function<int(int)>([n](int m) { return n + m; }); });
    CHECK(make(3).get()(4) == 7);
    settle(rt);
}

}  // namespace tokengate::test
