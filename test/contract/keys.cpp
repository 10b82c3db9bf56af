// SPDX-License-Identifier: Apache-2.0
// What makes the keys of two calls equal.
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// A type of the user's, with a hash.
struct tile {
    int row = 0;
    int column = 0;

    template <class H>
    friend H AbslHashValue(H state, const tile& value) {
        return H::combine(std::move(state), value.row, value.column);
    }
};

/// A type of the user's, without one.
struct opaque {
    std::function<int()> content;
};

/// A runtime whose next medium token never goes to the domain of the last one, unless a key draws
/// it there. Operations are declared with body().
class key_bench {
  public:
    key_bench() = default;
    ~key_bench() { settle_locality(rt); }
    key_bench(const key_bench&) = delete;
    key_bench& operator=(const key_bench&) = delete;

    /// What every token does, whatever its arguments are: it stays in flight.
    [[nodiscard]] auto body() {
        return [this]([[maybe_unused]] const auto&... arguments) { gate_->pass(); };
    }

    /// In how many of 8 rounds the second call is drawn to the domain of the first one, which is in
    /// flight: 8 if their keys are equal, else 0, if the keys do not meet in one place by chance.
    template <class First, class Second>
    [[nodiscard]] int drawn(First&& first, Second&& second) {
        int count = 0;
        for (int round = 0; round < 8; ++round) {
            gate_.emplace();
            const auto a = first();
            const auto b = second();
            count += a.domain() == b.domain() ? 1 : 0;
            gate_->release();
            REQUIRE(ends(a));
            REQUIRE(ends(b));
        }
        settle(rt);
        return count;
    }

    runtime rt{config{.cores = 8, .spin_time = 0us, .steal = stealing::strict}};

  private:
    std::optional<hold> gate_;
};

}  // namespace

TEST_CASE("the_operation_and_all_arguments_make_the_key") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        key_bench bench;
        const auto body = bench.body();
        const auto op = bench.rt.operation("op", {.sticky = sticky::by_arguments(how)},
                                           [=](int a, const std::string& b) { body(a, b); });
        const auto other = bench.rt.operation("other", {.sticky = sticky::by_arguments(how)},
                                              [=](int a, const std::string& b) { body(a, b); });
        CHECK(bench.drawn([&] { return op(1, "x"); }, [&] { return op(1, "x"); }) == 8);
        int by_chance = 0;
        for (int n = 0; n < 3; ++n) {
            by_chance += bench.drawn([&] { return op(n, "x"); }, [&] { return op(n, "y"); });
            by_chance += bench.drawn([&] { return op(n, "x"); }, [&] { return op(n + 1, "x"); });
            by_chance += bench.drawn([&] { return op(n, "x"); }, [&] { return other(n, "x"); });
        }
        CHECK(by_chance <= 8);
    }
}

TEST_CASE("operations_that_share_an_anchor_share_its_keys") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        key_bench bench;
        const auto body = bench.body();
        const auto keyed = sticky::by_anchor_and_arguments("anchor", how);
        const auto one = bench.rt.operation("one", {.sticky = keyed}, [=](int n) { body(n); });
        const auto two = bench.rt.operation("two", {.sticky = keyed}, [=](int n) { body(n); });
        const auto own = bench.rt.operation("anchor", {.sticky = sticky::by_arguments(how)},
                                            [=](int n) { body(n); });
        CHECK(bench.drawn([&] { return one(1); }, [&] { return two(1); }) == 8);
        int by_chance = 0;
        for (int n = 0; n < 3; ++n) {
            by_chance += bench.drawn([&] { return one(n); }, [&] { return two(n + 1); });
            // An operation's name is no anchor, even if it reads the same.
            by_chance += bench.drawn([&] { return one(n); }, [&] { return own(n); });
        }
        CHECK(by_chance <= 8);
    }
}

TEST_CASE("an_anchor_alone_is_one_key_for_all_calls") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        key_bench bench;
        const auto body = bench.body();
        const sticky keyed = sticky::by_anchor("anchor", how);
        const auto one = bench.rt.operation("one", {.sticky = keyed}, [=](int n) { body(n); });
        const auto two = bench.rt.operation("two", {.sticky = keyed}, [=] { body(); });
        const auto with_arguments = bench.rt.operation(
            "three", {.sticky = sticky::by_anchor_and_arguments("anchor", how)}, [=] { body(); });
        CHECK(bench.drawn([&] { return one(1); }, [&] { return two(); }) == 8);
        CHECK(bench.drawn([&] { return one(1); }, [&] { return one(2); }) == 8);
        CHECK(bench.drawn([&] { return two(); }, [&] { return with_arguments(); }) <= 8);
    }
}

