// SPDX-License-Identifier: Apache-2.0
// When two calls have the same arguments.
#include <tokengate/detail/duplicate.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::coalescible;
using detail::value_of_call;

constexpr std::uint64_t seed = 7;

struct point {
    int x = 0;
    int y = 0;
    bool operator==(const point&) const = default;
    template <class H>
    friend H AbslHashValue(H state, const point& value) {
        return H::combine(std::move(state), value.x, value.y);
    }
};

/// All have the same hash.
struct collider {
    int content = 0;
    bool operator==(const collider&) const = default;
    template <class H>
    friend H AbslHashValue(H state, const collider&) {
        return state;
    }
};

struct only_hashed {
    int content = 0;
    template <class H>
    friend H AbslHashValue(H state, const only_hashed& value) {
        return H::combine(std::move(state), value.content);
    }
};

struct only_equal {
    int content = 0;
    bool operator==(const only_equal&) const = default;
};

struct no_copy : point {
    no_copy() = default;
    no_copy(const no_copy&) = delete;
    no_copy& operator=(const no_copy&) = delete;
};

struct spiteful {
    bool operator==(const spiteful&) const { throw std::string("not today"); }
    template <class H>
    friend H AbslHashValue(H state, const spiteful&) {
        return state;
    }
};

/// Two calls with parameter D have equal arguments, and then equal hashes.
template <class... D>
bool same(const D&... a, const D&... b) {
    const auto first = value_of_call<D...>(seed, a...);
    const auto second = value_of_call<D...>(seed, b...);
    const bool equal = first->equals(*second);
    CHECK(equal == second->equals(*first));
    if (equal) CHECK(first->hash == second->hash);
    return equal;
}

}  // namespace

TEST_CASE("calls_are_equal_if_each_argument_is") {
    using std::string;
    CHECK(same<int>(1, 1));
    CHECK_FALSE(same<int>(1, 2));
    CHECK(same<int, string>(1, "text", 1, "text"));
    CHECK_FALSE(same<int, string>(1, "text", 1, "texT"));
    CHECK_FALSE(same<int, int>(1, 2, 2, 1));
    CHECK(same<point>({1, 2}, {1, 2}));
    CHECK_FALSE(same<point>({1, 2}, {2, 1}));
    CHECK(same<>());
}

TEST_CASE("equal_hashes_do_not_make_calls_equal") {
    const auto one = value_of_call<collider>(seed, collider{1});
    const auto two = value_of_call<collider>(seed, collider{2});
    REQUIRE(one->hash == two->hash);
    CHECK_FALSE(one->equals(*two));
    CHECK(same<collider>({1}, {1}));
}

TEST_CASE("arguments_of_other_types_are_never_equal") {
    const auto integer = value_of_call<int>(seed, 1);
    CHECK_FALSE(integer->equals(*value_of_call<long>(seed, 1L)));
    CHECK_FALSE(integer->equals(*value_of_call<int, int>(seed, 1, 1)));
    CHECK_FALSE(integer->equals(*value_of_call<>(seed)));
    CHECK(integer->equals(*value_of_call<int>(seed, 1)));
}

TEST_CASE("hashes_begin_at_the_seed") {
    CHECK(value_of_call<int>(1, 1)->hash != value_of_call<int>(2, 1)->hash);
    CHECK(value_of_call<int>(1, 1)->hash == detail::hash_arguments<int>(1, 1));
}

TEST_CASE("arguments_are_converted_to_what_the_token_stores_and_owned") {
    std::string text = "a text that is too long to be stored inside";
    const auto from_text = value_of_call<std::string>(seed, text);
    const auto from_literal =
        value_of_call<std::string>(seed, "a text that is too long to be stored inside");
    text.clear();
    CHECK(from_text->equals(*from_literal));
    CHECK(from_text->hash == from_literal->hash);
    CHECK(value_of_call<double>(seed, 3)->equals(*value_of_call<double>(seed, 3.0)));
}

TEST_CASE("containers_are_equal_by_what_they_hold") {
    using names = std::vector<std::string>;
    CHECK(same<names>({"a", "b"}, {"a", "b"}));
    CHECK_FALSE(same<names>({"a", "b"}, {"b", "a"}));
    using index = std::map<std::string, std::set<int>>;
    CHECK(same<index>({{"a", {1, 2}}}, {{"a", {2, 1}}}));
    CHECK_FALSE(same<index>({{"a", {1}}}, {{"a", {1, 2}}}));
    using unordered = std::unordered_map<std::string, std::unordered_set<int>>;
    unordered up;
    unordered down;
    for (int i = 0; i < 100; ++i) up[std::to_string(i)].insert({i, i + 1});
    for (int i = 99; i >= 0; --i) down[std::to_string(i)].insert({i + 1, i});
    CHECK(same<unordered>(up, down));
    down["50"].insert(7);
    CHECK_FALSE(same<unordered>(up, down));
    CHECK(same<std::pair<int, names>>({1, {"a"}}, {1, {"a"}}));
    CHECK(same<std::tuple<int, names>>({1, {"a"}}, {1, {"a"}}));
}

