// SPDX-License-Identifier: Apache-2.0
// Hashes of arguments, and the traits that ask for them.
#include <tokengate/locality.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"

namespace tokengate::test {
namespace {

using detail::as_parameter_untouched;
using detail::hash_arguments;
using detail::hashable;
using detail::key_seed;
using detail::traits_for;

struct opaque {
    int content = 0;
};

struct point {
    int x = 0;
    int y = 0;
    template <class H>
    friend H AbslHashValue(H state, const point& value) {
        return H::combine(std::move(state), value.x, value.y);
    }
};

struct base {
    virtual ~base() = default;
};
struct derived : base {};

/// The hash of a call with these parameter types.
template <class... P, class... A>
std::uint64_t key_of(A&&... arguments) {
    return hash_arguments<std::decay_t<P>...>(
        7, as_parameter_untouched<std::decay_t<P>>(std::forward<A>(arguments))...);
}

/// Declares operations as the runtime does.
struct fake_runtime {
    template <class F>
    void operation(std::string_view, traits_for<F> traits, F&&) {
        seen = traits;
    }
    template <class F>
    void operation(std::string_view name, F&& callable) {
        operation(name, traits_for<F>{}, std::forward<F>(callable));
    }
    operation_traits seen;
};

int free_function(opaque value) { return value.content; }

}  // namespace

TEST_CASE("equal_arguments_have_equal_hashes_and_their_order_matters") {
    CHECK(key_of<int, int>(1, 2) == key_of<int, int>(1, 2));
    CHECK(key_of<int, int>(1, 2) != key_of<int, int>(2, 1));
    CHECK(key_of<int>(1) != key_of<int, int>(1, 0));
    CHECK(key_of<point>(point{1, 2}) == key_of<point>(point{1, 2}));
    CHECK(key_of<point>(point{1, 2}) != key_of<point>(point{2, 1}));
    CHECK(key_of<>() == key_of<>());
    using names = std::vector<std::string>;
    CHECK(key_of<names>(names{"a", "b"}) == key_of<names>(names{"a", "b"}));
    CHECK(key_of<names>(names{"a", "b"}) != key_of<names>(names{"b", "a"}));
    CHECK(key_of<names>(names{"ab", "c"}) != key_of<names>(names{"a", "bc"}));
}

TEST_CASE("an_argument_is_hashed_as_its_parameter_sees_it") {
    const std::string text = "relax";
    const std::uint64_t expected = key_of<std::string>(text);
    CHECK(key_of<std::string>("relax") == expected);
    CHECK(key_of<const std::string&>("relax") == expected);
    CHECK(key_of<std::string&&>("relax") == expected);
    CHECK(key_of<std::string>(std::string(text)) == expected);
    CHECK(key_of<std::string_view>(text) == expected);
    CHECK(key_of<double>(3) == key_of<double>(3.0));
    CHECK(key_of<long>(short{3}) == key_of<long>(3L));
    CHECK(key_of<std::optional<int>>(3) == key_of<std::optional<int>>(std::optional(3)));
}

TEST_CASE("an_argument_of_the_parameters_type_is_neither_copied_nor_moved") {
    std::unique_ptr<int> owned = std::make_unique<int>(3);
    static_assert(
        std::is_same_v<decltype(as_parameter_untouched<std::unique_ptr<int>>(std::move(owned))),
                       std::unique_ptr<int>&&>);
    const std::uint64_t before = key_of<std::unique_ptr<int>>(owned);
    CHECK(key_of<std::unique_ptr<int>>(std::move(owned)) == before);
    CHECK(owned != nullptr);
    const std::string text = "x";
    CHECK(&as_parameter_untouched<std::string>(text) == &text);
}

TEST_CASE("a_refused_call_leaves_converted_arguments_as_they_were") {
    struct named {
        operator std::string() const& { return content; }
        operator std::string() && { return std::move(content); }
        std::string content = "a name that is too long to be stored inside";
    };
    named given;
    CHECK(as_parameter_untouched<std::string>(std::move(given)) == named{}.content);
    CHECK(given.content == named{}.content);
    // What can only be moved is moved.
    auto owned = std::make_unique<derived>();
    const base* const address = owned.get();
    CHECK(as_parameter_untouched<std::unique_ptr<base>>(std::move(owned)).get() == address);
}

TEST_CASE("unordered_containers_have_equal_hashes_in_any_order") {
    seeded random;
    using index = std::unordered_map<std::string, std::unordered_set<int>>;
    for (int round = 0; round < 50; ++round) {
        std::vector<std::pair<std::string, std::vector<int>>> content(random.below(12));
        for (auto& [name, numbers] : content) {
            name = std::to_string(random.below(1'000'000));
            for (auto left = random.below(12); left > 0; --left) {
                numbers.push_back(static_cast<int>(random.below(1000)));
            }
        }
        index forwards;
        for (const auto& [name, numbers] : content) {
            forwards[name].insert(numbers.begin(), numbers.end());
        }
        index backwards(1024);
        for (auto name = content.rbegin(); name != content.rend(); ++name) {
            auto& numbers = backwards[name->first];
            numbers.reserve(256);
            numbers.insert(name->second.rbegin(), name->second.rend());
        }
        REQUIRE(forwards == backwards);
        CHECK(key_of<index>(forwards) == key_of<index>(backwards));
        CHECK(key_of<std::vector<index>>(std::vector{forwards}) ==
              key_of<std::vector<index>>(std::vector{backwards}));
        backwards["one more"].insert(1);
        CHECK(key_of<index>(forwards) != key_of<index>(backwards));
    }
}

TEST_CASE("the_order_check_catches_a_hash_that_follows_the_containers_order") {
    const std::unordered_set<int> few{1, 2, 3, 4, 5};
    std::unordered_set<int> roomy(1009);
    for (const int each : {5, 4, 3, 2, 1}) roomy.insert(each);
    REQUIRE(few == roomy);
    const auto in_order = [](const std::unordered_set<int>& all) {
        return key_of<std::vector<int>>(std::vector<int>(all.begin(), all.end()));
    };
    CHECK(in_order(few) != in_order(roomy));
}

TEST_CASE("references_and_pointers_stand_for_the_object") {
    std::string first = "same";
    std::string second = "same";
    using named = std::reference_wrapper<std::string>;
    const std::uint64_t before = key_of<named>(std::ref(first));
    CHECK(key_of<named>(std::ref(second)) != before);
    CHECK(key_of<std::string*>(&second) != key_of<std::string*>(&first));
    first = "changed";
    CHECK(key_of<named>(std::ref(first)) == before);
    opaque thing;
    CHECK(key_of<std::reference_wrapper<opaque>>(thing) ==
          key_of<std::reference_wrapper<opaque>>(std::ref(thing)));
}

TEST_CASE("optionals_variants_and_times_are_hashed_by_content") {
    using maybe = std::optional<point>;
    CHECK(key_of<maybe>(point{1, 2}) == key_of<maybe>(maybe(point{1, 2})));
    CHECK(key_of<maybe>(point{1, 2}) != key_of<maybe>(point{1, 3}));
    CHECK(key_of<maybe>(std::nullopt) != key_of<maybe>(point{}));
    using either = std::variant<int, std::string, std::optional<point>>;
    CHECK(key_of<either>(either("x")) == key_of<either>(std::string("x")));
    CHECK(key_of<either>(either("x")) != key_of<either>(std::string("y")));
    CHECK(key_of<either>(either(point{1, 2})) == key_of<either>(maybe(point{1, 2})));
    CHECK(key_of<either>(either(0)) != key_of<either>(maybe()));
    using std::chrono::milliseconds;
    CHECK(key_of<milliseconds>(std::chrono::seconds(2)) ==
          key_of<milliseconds>(milliseconds(2000)));
    CHECK(key_of<milliseconds>(milliseconds(1)) != key_of<milliseconds>(milliseconds(2)));
}

TEST_CASE("what_can_be_hashed_is_known_to_the_compiler") {
    CHECK(hashable<int>);
    CHECK(hashable<double>);
    CHECK(hashable<point>);
    CHECK(hashable<std::thread::id>);  // by std::hash
    CHECK(hashable<std::map<std::string, std::vector<point>>>);
    CHECK(hashable<std::unordered_map<int, std::set<int>>>);
    CHECK(hashable<std::tuple<int, std::pair<point, std::string>>>);
    CHECK(hashable<std::optional<std::variant<point, std::string>>>);
    CHECK(hashable<std::chrono::milliseconds>);
    CHECK(hashable<std::chrono::steady_clock::time_point>);
    CHECK(hashable<std::reference_wrapper<opaque>>);
    CHECK(hashable<opaque*>);
    CHECK(hashable<std::shared_ptr<opaque>>);
    CHECK(hashable<int (*)(opaque)>);
    CHECK_FALSE(hashable<opaque>);
    CHECK_FALSE(hashable<std::vector<opaque>>);
    CHECK_FALSE(hashable<std::optional<opaque>>);
    CHECK_FALSE(hashable<std::function<void()>>);
}

TEST_CASE("two_seeds_make_a_fingerprint") {
    // Two of so many numbers have equal hashes by chance once in 10^11 runs.
    seeded random;
    std::set<std::uint64_t> first;
    std::set<std::uint64_t> second;
    const std::uint64_t start = random.below(std::uint64_t{1} << 60U);
    constexpr std::uint64_t count = 20'000;
    for (std::uint64_t i = start; i < start + count; ++i) {
        first.insert(hash_arguments(1, i, std::uint64_t{0}));
        second.insert(hash_arguments(2, i, std::uint64_t{0}));
        CHECK(hash_arguments(1, i, std::uint64_t{0}) != hash_arguments(2, i, std::uint64_t{0}));
    }
    CHECK(first.size() == count);
    CHECK(second.size() == count);
}

TEST_CASE("keys_begin_with_the_name_that_makes_them") {
    const sticky by_call = sticky::by_arguments();
    const sticky by_both = sticky::by_anchor_and_arguments("mesh");
    const sticky by_name = sticky::by_anchor("mesh");
    CHECK(key_seed(by_call, "relax") == key_seed(by_call, "relax"));
    CHECK(key_seed(by_call, "relax") != key_seed(by_call, "refine"));
    CHECK(key_seed(by_both, "relax") == key_seed(by_both, "refine"));
    CHECK(key_seed(by_name, "relax") == key_seed(by_name, "refine"));
    CHECK(key_seed(by_name, "relax") != key_seed(by_both, "relax"));
    CHECK(key_seed(by_call, "mesh") != key_seed(by_both, "mesh"));
    CHECK(key_seed(by_call, "relax", 0) != key_seed(by_call, "relax", 1));
    // How tokens of a key run is no part of it.
    CHECK(key_seed(sticky::by_anchor("mesh", sticky::serial), "") == key_seed(by_name, ""));
}

TEST_CASE("stickiness_says_what_makes_its_key") {
    CHECK_FALSE(bool(sticky{}));
    const sticky by_call = sticky::by_arguments(sticky::serial);
    CHECK(bool(by_call));
    CHECK(by_call.uses_arguments());
    CHECK(by_call.how() == sticky::serial);
    CHECK(by_call.anchor().empty());
    const sticky by_name = sticky::by_anchor("mesh");
    CHECK(by_name.source() == sticky::key_source::anchor);
    CHECK_FALSE(by_name.uses_arguments());
    CHECK(by_name.how() == sticky::colocate);
    CHECK(by_name.anchor() == "mesh");
    CHECK(sticky(sticky::by_anchor_and_arguments("mesh")).uses_arguments());
}

TEST_CASE("traits_are_given_in_place_whatever_the_arguments") {
    fake_runtime rt;
    const auto plain = [](int, const std::string&) {};
    const auto closed = [](const opaque&) {};
    const auto generic = [](const auto&) {};
    static_assert(std::is_same_v<traits_for<decltype(plain)>, operation_traits>);
    static_assert(std::is_same_v<traits_for<decltype(generic)>, operation_traits>);
    static_assert(!std::is_same_v<traits_for<decltype(closed)>, operation_traits>);
    static_assert(!std::is_same_v<traits_for<decltype(free_function)>, operation_traits>);
    static_assert(std::is_aggregate_v<traits_for<decltype(closed)>>);

    const auto declare = [&](const auto& callable) {
        rt.operation("none", callable);
        CHECK_FALSE(bool(rt.seen.sticky));
        rt.operation("empty", {}, callable);
        CHECK(rt.seen.weight == weight::medium);
        CHECK(rt.seen.digest == digest_policy::full);
        CHECK(rt.seen.placement == placement::automatic);
        CHECK(rt.seen.external_calls.empty());
        rt.operation("weight", {.weight = weight::light}, callable);
        CHECK(rt.seen.weight == weight::light);
        rt.operation("anchor", {.sticky = sticky::by_anchor("mesh", sticky::serial)}, callable);
        CHECK(rt.seen.sticky.anchor() == "mesh");
        CHECK(rt.seen.sticky.how() == sticky::serial);
        rt.operation("lead",
                     {.weight = weight::heavy,
                      .external_calls = {"refine", "coarsen"},
                      .digest = digest_policy::fast,
                      .placement = placement::staggered},
                     callable);
        CHECK(rt.seen.external_calls == std::vector<std::string>{"refine", "coarsen"});
        CHECK(rt.seen.digest == digest_policy::fast);
        CHECK(rt.seen.placement == placement::staggered);
    };
    declare(plain);
    declare(closed);
    declare(generic);
    declare(free_function);
    for (const sticky& how :
         {sticky(sticky::by_arguments()), sticky(sticky::by_anchor_and_arguments("mesh"))}) {
        rt.operation("keyed", {.sticky = how}, plain);
        CHECK(rt.seen.sticky.source() == how.source());
        rt.operation("keyed", {.sticky = how}, generic);
        CHECK(rt.seen.sticky.source() == how.source());
    }
    rt.operation("keyed", {.sticky = sticky::by_arguments()}, plain);
    CHECK(rt.seen.sticky.source() == sticky::key_source::arguments);
}

TEST_CASE("traits_in_a_variable_are_checked_when_they_are_used") {
    fake_runtime rt;
    const auto plain = [](int) {};
    const auto closed = [](const opaque&) {};
    const operation_traits lead{.weight = weight::heavy, .external_calls = {"refine"}};
    rt.operation("lead", lead, closed);
    CHECK(rt.seen.weight == weight::heavy);
    CHECK(rt.seen.external_calls == lead.external_calls);
    const operation_traits anchored{.sticky = sticky::by_anchor("mesh")};
    rt.operation("anchored", anchored, closed);
    CHECK(rt.seen.sticky.anchor() == "mesh");
    const operation_traits keyed{.sticky = sticky::by_arguments()};
    rt.operation("keyed", keyed, plain);
    CHECK(rt.seen.sticky.uses_arguments());
    CHECK_THROWS_AS(rt.operation("keyed", keyed, closed), operation_error);
    const sticky how = sticky::by_anchor_and_arguments("mesh");
    CHECK_THROWS_AS(rt.operation("keyed", {.sticky = how}, closed), operation_error);
}

TEST_CASE("policies_and_placements_have_names") {
    CHECK(to_string(digest_policy::full) == "full");
    CHECK(to_string(digest_policy::brief) == "brief");
    CHECK(to_string(digest_policy::fast) == "fast");
    CHECK(to_string(digest_policy::minimal) == "minimal");
    CHECK(to_string(placement::automatic) == "automatic");
    CHECK(to_string(placement::staggered) == "staggered");
}

}  // namespace tokengate::test
