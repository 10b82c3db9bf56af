// SPDX-License-Identifier: Apache-2.0
// Which signature a callable has.
#include <tokengate/detail/signature.hpp>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::has_signature;
using detail::signature_of;

double scale(int factor, const std::string& text) { return factor * double(text.size()); }
void quiet() noexcept {}

struct overloaded_calls {
    void operator()(int) const {}
    void operator()(double) const {}
};

struct on_lvalues {
    int operator()(long) & { return 1; }
};

struct quiet_const_lvalues {
    int operator()(long) const& noexcept { return 1; }
};

struct counter {
    int next() { return ++count; }
    int count = 0;
};

template <class F>
constexpr bool has(F&&) {
    return has_signature<F>;
}

template <class Expected, class F>
constexpr bool is(F&&) {
    return std::is_same_v<signature_of<F>, Expected>;
}

}  // namespace

TEST_CASE("callables_with_one_call_operator_have_its_signature") {
    CHECK(is<int(int)>([](int n) { return n; }));
    CHECK(is<void()>([]() noexcept {}));
    CHECK(is<int(int)>([count = 0](int n) mutable { return count += n; }));
    CHECK(is<int(std::string &&)>([](std::string&& text) noexcept { return int(text.size()); }));
    CHECK(is<const int&(const int&)>([](const int& n) -> const int& { return n; }));
    CHECK(is<int(long)>(on_lvalues{}));
    CHECK(is<int(long)>(quiet_const_lvalues{}));
    CHECK(is<int(float)>(std::function<int(float)>{}));
}

TEST_CASE("functions_have_their_own_signature") {
    CHECK(is<double(int, const std::string&)>(scale));
    CHECK(is<double(int, const std::string&)>(&scale));
    CHECK(is<void()>(quiet));
}

TEST_CASE("a_move_only_callable_has_a_signature") {
    CHECK(is<int()>([owned = std::make_unique<int>(3)] { return *owned; }));
}

TEST_CASE("generic_overloaded_and_member_callables_have_none") {
    CHECK_FALSE(has([](auto value) { return value; }));
    CHECK_FALSE(has(overloaded_calls{}));
    CHECK_FALSE(has(&counter::next));
    CHECK_FALSE(has(&counter::count));
    CHECK_FALSE(has(std::bind(scale, 1, "x")));
    CHECK_FALSE(has(7));
}

}  // namespace tokengate::test
