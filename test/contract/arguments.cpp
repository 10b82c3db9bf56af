// SPDX-License-Identifier: Apache-2.0
// Arguments are decayed, moved into the token, and gone before the result is seen.
#include <any>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <variant>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"

namespace tokengate::test {
namespace {

struct counts {
    std::atomic<int> copies{0};
    std::atomic<int> moves{0};
    std::atomic<int> alive{0};
};

class tracked {
  public:
    explicit tracked(counts& where) : seen_(&where) { seen_->alive.fetch_add(1); }
    tracked(const tracked& other) : seen_(other.seen_) {
        seen_->copies.fetch_add(1);
        seen_->alive.fetch_add(1);
    }
    tracked(tracked&& other) noexcept : seen_(other.seen_) {
        seen_->moves.fetch_add(1);
        seen_->alive.fetch_add(1);
    }
    tracked& operator=(const tracked&) = delete;
    tracked& operator=(tracked&&) = delete;
    ~tracked() { seen_->alive.fetch_sub(1); }

  private:
    counts* seen_;
};

/// Converts to int, or throws.
struct reluctant {
    bool throws;
    operator int() const {  // NOLINT: the conversion is the point
        if (throws) throw std::domain_error("no such number");
        return 4;
    }
};

struct alignas(256) over_aligned {
    int value = 0;
};

}  // namespace

TEST_CASE("arguments_reach_the_callable_with_their_values") {
    runtime rt({.cores = 2});
    const auto join = rt.operation("join", [](std::string a, const std::string& b, std::string&& c,
                                              int d) { return a + b + c + std::to_string(d); });
    std::string mine = "b";
    CHECK(join("a", mine, std::string("c"), 4).get() == "abc4");
    CHECK(mine == "b");
    CHECK(join("a", std::move(mine), "c", short{5}).get() == "abc5");
    settle(rt);
}

TEST_CASE("a_string_literal_becomes_the_string_that_the_callable_takes") {
    runtime rt({.cores = 2});
    const auto length = rt.operation("length", [](const std::string& text) { return text.size(); });
    CHECK(length("four").get() == 4);
    const auto generic = rt.operation("generic", [](auto text) { return std::string(text); });
    char buffer[] = "decayed";
    CHECK(generic(buffer).get() == "decayed");
    settle(rt);
}

TEST_CASE("move_only_arguments_are_moved_in") {
    runtime rt({.cores = 2});
    const auto by_value = rt.operation("value", [](std::unique_ptr<int> p) { return *p; });
    const auto by_rvalue = rt.operation("rvalue", [](std::unique_ptr<int>&& p) {
        const std::unique_ptr<int> own = std::move(p);
        return *own;
    });
    const auto by_reference =
        rt.operation("reference", [](const std::unique_ptr<int>& p) { return *p; });
    CHECK(by_value(std::make_unique<int>(1)).get() == 1);
    CHECK(by_rvalue(std::make_unique<int>(2)).get() == 2);
    CHECK(by_reference(std::make_unique<int>(3)).get() == 3);
    settle(rt);
}

TEST_CASE("an_rvalue_argument_is_moved_once_into_the_token_and_never_copied") {
    runtime rt({.cores = 2});
    counts seen;
    const auto by_reference = rt.operation("reference", [](const tracked&) {});
    by_reference(tracked(seen)).get();
    CHECK(seen.copies == 0);
    CHECK(seen.moves == 1);

    // By value: once into the token, once into the parameter.
    seen.moves = 0;
    const auto by_value = rt.operation("value", [](tracked) {});
    by_value(tracked(seen)).get();
    CHECK(seen.copies == 0);
    CHECK(seen.moves == 2);

    seen.moves = 0;
    const tracked kept(seen);
    by_reference(kept).get();
    CHECK(seen.copies == 1);
    CHECK(seen.moves == 0);
    settle(rt);
}

TEST_CASE("large_and_over_aligned_arguments_arrive_whole") {
    runtime rt({.cores = 2});
    counts seen;
    const auto sum = rt.operation("sum", [](const std::array<int, 4000>& numbers, const tracked&) {
        int total = 0;
        for (const int each : numbers) total += each;
        return total;
    });
    std::array<int, 4000> ones{};
    ones.fill(1);
    CHECK(sum(ones, tracked(seen)).get() == 4000);
    CHECK(seen.alive == 0);
    CHECK(seen.copies == 0);
    const auto aligned = rt.operation("aligned", [](const over_aligned& argument) {
        return reinterpret_cast<std::uintptr_t>(&argument) % 256 == 0 ? argument.value : -1;
    });
    for (int i = 0; i < 50; ++i) CHECK(aligned(over_aligned{i}).get() == i);
    settle(rt);
}

TEST_CASE("arguments_are_destroyed_before_the_result_can_be_seen") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores});
        counts seen;
        const auto fine = rt.operation("fine", [](const tracked&) { return 1; });
        const auto fails = rt.operation("fails", [](const tracked&) -> int { throw 1; });
        bool gone = true;
        for (int i = 0; i < 2000; ++i) {
            const token<int> t = (i % 2 == 0 ? fine : fails)(tracked(seen));
            t.wait();
            gone = gone && seen.alive == 0;
        }
        CHECK(gone);
        settle(rt);
    }
}