TEST_CASE("optionals_variants_and_times_are_equal_by_value") {
    using maybe = std::optional<int>;
    CHECK(same<maybe>(std::nullopt, std::nullopt));
    CHECK(same<maybe>(1, 1));
    CHECK_FALSE(same<maybe>(1, std::nullopt));
    CHECK_FALSE(same<maybe>(1, 2));
    using either = std::variant<int, std::string, int>;
    CHECK(same<either>(either(std::in_place_index<0>, 1), either(std::in_place_index<0>, 1)));
    CHECK_FALSE(same<either>(either(std::in_place_index<0>, 1), either(std::in_place_index<2>, 1)));
    CHECK_FALSE(same<either>(either("a"), either("b")));
    CHECK(
        same<std::chrono::milliseconds>(std::chrono::seconds(1), std::chrono::milliseconds(1000)));
    const auto now = std::chrono::steady_clock::now();
    CHECK(same<std::chrono::steady_clock::time_point>(now, now));
}

TEST_CASE("references_and_pointers_are_equal_if_they_refer_to_one_object") {
    using reference = std::reference_wrapper<const only_equal>;
    only_equal a{1};
    const only_equal b{1};
    CHECK(same<reference>(a, a));
    CHECK_FALSE(same<reference>(a, b));
    const auto before = value_of_call<reference>(seed, std::cref(a));
    a.content = 2;
    const auto after = value_of_call<reference>(seed, std::cref(a));
    CHECK(before->equals(*after));
    CHECK(before->hash == after->hash);
    CHECK(same<std::optional<reference>>(a, a));
    CHECK_FALSE(same<std::optional<reference>>(a, b));
    CHECK(same<const only_equal*>(&a, &a));
    CHECK_FALSE(same<const only_equal*>(&a, &b));
    const auto shared = std::make_shared<int>(1);
    CHECK(same<std::shared_ptr<int>>(shared, shared));
    CHECK_FALSE(same<std::shared_ptr<int>>(shared, std::make_shared<int>(1)));
}

TEST_CASE("nan_equals_nothing_and_zeros_are_equal_whatever_their_sign") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const auto value = value_of_call<double>(seed, nan);
    CHECK_FALSE(value->equals(*value));
    CHECK_FALSE(same<double>(nan, nan));
    CHECK_FALSE(same<std::optional<double>>(nan, nan));
    CHECK_FALSE(same<std::vector<double>>({1, nan}, {1, nan}));
    // same() sees to it that the hashes are equal, too.
    CHECK(same<double>(0.0, -0.0));
    CHECK(same<float>(0.0F, -0.0F));
    CHECK(same<long double>(0.0L, -0.0L));
    CHECK(same<std::vector<double>>({0.0, 1}, {-0.0, 1}));
    CHECK(same<std::array<double, 1>>({0.0}, {-0.0}));
    CHECK(same<std::pair<double, int>>({0.0, 1}, {-0.0, 1}));
    CHECK(same<std::optional<double>>(0.0, -0.0));
    CHECK(same<std::variant<int, double>>(0.0, -0.0));
    CHECK(same<std::chrono::duration<double>>(std::chrono::duration<double>(0.0),
                                              std::chrono::duration<double>(-0.0)));
    CHECK(same<std::unordered_set<double>>({0.0}, {-0.0}));
}

TEST_CASE("a_comparison_that_throws_comes_through") {
    CHECK_THROWS_AS(static_cast<void>(same<spiteful>({}, {})), std::string);
}

TEST_CASE("only_what_is_hashed_compared_and_copied_can_be_coalesced") {
    CHECK(coalescible<>);
    CHECK(coalescible<int, std::string, point, std::vector<point>, std::string_view>);
    CHECK(coalescible<std::reference_wrapper<no_copy>, std::shared_ptr<no_copy>>);
    CHECK_FALSE(coalescible<only_hashed>);
    CHECK_FALSE(coalescible<only_equal>);
    CHECK_FALSE(coalescible<int, no_copy>);
    CHECK_FALSE(coalescible<std::unique_ptr<int>>);
    // These say that they can, and would not compile.
    CHECK_FALSE(coalescible<std::vector<only_hashed>>);
    CHECK_FALSE(coalescible<std::map<int, std::pair<int, only_hashed>>>);
    CHECK_FALSE(coalescible<std::optional<only_hashed>>);
    CHECK_FALSE(coalescible<std::variant<int, only_hashed>>);
    CHECK_FALSE(coalescible<std::vector<std::unique_ptr<int>>>);
    CHECK_FALSE(coalescible<std::tuple<int, std::vector<std::unique_ptr<int>>>>);
}

TEST_CASE("there_is_no_value_of_calls_that_cannot_be_compared") {
    CHECK(value_of_call<only_equal>(seed, only_equal{}) == nullptr);
    CHECK(value_of_call<std::vector<std::unique_ptr<int>>>(
              seed, std::vector<std::unique_ptr<int>>()) == nullptr);
    // It could be made by a move only, which would take it from the call.
    struct convertible_once {
        operator std::string() && { return "moved"; }
    };
    CHECK(value_of_call<std::string>(seed, convertible_once{}) == nullptr);
    CHECK(value_of_call<std::string>(seed, "text") != nullptr);
}

}  // namespace tokengate::test
