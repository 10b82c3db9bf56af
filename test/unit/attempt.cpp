// SPDX-License-Identifier: Apache-2.0
// Attempts at the callable of a frame, which leave the arguments for another one.
#include <tokengate/control.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/runtime.hpp>

#include <any>
#include <array>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "token/pool.hpp"

namespace tokengate::test {
namespace {

struct counts {
    int alive = 0;
    int copies = 0;
    int copies_until_throw = -1;
    bool throw_at_end = false;
};

/// Counts its copies, may throw when copied and when destroyed.
class counted {
  public:
    explicit counted(counts& where, int what = 0) : value(what), counts_(&where) {
        ++counts_->alive;
    }
    counted(const counted& other) : value(other.value), counts_(other.counts_) {
        if (counts_->copies_until_throw == 0) throw std::string("no copy");
        --counts_->copies_until_throw;
        ++counts_->copies;
        ++counts_->alive;
    }
    counted(counted&& other) noexcept
        : value(std::exchange(other.value, -1)), counts_(other.counts_) {
        ++counts_->alive;
    }
    ~counted() noexcept(false) {
        --counts_->alive;
        if (counts_->throw_at_end) throw std::string("destructor");
    }
    counted& operator=(const counted&) = delete;

    int value;

  private:
    counts* counts_;
};

/// Says that it can be copied, but a copy would not compile.
struct tree {
    std::vector<std::unique_ptr<tree>> children;
};
static_assert(std::is_copy_constructible_v<tree>);

struct never {
    int content = 0;
};

struct alignas(256) four_lines {
    int value = 0;
};

}  // namespace
}  // namespace tokengate::test

template <>
inline constexpr bool tokengate::copied_for_retry<tokengate::test::counted> = true;
template <>
inline constexpr bool tokengate::copied_for_retry<tokengate::test::never> = false;

namespace tokengate::test {
namespace {

using detail::callable_core;
using detail::frame_functions;
using detail::frame_type;
using detail::token_node;

template <class T>
constexpr bool repeatable = detail::repeatable<T>;

/// The functions of a function with this signature.
template <class R, class... P>
constexpr const frame_type& type_of = detail::repeatable_frame<R (*)(P...), R, P...>;

template <class R, class... P>
constexpr bool can_attempt = type_of<R, P...>.attempt != nullptr;

/// A token with a callable of its own, without a runtime.
template <class F, class R, class... P>
class lone_token {
  public:
    using frame = frame_functions<F, R, P...>;

    template <class... A>
    explicit lone_token(F callable, A&&... args)
        : core_(&type, std::move(callable)), node_(detail::allocate_node(type.size_class)) {
        node_->operation = &core_;
        frame::arguments::build(*node_, std::forward<A>(args)...);
    }
    ~lone_token() {
        if (!is_terminal(state)) type.drop_arguments(*node_);
        type.drop_outcome(*node_, state);
        detail::free_node(*node_, type.size_class);
    }
    lone_token(const lone_token&) = delete;
    lone_token& operator=(const lone_token&) = delete;

    token_state attempt() {
        thrown = nullptr;
        state = type.attempt(*node_, thrown);
        return state;
    }
    void fail() {
        type.drop_arguments(*node_);
        ::new (detail::at_offset(*node_, frame::outcome::offset)) std::exception_ptr(thrown);
        state = token_state::failed;
    }
    [[nodiscard]] auto& value() { return frame::outcome::value(*node_); }
    [[nodiscard]] std::exception_ptr error() { return frame::outcome::error(*node_); }
    [[nodiscard]] auto& arguments() {
        return frame::arguments::place::at(frame::arguments::address(*node_));
    }
    [[nodiscard]] std::size_t bytes() const { return type.argument_bytes(*node_); }

    token_state state = token_state::executing;
    std::exception_ptr thrown;

