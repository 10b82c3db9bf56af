// SPDX-License-Identifier: Apache-2.0
// The layout of a token's memory.
#include <tokengate/detail/frame.hpp>

#include <array>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <tuple>

#include <doctest/doctest.h>

#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using detail::arguments_place;
using detail::callable_core;
using detail::frame_functions;
using detail::largest_inline_result;
using detail::largest_pooled;
using detail::outcome_place;
using detail::token_node;

template <std::size_t bytes>
using block = std::array<std::byte, bytes>;

struct alignas(64) one_line {
    int value = 0;
};
struct alignas(256) four_lines {
    int value = 0;
};

template <class R, class... P>
constexpr std::size_t size = frame_functions<R (*)(P...), R, P...>::type.size;

}  // namespace

TEST_CASE("what_a_node_says_of_its_marks_is_what_they_are") {
    for (unsigned bits = 0; bits < 16; ++bits) {
        for (const detail::route way : {detail::route::mailbox, detail::route::bulk}) {
            detail::token_node node;
            node.way = way;
            node.chained = (bits & 1U) != 0;
            node.serial = (bits & 2U) != 0;
            node.pinned = (bits & 4U) != 0;
            node.supervised = (bits & 8U) != 0;
            CHECK(node.anchored() == (node.chained || node.serial || node.pinned));
            CHECK(node.plain() == !(node.anchored() || node.supervised));
            CHECK(node.commits_specially() == (node.serial || node.supervised));
        }
    }
}

TEST_CASE("tokens_with_one_small_argument_and_a_small_result_fit_a_cache_line") {
    CHECK(size<void> <= 64);
    CHECK(size<int> <= 64);
    CHECK(size<double> <= 64);
    CHECK(size<int&> <= 64);
    CHECK(size<std::unique_ptr<int>> <= 64);
    CHECK(size<int, int> <= 64);
    CHECK(size<double, double> <= 64);
    CHECK(size<std::unique_ptr<int>, std::unique_ptr<int>> <= 64);
    CHECK(size<void, int, int> <= 64);
    CHECK(size<void, double, double> <= 128);
}

TEST_CASE("everything_fits_the_largest_node") {
    CHECK(size<block<10'000>> <= largest_pooled);
    CHECK(size<void, block<10'000>> <= largest_pooled);
    CHECK(size<block<10'000>, block<10'000>, std::string> <= largest_pooled);
    CHECK(size<block<512>, block<400>> <= largest_pooled);
    CHECK(size<four_lines, four_lines> <= largest_pooled);
    CHECK(size<one_line, one_line, one_line> <= largest_pooled);
}

TEST_CASE("large_and_over_aligned_objects_go_to_the_heap_and_others_stay") {
    CHECK(size<block<largest_inline_result>> >= largest_inline_result);
    CHECK(size<block<largest_inline_result + 1>> <= 64);
    CHECK(size<four_lines> <= 64);
    CHECK_FALSE(arguments_place<void, block<800>>::boxed);
    CHECK(arguments_place<void, block<1000>>::boxed);
    CHECK(arguments_place<void, four_lines>::boxed);
    CHECK_FALSE(arguments_place<void, one_line>::boxed);
    CHECK(arguments_place<block<500>, block<500>>::boxed);
}

TEST_CASE("outcome_and_arguments_are_aligned_and_apart") {
    CHECK(outcome_place<int>::offset >= sizeof(token_node));
    CHECK(outcome_place<one_line>::offset % 64 == 0);
    CHECK(arguments_place<int, one_line>::offset % 64 == 0);
    CHECK(arguments_place<int, one_line>::offset >= outcome_place<int>::end);
    CHECK(arguments_place<block<3>, char, double>::offset % alignof(double) == 0);
    CHECK(outcome_place<char>::end - outcome_place<char>::offset >= sizeof(std::exception_ptr));
}

TEST_CASE("the_place_of_the_outcome_depends_on_the_result_alone") {
    using with = frame_functions<int (*)(std::string), int, std::string>;
    using without = frame_functions<int (*)(), int>;
    CHECK(with::outcome::offset == without::outcome::offset);
}

TEST_CASE("a_frame_runs_its_callable_and_keeps_the_outcome") {
    const auto sum = [](const std::string& text, const four_lines& more) {
        if (more.value < 0) throw std::string("negative");
        return text + std::to_string(more.value);
    };
    using frame = frame_functions<decltype(sum), std::string, std::string, four_lines>;
    callable_core<decltype(sum)> core(&frame::type, sum);
    token_node* node = detail::allocate_node(frame::type.size_class);
    node->operation = &core;

    frame::arguments::build(*node, "n = ", four_lines{41});
    REQUIRE(frame::type.run(*node) == token_state::completed);
    CHECK(frame::outcome::value(*node) == "n = 41");
    frame::type.drop_outcome(*node, token_state::completed);

    frame::arguments::build(*node, std::string("x"), four_lines{-1});
    REQUIRE(frame::type.run(*node) == token_state::failed);
    CHECK_THROWS_AS(std::rethrow_exception(frame::outcome::error(*node)), std::string);
    frame::type.drop_outcome(*node, token_state::failed);

    frame::arguments::build(*node, std::string(1000, 'x'), four_lines{1});
    frame::type.drop_arguments(*node);
    frame::type.drop_outcome(*node, token_state::killed);
    detail::free_node(*node, frame::type.size_class);
}

}  // namespace tokengate::test
