// SPDX-License-Identifier: Apache-2.0
// How large arguments are.
#include <tokengate/detail/frame.hpp>

#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "token/pool.hpp"

namespace tokengate::test {
namespace pictures {

struct image {
    std::size_t pixels = 0;
};
std::size_t argument_size(const image& value) noexcept { return sizeof(image) + 4 * value.pixels; }

/// Says that it is smaller than it is.
struct shy {
    std::array<char, 100> content{};
};
std::size_t argument_size(const shy&) noexcept { return 1; }

struct unknown {
    int content = 0;
};
std::size_t argument_size(const unknown&) { throw 1; }

/// A range of itself.
struct endless {
    using value_type = endless;
    [[nodiscard]] const endless* begin() const { return this; }
    [[nodiscard]] const endless* end() const { return this + 1; }
    [[nodiscard]] std::size_t size() const { return 1; }
    std::string content;
};

}  // namespace pictures

namespace {

using detail::bytes_of_argument;

/// What the frame of a call with these arguments says.
template <class... P>
std::size_t bytes_of_call(P... args) {
    using frame = detail::frame_functions<void (*)(P...), void, P...>;
    detail::token_node* node = detail::allocate_node(frame::type.size_class);
    frame::arguments::build(*node, std::move(args)...);
    const std::size_t found = frame::type.argument_bytes(*node);
    frame::type.drop_arguments(*node);
    detail::free_node(*node, frame::type.size_class);
    return found;
}

}  // namespace

TEST_CASE("plain_arguments_count_with_their_size") {
    CHECK(bytes_of_call() == 0);
    CHECK(bytes_of_call(1) == 4);
    CHECK(bytes_of_call(1, 2.0, 'x') == 13);
    struct pair_of_ints {
        int a;
        int b;
    };
    CHECK(bytes_of_call(pair_of_ints{1, 2}) == 8);
    CHECK(bytes_of_call(std::array<char, 4000>{}) == 4000);
}

TEST_CASE("containers_count_with_what_they_hold_two_deep") {
    using std::string;
    using std::vector;
    const string text(100, 'x');
    CHECK(bytes_of_call(text) == sizeof(string) + 100);
    CHECK(bytes_of_call(vector<double>(10)) == sizeof(vector<double>) + 80);
    CHECK(bytes_of_call(vector<string>{text, text, ""}) ==
          sizeof(vector<string>) + 3 * sizeof(string) + 200);
    CHECK(bytes_of_call(vector<vector<int>>{{1, 2}, {}, {3}}) ==
          sizeof(vector<int>) * 4 + 3 * sizeof(int));
    CHECK(bytes_of_call(std::list<string>{text}) ==
          sizeof(std::list<string>) + sizeof(string) + 100);
    // Three deep: the innermost count as they are.
    CHECK(bytes_of_call(vector<vector<string>>{{text}}) ==
          sizeof(vector<string>) * 2 + sizeof(string));
    CHECK(bytes_of_call(text, vector<char>(5)) == sizeof(string) + 100 + sizeof(vector<char>) + 5);
}

TEST_CASE("pairs_tuples_arrays_and_optionals_count_with_what_they_hold") {
    using std::string;
    const string text(100, 'x');
    using entry = std::pair<const string, int>;
    using map = std::map<string, int>;
    CHECK(bytes_of_argument(std::pair(1, text)) == sizeof(std::pair<int, string>) + 100);
    CHECK(bytes_of_argument(std::tuple(text, 'x', text)) ==
          sizeof(std::tuple<string, char, string>) + 200);
    CHECK(bytes_of_argument(std::tuple<>()) == sizeof(std::tuple<>));
    CHECK(bytes_of_argument(std::array<string, 3>{text, text, ""}) == 3 * sizeof(string) + 200);
    CHECK(bytes_of_argument(std::optional(text)) == sizeof(std::optional<string>) + 100);
    CHECK(bytes_of_argument(std::optional<string>()) == sizeof(std::optional<string>));
    CHECK(bytes_of_argument(map{{text, 1}, {"", 2}}) == sizeof(map) + 2 * sizeof(entry) + 100);
}

TEST_CASE("what_is_only_referred_to_does_not_count") {
    const std::vector<int> numbers(100);
    const std::string text(100, 'x');
    CHECK(bytes_of_argument(&numbers) == sizeof(void*));
    CHECK(bytes_of_argument(std::ref(numbers)) == sizeof(void*));
    CHECK(bytes_of_argument(std::make_shared<std::string>(text)) == 2 * sizeof(void*));
    CHECK(bytes_of_call(std::make_unique<std::string>(text)) == sizeof(void*));
    CHECK(bytes_of_argument(std::string_view(text)) == sizeof(std::string_view));
    CHECK(bytes_of_argument(std::span(numbers)) == sizeof(std::span<const int>));
    CHECK(bytes_of_argument(std::vector<const int*>(3)) ==
          sizeof(std::vector<const int*>) + 3 * sizeof(void*));
}

TEST_CASE("a_type_can_say_how_large_it_is") {
    using pictures::image;
    using pictures::shy;
    CHECK(bytes_of_call(image{100}) == sizeof(image) + 400);
    CHECK(bytes_of_argument(std::vector<image>{{100}, {1}}) ==
          sizeof(std::vector<image>) + 2 * sizeof(image) + 404);
    CHECK(bytes_of_argument(std::pair(1, image{100})) == sizeof(std::pair<int, image>) + 400);
    CHECK(bytes_of_call(shy{}) == 1);
    CHECK(bytes_of_argument(std::pair('x', shy{})) == 2);
    CHECK(bytes_of_argument(std::array<shy, 3>{}) == 3);
    CHECK(bytes_of_argument(std::optional(shy{})) == sizeof(std::optional<shy>) - 99);
}

TEST_CASE("what_cannot_be_looked_at_counts_with_its_own_size") {
    using pictures::unknown;
    CHECK(bytes_of_call(unknown{}) == sizeof(unknown));
    CHECK(bytes_of_call(std::vector<unknown>(3), 1) == sizeof(std::vector<unknown>) + sizeof(int));
}

TEST_CASE("a_range_of_itself_has_an_end") {
    CHECK(bytes_of_argument(pictures::endless{}) == 3 * sizeof(pictures::endless));
}

}  // namespace tokengate::test