TEST_CASE("the_order_in_which_a_container_was_filled_is_not_part_of_the_key") {
    key_bench bench;
    const auto body = bench.body();
    using table = std::unordered_map<std::string, int>;
    const auto by_table = bench.rt.operation("table", {.sticky = sticky::by_arguments()},
                                             [=](const table& t) { body(t); });
    const auto by_map = bench.rt.operation("map", {.sticky = sticky::by_arguments()},
                                           [=](const std::map<std::string, int>& m) { body(m); });
    const auto by_set = bench.rt.operation("set", {.sticky = sticky::by_arguments()},
                                           [=](const std::unordered_set<int>& s) { body(s); });
    table forwards;
    table backwards(1000);
    for (int i = 0; i < 100; ++i) forwards["name " + std::to_string(i)] = i;
    for (int i = 100; i-- > 0;) backwards["name " + std::to_string(i)] = i;
    CHECK(bench.drawn([&] { return by_table(forwards); }, [&] { return by_table(backwards); }) ==
          8);
    const std::map<std::string, int> one{{"a", 1}, {"b", 2}};
    const std::map<std::string, int> two{{"b", 2}, {"a", 1}};
    CHECK(bench.drawn([&] { return by_map(one); }, [&] { return by_map(two); }) == 8);
    const std::unordered_set<int> up{1, 2, 3};
    const std::unordered_set<int> down{3, 2, 1};
    CHECK(bench.drawn([&] { return by_set(up); }, [&] { return by_set(down); }) == 8);
}

TEST_CASE("arguments_count_as_what_the_parameter_makes_of_them") {
    key_bench bench;
    const auto body = bench.body();
    const auto by_string = bench.rt.operation("string", {.sticky = sticky::by_arguments()},
                                              [=](const std::string& s) { body(s); });
    const auto by_long =
        bench.rt.operation("long", {.sticky = sticky::by_arguments()}, [=](long n) { body(n); });
    const std::string text = "a text that is too long for the string itself to hold";
    const char* const literal = "a text that is too long for the string itself to hold";
    CHECK(bench.drawn([&] { return by_string(text); }, [&] { return by_string(literal); }) == 8);
    CHECK(bench.drawn([&] { return by_string(literal); },
                      [&] { return by_string(std::string(text)); }) == 8);
    CHECK(bench.drawn([&] { return by_long(short{3}); }, [&] { return by_long(3U); }) == 8);
    CHECK(bench.drawn([&] { return by_long(3.7); }, [&] { return by_long(3); }) == 8);
    // And arrive whole.
    const auto length = bench.rt.operation("length", {.sticky = sticky::by_arguments()},
                                           [](std::string s) { return s.size(); });
    std::string moved = text;
    CHECK(result_of(length(std::move(moved))) == text.size());
}

TEST_CASE("a_type_of_the_users_with_a_hash_can_be_part_of_a_key") {
    key_bench bench;
    const auto body = bench.body();
    const auto op = bench.rt.operation("op", {.sticky = sticky::by_arguments()},
                                       [=](tile t, std::optional<tile> u) { body(t, u); });
    CHECK(bench.drawn(
              [&] {
                  return op(tile{1, 2}, std::nullopt);
              },
              [&] {
                  return op(tile{1, 2}, std::nullopt);
              }) == 8);
    int by_chance = 0;
    for (int n = 0; n < 4; ++n) {
        by_chance += bench.drawn(
            [&] {
                return op(tile{n, 2}, std::nullopt);
            },
            [&] {
                return op(tile{n, 3}, std::nullopt);
            });
    }
    CHECK(by_chance <= 8);
}

TEST_CASE("pointers_and_references_count_as_the_object") {
    key_bench bench;
    const auto body = bench.body();
    const auto op = bench.rt.operation(
        "op", {.sticky = sticky::by_arguments()},
        [=](std::reference_wrapper<int> r, std::shared_ptr<int> p) { body(r, p); });
    int number = 1;
    const auto shared = std::make_shared<int>(1);
    CHECK(bench.drawn(
              [&] {
                  number = 1;
                  return op(std::ref(number), shared);
              },
              [&] {
                  number = 2;
                  return op(std::ref(number), shared);
              }) == 8);
}

TEST_CASE("an_argument_without_a_hash_can_be_anchored_by_a_name") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        key_bench bench;
        const auto body = bench.body();
        const auto op = bench.rt.operation("op", {.sticky = sticky::by_anchor("anchor", how)},
                                           [=](opaque o, std::unique_ptr<int> p) { body(o, p); });
        CHECK(bench.drawn([&] { return op(opaque{}, std::make_unique<int>(1)); },
                          [&] { return op(opaque{}, std::make_unique<int>(2)); }) == 8);
    }
}