TEST_CASE("a_conversion_that_throws_accepts_nothing") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("number", [](int n) { return n; });
    for (int i = 0; i < 100; ++i) {
        CHECK_THROWS_AS(op(reluctant{true}), std::domain_error);
        CHECK_THROWS_AS(static_cast<void>(op.try_call(reluctant{true})), std::domain_error);
    }
    CHECK(rt.stats().total().accepted == 0);
    CHECK(op(reluctant{false}).get() == 4);
    CHECK(rt.stats().total().accepted == 1);
    settle(rt);
}

TEST_CASE("a_conversion_that_throws_leaves_no_argument_behind") {
    runtime rt({.cores = 2});
    counts seen;
    const auto op = rt.operation("two", [](const tracked&, int n) { return n; });
    CHECK_THROWS_AS(op(tracked(seen), reluctant{true}), std::domain_error);
    CHECK(seen.alive == 0);
    settle(rt);
}

TEST_CASE("room_that_a_throwing_conversion_has_reserved_is_free_for_others") {
    // The thread that threw is still there, and does not call again.
    for (const bool lane_is_small : {true, false}) {
        INFO("the lane is small: ", lane_is_small);
        runtime rt({.cores = 1,
                    .mailbox_capacity = lane_is_small ? 1 : 100,
                    .in_flight_limit = lane_is_small ? 100 : 1});
        const auto op = rt.operation("number", [](int n) { return n; });
        hold thrown;
        std::thread other([&] {
            try {
                op(reluctant{true});
            } catch (const std::domain_error&) {
                thrown.pass();
            }
        });
        REQUIRE(thrown.await(1));
        const auto accepted = op.try_call(1);
        CHECK(accepted.has_value());
        thrown.release();
        other.join();
        settle(rt);
    }
}

TEST_CASE("arguments_of_awkward_types_are_taken_as_they_are") {
    runtime rt({.cores = 2});
    const auto any = rt.operation("any", [](std::any a) { return std::any_cast<int>(a); });
    CHECK(any(std::any(3)).get() == 3);
    const auto tuple = rt.operation("tuple", [](std::tuple<int> t) { return std::get<0>(t); });
    CHECK(tuple(std::tuple(4)).get() == 4);
    int outside = 0;
    const auto by_ref = rt.operation("ref", [](std::reference_wrapper<int> n) { n.get() = 5; });
    by_ref(std::ref(outside)).get();
    CHECK(outside == 5);
    const auto empty = rt.operation("empty", [](std::monostate) { return 6; });
    CHECK(empty(std::monostate{}).get() == 6);
    settle(rt);
}

}  // namespace tokengate::test