  private:
    static constexpr const frame_type& type = detail::repeatable_frame<F, R, P...>;
    callable_core<F> core_;
    token_node* node_;
};

template <class R, class... P, class F, class... A>
[[nodiscard]] auto token_of(F callable, A&&... args) {
    return lone_token<F, R, P...>(std::move(callable), std::forward<A>(args)...);
}

/// What was thrown, if it is of type T.
template <class T>
std::optional<T> caught(const std::exception_ptr& error) {
    if (error == nullptr) return std::nullopt;
    try {
        std::rethrow_exception(error);
    } catch (const T& value) {
        return value;
    } catch (...) {
        return std::nullopt;
    }
}

/// Shows the frame type of an operation.
template <class Signature>
struct opened : operation<Signature> {
    explicit opened(const operation<Signature>& source) : operation<Signature>(source) {}
    [[nodiscard]] const frame_type& type() const { return *this->core().type; }
};

}  // namespace

TEST_CASE("an_attempt_that_fails_leaves_the_arguments_for_the_next") {
    counts seen;
    int calls = 0;
    {
        // By value, by rvalue reference and by const reference.
        auto token = token_of<int, counted, counted&&, const counted&>(
            [&calls](counted a, counted&& b, const counted& c) {
                const int sum = a.value + b.value + c.value;
                a.value = 100;
                b.value = 100;
                const counted taken = std::move(b);
                if (++calls < 3) throw std::runtime_error(std::to_string(calls));
                return sum;
            },
            counted(seen, 1), counted(seen, 2), counted(seen, 3));
        for (const int round : {1, 2}) {
            REQUIRE(token.attempt() == token_state::executing);
            const auto error = caught<std::runtime_error>(token.thrown);
            REQUIRE(error);
            CHECK(error->what() == std::to_string(round));
            CHECK(seen.alive == 3);
            CHECK(seen.copies == 2 * round);
            CHECK(std::get<0>(token.arguments()).value == 1);
            CHECK(std::get<1>(token.arguments()).value == 2);
            CHECK(std::get<2>(token.arguments()).value == 3);
        }
        REQUIRE(token.attempt() == token_state::completed);
        CHECK(token.thrown == nullptr);
        CHECK(token.value() == 6);
        CHECK(seen.alive == 0);
    }
    CHECK(seen.alive == 0);
}

TEST_CASE("a_const_reference_sees_the_stored_argument") {
    const void* looked_at = nullptr;
    auto token = token_of<void, const std::string&>(
        [&](const std::string& text) {
            looked_at = &text;
            throw 1;
        },
        "text");
    CHECK(token.attempt() == token_state::executing);
    CHECK(looked_at == &std::get<0>(token.arguments()));
}

TEST_CASE("a_callable_that_takes_anything_gets_rvalues_in_each_attempt") {
    const auto calls = std::make_shared<int>(0);
    auto token = token_of<bool, std::string>(
        [calls](auto&& text) {
            const std::string taken = std::forward<decltype(text)>(text);
            if (++*calls < 3) throw taken;
            return std::is_same_v<decltype(text), std::string&&> && taken == "text";
        },
        "text");
    CHECK(token.attempt() == token_state::executing);
    CHECK(token.attempt() == token_state::executing);
    CHECK(caught<std::string>(token.thrown) == "text");
    REQUIRE(token.attempt() == token_state::completed);
    CHECK(token.value());
}

TEST_CASE("results_of_all_kinds_are_built_in_place") {
    auto move_only =
        token_of<std::unique_ptr<int>, int>([](int n) { return std::make_unique<int>(n); }, 7);
    REQUIRE(move_only.attempt() == token_state::completed);
    CHECK(*move_only.value() == 7);

    struct immovable {
        explicit immovable(int n) : value(n) {}
        immovable(const immovable&) = delete;
        immovable& operator=(const immovable&) = delete;
        int value;
    };
    auto in_place = token_of<immovable, int>([](int n) { return immovable(n); }, 8);
    REQUIRE(in_place.attempt() == token_state::completed);
    CHECK(in_place.value().value == 8);

    int target = 9;
    auto reference = token_of<int&>([&]() -> int& { return target; });
    REQUIRE(reference.attempt() == token_state::completed);
    CHECK(reference.value() == &target);

    int calls = 0;
    auto nothing = token_of<void>([&] {
        if (++calls == 1) throw std::string("once");
    });
    CHECK(nothing.attempt() == token_state::executing);
    CHECK(nothing.attempt() == token_state::completed);
    CHECK(calls == 2);

    using block = std::array<char, 4000>;
    auto boxed = token_of<block, char>(
        [](char filler) {
            block made;
            made.fill(filler);
            return made;
        },
        'x');
    REQUIRE(boxed.attempt() == token_state::completed);
    CHECK(boxed.value().back() == 'x');
}

TEST_CASE("boxed_arguments_can_be_attempted_and_failed") {
    using block = std::array<char, 4000>;
    static_assert(detail::arguments_place<int, block, std::string>::boxed);
    int calls = 0;
    auto token = token_of<int, block, std::string>(
        [&](block given, std::string text) {
            const int found = given[3999] + static_cast<int>(text.size());
            text.clear();
            if (++calls == 1) throw found;
            return found;
        },
        block{}, "text that does not fit inside of the string");
    CHECK(token.attempt() == token_state::executing);
    CHECK(caught<int>(token.thrown) == 43);
    REQUIRE(token.attempt() == token_state::completed);
    CHECK(token.value() == 43);

    auto aligned =
        token_of<void, const four_lines&>([](const four_lines&) { throw 1.5; }, four_lines{});
    CHECK(aligned.attempt() == token_state::executing);
    aligned.fail();
    CHECK(caught<double>(aligned.error()) == 1.5);
}

TEST_CASE("exceptions_of_any_type_come_out_and_fail_puts_them_in_place") {
    struct plain {
        int code;
    };
    auto token = token_of<std::string, int>(
        [](int n) -> std::string {
            if (n == 5) throw plain{n};
            return {};
        },
        5);
    REQUIRE(token.attempt() == token_state::executing);
    REQUIRE(caught<plain>(token.thrown));
    CHECK(caught<plain>(token.thrown)->code == 5);
    token.fail();
    REQUIRE(caught<plain>(token.error()));
    CHECK(caught<plain>(token.error())->code == 5);
}

TEST_CASE("a_copy_that_throws_is_a_failed_attempt") {
    counts seen;
    {
        bool called = false;
        auto token = token_of<void, counted, counted>([&](counted, counted) { called = true; },
                                                      counted(seen, 1), counted(seen, 2));
        for (const int until : {0, 1}) {
            seen.copies_until_throw = until;
            CHECK(token.attempt() == token_state::executing);
            CHECK(caught<std::string>(token.thrown) == "no copy");
            CHECK(seen.alive == 2);
        }
        CHECK_FALSE(called);
        seen.copies_until_throw = 2;
        CHECK(token.attempt() == token_state::completed);
        CHECK(called);
    }
    CHECK(seen.alive == 0);
}

TEST_CASE("a_stored_argument_whose_destructor_throws_fails_the_token_for_good") {
    counts seen;
    {
        auto token = token_of<std::string, const counted&>(
            [&](const counted&) {
                seen.throw_at_end = true;
                return std::string("a result that is dropped, long enough to need memory");
            },
            counted(seen));
        CHECK(token.attempt() == token_state::failed);
        CHECK(token.thrown == nullptr);
        CHECK(seen.alive == 0);
        CHECK(caught<std::string>(token.error()) == "destructor");
    }
    CHECK(seen.alive == 0);
}

TEST_CASE("a_copy_whose_destructor_throws_is_a_failed_attempt") {
    counts seen;
    auto token = token_of<int, counted>(
        [&](counted&&) {
            seen.throw_at_end = true;
            return 1;
        },
        counted(seen));
    CHECK(token.attempt() == token_state::executing);
    CHECK(caught<std::string>(token.thrown) == "destructor");
    CHECK(seen.alive == 1);
    seen.throw_at_end = false;
}

TEST_CASE("fail_keeps_its_exception_when_a_destructor_throws") {
    counts seen;
    auto token =
        token_of<int, const counted&>([](const counted&) -> int { throw 1; }, counted(seen));
    REQUIRE(token.attempt() == token_state::executing);
    seen.throw_at_end = true;
    token.fail();
    CHECK(seen.alive == 0);
    CHECK(caught<int>(token.error()) == 1);
}

TEST_CASE("fail_destroys_the_arguments_also_without_an_attempt") {
    counts seen;
    auto token = token_of<void, counted>([](const counted&) {}, counted(seen));
    token.thrown = std::make_exception_ptr(std::string("given"));
    token.fail();
    CHECK(seen.alive == 0);
    CHECK(caught<std::string>(token.error()) == "given");
}

TEST_CASE("a_callable_that_takes_a_stop_token_can_be_attempted") {
    int calls = 0;
    const auto search = [&calls](const std::stop_token& stop, const std::string& text, int n) {
        // Outside of tokens, one that is never told.
        if (++calls == 1) throw stop.stop_possible();
        return text + std::to_string(n);
    };
    using stored = detail::stoppable<decltype(search), std::string, const std::string&, int>;
    auto token = token_of<std::string, const std::string&, int>(stored(search), "n = ", 3);
    CHECK(token.attempt() == token_state::executing);
    CHECK(caught<bool>(token.thrown) == false);
    REQUIRE(token.attempt() == token_state::completed);
    CHECK(token.value() == "n = 3");
}

TEST_CASE("there_are_no_attempts_with_arguments_that_cannot_be_copied") {
    CHECK(can_attempt<void>);
    CHECK(can_attempt<void, int, std::string, std::vector<std::string>&&>);
    CHECK_FALSE(can_attempt<void, std::unique_ptr<int>>);
    CHECK_FALSE(can_attempt<void, int, std::unique_ptr<int>&&>);
    CHECK(can_attempt<void, const std::unique_ptr<int>&>);
    CHECK(can_attempt<std::unique_ptr<int>, std::shared_ptr<int>>);
    // These say that they can, and would not compile.
    CHECK_FALSE(can_attempt<void, std::vector<std::unique_ptr<int>>>);
    CHECK_FALSE(can_attempt<void, tree>);
    CHECK_FALSE(can_attempt<void, std::map<std::string, tree>>);
    CHECK(can_attempt<void, const tree&>);
    // They can fail and be measured nevertheless.
    auto token = token_of<void, std::unique_ptr<int>>([](std::unique_ptr<int>) {}, nullptr);
    CHECK(token.bytes() == sizeof(void*));
    token.thrown = std::make_exception_ptr(1);
    token.fail();
    CHECK(caught<int>(token.error()) == 1);
}

TEST_CASE("what_holds_parts_is_copied_if_all_its_parts_are") {
    CHECK(repeatable<std::deque<std::string>>);
    CHECK(repeatable<std::map<std::string, std::vector<int>>>);
    CHECK(repeatable<std::vector<bool>>);
    CHECK(repeatable<std::tuple<std::string, std::any, std::function<int()>>>);
    CHECK(repeatable<std::optional<std::vector<int>>>);
    CHECK(repeatable<std::variant<std::monostate, std::string>>);
    CHECK(repeatable<std::array<std::string, 2>>);
    CHECK(repeatable<std::vector<counted>>);
    CHECK(repeatable<std::exception_ptr>);
    CHECK_FALSE(repeatable<std::array<tree, 2>>);
    CHECK_FALSE(repeatable<std::optional<tree>>);
    CHECK_FALSE(repeatable<std::variant<int, tree>>);
    CHECK_FALSE(repeatable<std::pair<int, std::vector<tree>>>);
    CHECK_FALSE(repeatable<std::tuple<tree>>);
    CHECK_FALSE(repeatable<never>);
    CHECK_FALSE(repeatable<std::vector<never>>);
}

TEST_CASE("only_operations_with_traits_have_attempts") {
    runtime rt({.cores = 1});
    const auto twice = [](int n) { return 2 * n; };
    const opened plain(rt.operation("plain", twice));
    const opened with_traits(rt.operation("with traits", {.weight = weight::light}, twice));
    const bool for_plain = plain.type().attempt != nullptr;
    const bool for_traits = with_traits.type().attempt != nullptr;
    CHECK_FALSE(for_plain);
    CHECK(for_traits);
}

}  // namespace tokengate::test
