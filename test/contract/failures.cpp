// SPDX-License-Identifier: Apache-2.0
// Whatever a callable throws reaches the caller, and nothing else is harmed.
#include <atomic>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

struct odd_what : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return nullptr; }
};

struct plain {
    int code;
};

/// Its destructor throws unless it was moved from.
class throws_when_destroyed {
  public:
    throws_when_destroyed() = default;
    throws_when_destroyed(throws_when_destroyed&& other) noexcept
        : armed_(std::exchange(other.armed_, false)) {}
    throws_when_destroyed(const throws_when_destroyed&) = delete;
    throws_when_destroyed& operator=(const throws_when_destroyed&) = delete;
    throws_when_destroyed& operator=(throws_when_destroyed&&) = delete;
    ~throws_when_destroyed() noexcept(false) {
        if (armed_) throw std::runtime_error("destroyed");
    }

  private:
    bool armed_ = true;
};

struct throws_when_moved {
    throws_when_moved() = default;
    throws_when_moved(const throws_when_moved&) = default;
    throws_when_moved(throws_when_moved&&) { throw std::runtime_error("moved"); }  // NOLINT
    throws_when_moved& operator=(const throws_when_moved&) = delete;
    throws_when_moved& operator=(throws_when_moved&&) = delete;
    ~throws_when_moved() = default;
};

}  // namespace

TEST_CASE("exceptions_of_any_type_reach_the_caller_and_the_worker_lives_on") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto op = rt.operation("throws", [](int what) -> int {
            switch (what) {
                case 0: throw 7;
                case 1: throw std::runtime_error("it broke");
                case 2: throw odd_what();
                case 3: throw plain{5};
                case 4: throw std::make_unique<int>(3);
                case 5: throw std::bad_alloc();
                case 6: throw "text";
                default: return what;
            }
        });
        std::vector<token<int>> tokens;
        for (int i = 0; i < 8; ++i) tokens.push_back(op(i));
        for (const auto& each : tokens) REQUIRE(ends(each));
        CHECK_THROWS_AS(demand(tokens[0]), int);
        CHECK_THROWS_WITH_AS(demand(tokens[1]), "it broke", std::runtime_error);
        bool odd = false;
        try {
            demand(tokens[2]);
        } catch (const odd_what& error) {  // doctest would read its text
            odd = error.what() == nullptr;
        }
        CHECK(odd);
        CHECK_THROWS_AS(demand(tokens[3]), plain);
        CHECK_THROWS_AS(demand(tokens[4]), std::unique_ptr<int>);
        CHECK_THROWS_AS(demand(tokens[5]), std::bad_alloc);
        CHECK_THROWS_AS(demand(tokens[6]), const char*);
        CHECK(tokens[7].get() == 7);
        CHECK(tokens[0].state() == token_state::failed);
        CHECK_THROWS_AS(demand(tokens[0]), int);  // as often as one likes
        settle(rt);
        CHECK(rt.stats().total().failed == 7);
        CHECK(rt.stats().total().completed == 1);
    }
}

TEST_CASE("wait_does_not_throw_what_the_callable_threw") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("throws", [] { throw 1; });
    const token<void> t = op();
    CHECK_NOTHROW(t.wait());
    CHECK(t.wait_for(1s));
    CHECK_THROWS_AS(demand(t), int);
    settle(rt);
}

TEST_CASE("a_failure_that_nobody_looks_at_is_counted") {
    runtime rt({.cores = 2});
    const auto op = rt.operation("throws", [](int n) { throw n; });
    for (int i = 0; i < 1000; ++i) op(i);
    settle(rt);
    CHECK(rt.stats().total().failed == 1000);
}

TEST_CASE("a_failure_travels_through_waiting_tokens") {
    for (const int cores : {1, 2, 4}) {
        runtime rt({.cores = cores});
        const auto inner = rt.operation("inner", []() -> int { throw std::logic_error("deep"); });
        const auto middle = rt.operation("middle", [&] { return inner().get() + 1; });
        const auto outer = rt.operation("outer", [&] { return middle().get() + 1; });
        const token<int> t = outer();
        REQUIRE(ends(t));
        CHECK_THROWS_WITH_AS(demand(t), "deep", std::logic_error);
        settle(rt);
        CHECK(rt.stats().total().failed == 3);
    }
}

TEST_CASE("a_move_into_the_callable_that_throws_fails_the_token") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("by value", [](throws_when_moved) { return 1; });
    const throws_when_moved lvalue;
    const token<int> t = op(lvalue);
    REQUIRE(ends(t));
    CHECK_THROWS_WITH_AS(demand(t), "moved", std::runtime_error);
    CHECK(rt.operation("alive", [] { return 1; })().get() == 1);
    settle(rt);
}

TEST_CASE("an_argument_whose_destructor_throws_fails_the_token") {
    runtime rt({.cores = 1});
    std::atomic<int> alive{0};
    const auto op = rt.operation("by reference", [&](const throws_when_destroyed&) {
        return std::shared_ptr<int>(new int(1), [&](const int* p) {
            delete p;
            alive.fetch_sub(1);
        });
    });
    alive = 1;
    const auto t = op(throws_when_destroyed());
    REQUIRE(ends(t));
    CHECK_THROWS_WITH_AS(demand(t), "destroyed", std::runtime_error);
    CHECK(alive == 0);  // the result that nobody gets
    CHECK(rt.operation("alive", [] { return 1; })().get() == 1);
    settle(rt);
}

TEST_CASE("a_callable_and_its_argument_that_both_throw_fail_one_token_only" *
          doctest::skip(no_threads_in_children)) {
    const std::string end = in_child([] {
        runtime rt({.cores = 1});
        const auto op = rt.operation("both", [](const throws_when_destroyed&) { throw 1; });
        const token<void> t = op(throws_when_destroyed());
        t.wait();
        return t.state() == token_state::failed ? 0 : 1;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("a_result_whose_destructor_throws_harms_nobody" * doctest::skip(no_threads_in_children)) {
    const std::string end = in_child([] {
        runtime rt({.cores = 1});
        const auto op = rt.operation("result", [] { return throws_when_destroyed(); });
        for (int i = 0; i < 10; ++i) op();
        rt.wait_idle();
        return rt.stats().total().in_flight() == 0 ? 0 : 1;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("an_argument_of_a_killed_token_whose_destructor_throws_harms_nobody" *
          doctest::skip(no_threads_in_children)) {
    const std::string end = in_child([] {
        runtime rt({.cores = 1});
        hold gate;
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto op = rt.operation("argument", [](const throws_when_destroyed&) {});
        held();
        if (!gate.await(1)) return 2;
        const token<void> t = op(throws_when_destroyed());
        rt.stop(0s);
        gate.release();
        return t.state() == token_state::killed ? 0 : 1;
    });
    CHECK(end == "exit 0");
}

}  // namespace tokengate::test