TEST_CASE("a_generic_operation_makes_its_keys_of_each_calls_arguments") {
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        key_bench bench;
        const auto op =
            bench.rt.operation("op", {.sticky = sticky::by_arguments(how)},
                               [body = bench.body()](const auto&... all) { body(all...); });
        CHECK(bench.drawn([&] { return op(1, std::string("x")); },
                          [&] { return op(1, std::string("x")); }) == 8);
        CHECK(bench.drawn([&] { return op(tile{1, 2}); }, [&] { return op(tile{1, 2}); }) == 8);
        CHECK_THROWS_AS(op(opaque{}), operation_error);
    }
}

TEST_CASE("a_hold_has_the_key_of_a_call_with_the_same_arguments") {
    key_bench bench;
    const auto body = bench.body();
    const auto op = bench.rt.operation("op", {.sticky = sticky::by_arguments()},
                                       [=](const std::string& s, long n) { body(s, n); });
    const auto generic = bench.rt.operation("generic", {.sticky = sticky::by_arguments()},
                                            [=](const auto&... all) { body(all...); });
    const std::string text = "a text that is too long for the string itself to hold";
    for (int round = 0; round < 8; ++round) {
        const key_hold held = op.hold("a text that is too long for the string itself to hold", 3);
        CHECK(bench.drawn([&] { return op(text, 3L); }, [&] { return op(text.c_str(), 3); }) == 8);
        CHECK(op.hold(text, short{3}).domain() == held.domain());
        const key_hold other = generic.hold(1, tile{1, 2});
        CHECK(generic.hold(1, tile{1, 2}).domain() == other.domain());
    }
}

TEST_CASE("a_key_can_be_made_of_every_value_of_a_type_with_a_hash") {
    using mixed = std::variant<std::monostate, int, double, std::string, const void*>;
    using tree = std::map<mixed, std::vector<std::optional<mixed>>>;
    const double infinite = std::numeric_limits<double>::infinity();
    const double no_number = std::numeric_limits<double>::quiet_NaN();
    const std::vector<mixed> values{
        {},     0, -1, 0.0, -0.0, infinite, -infinite, no_number, "a", "", std::string(10'000, 'x'),
        nullptr};
    for (const sticky::mode mode : {sticky::colocate, sticky::serial}) {
        runtime rt({.cores = 4, .sticky_slots = 64});
        const auto op = rt.operation("op", {.sticky = sticky::by_arguments(mode)},
                                     [](const mixed&, const tree&) {});
        std::uint64_t called = 0;
        for (const mixed& each : values) {
            tree made;
            for (const mixed& inner : values) {
                // Not a number is not in any order, so that it is no key of a map.
                const auto* number = std::get_if<double>(&inner);
                if (number != nullptr && std::isnan(*number)) continue;
                made[inner] = {each, std::nullopt};
            }
            for (int i = 0; i < 3; ++i) {
                op(each, made);
                op(each, tree());
                called += 2;
            }
        }
        settle_locality(rt);
        CHECK(rt.stats().total().completed == called);
    }
}

TEST_CASE("anchors_without_a_name_and_names_of_nothing_are_refused") {
    runtime rt({.cores = 1});
    const auto declare = [&](const sticky& how) {
        static_cast<void>(rt.operation("op", {.sticky = how}, [](int) {}));
    };
    CHECK_THROWS_AS(declare(sticky::by_anchor("")), operation_error);
    CHECK_THROWS_AS(declare(sticky::by_anchor_and_arguments("")), operation_error);
    CHECK_THROWS_AS(static_cast<void>(rt.operation("op", {.external_calls = {""}}, [](int) {})),
                    operation_error);
    // Nothing was declared.
    declare(sticky::by_anchor("name"));
}

TEST_CASE("sticky_and_external_calls_together_is_an_error_at_registration") {
    runtime rt({.cores = 2});
    // Whatever makes the key, and in both modes.
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        for (const sticky& keyed :
             std::array<sticky, 3>{sticky::by_arguments(how), sticky::by_anchor("anchor", how),
                                   sticky::by_anchor_and_arguments("anchor", how)}) {
            std::string said = "nothing";
            try {
                static_cast<void>(
                    rt.operation("op", {.sticky = keyed, .external_calls = {"x"}}, [](int) {}));
            } catch (const operation_error& why) {
                said = why.what();
            }
            CHECK(said ==
                  "operation 'op' is sticky and has external calls: a chain runs where its lead "
                  "was placed, so that a key cannot place it as well. Drop one of the two, or give "
                  "the sticky trait to an operation that the lead calls");
        }
    }
    // Nothing was declared, and what the words advise works.
    CHECK(rt.stats().operations.empty());
    const auto op = rt.operation("op", {.sticky = sticky::by_arguments()}, [](int n) { return n; });
    const auto lead =
        rt.operation("lead", {.external_calls = {"op"}}, [&](int n) { return op(n).get(); });
    CHECK(result_of(lead(1)) == 1);
    settle_locality(rt);
    CHECK(rt.stats().total().completed == 2);
}

}  // namespace tokengate::test
