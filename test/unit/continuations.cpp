// SPDX-License-Identifier: Apache-2.0
// Who is told that a token has ended.
#include <cstddef>
#include <vector>

#include <doctest/doctest.h>

#include "dataflow/continuations.hpp"
#include "random.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using detail::attach;
using detail::continuation;
using detail::continuations;
using detail::detach;
using detail::token_node;

/// A token that executes, and can be ended.
class lone_node {
  public:
    lone_node() : node_(detail::allocate_node(0)) { node_->state.start(token_state::executing, 2); }
    ~lone_node() { detail::free_node(*node_, 0); }
    lone_node(const lone_node&) = delete;
    lone_node& operator=(const lone_node&) = delete;

    /// True if somebody is to be told.
    [[nodiscard]] bool end() {
        return node_->state.finish(token_state::completed, false).followed();
    }

    [[nodiscard]] token_node& operator*() const noexcept { return *node_; }

  private:
    token_node* node_;
};

struct counting : continuation {
    explicit counting(token_node& of) {
        awaited = &of;
        tell = [](continuation& self) noexcept { ++detail::owner_of<counting>(self).told; };
    }
    int told = 0;
};

}  // namespace

TEST_CASE("each_continuation_of_a_token_is_told_once_when_it_has_ended") {
    lone_node token;
    std::vector<counting> all(100, counting(*token));
    for (counting& each : all) REQUIRE(attach(each));
    CHECK(token.end());
    continuations::tell(*token);
    continuations::tell(*token);
    for (const counting& each : all) CHECK(each.told == 1);
    CHECK_FALSE(detach(all.front()));
    counting late(*token);
    CHECK_FALSE(attach(late));
    CHECK(late.told == 0);
}

TEST_CASE("a_continuation_that_was_detached_is_not_told") {
    lone_node token;
    std::vector<counting> all(3, counting(*token));
    for (counting& each : all) REQUIRE(attach(each));
    CHECK(detach(all[0]));
    CHECK_FALSE(detach(all[0]));
    CHECK(detach(all[2]));
    CHECK(token.end());
    continuations::tell(*token);
    CHECK(all[0].told == 0);
    CHECK(all[1].told == 1);
    CHECK(all[2].told == 0);
}

// Whoever has ended a token tells its continuations afterwards. All of them may have been detached
// by then, and its node be another token's.
TEST_CASE("the_end_of_a_token_tells_nobody_of_the_next_one_at_its_address") {
    lone_node token;
    counting next(*token);
    REQUIRE(attach(next));
    continuations::tell(*token);
    CHECK(next.told == 0);
    CHECK(token.end());
    continuations::tell(*token);
    CHECK(next.told == 1);
}

TEST_CASE("continuations_of_many_tokens_are_found_whatever_comes_and_goes") {
    seeded random;
    constexpr std::size_t count = 5000;
    std::vector<lone_node> tokens(count);
    std::vector<counting> all;
    all.reserve(2 * count);
    for (std::size_t i = 0; i < 2 * count; ++i) all.emplace_back(*tokens[i % count]);
    std::vector<bool> gone(2 * count);
    for (counting& each : all) REQUIRE(attach(each));
    for (std::size_t i = 0; i < 2 * count; ++i) {
        if (!random.one_in(3)) continue;
        REQUIRE(detach(all[i]));
        gone[i] = true;
    }
    for (lone_node& each : tokens) {
        static_cast<void>(each.end());
        continuations::tell(*each);
    }
    for (std::size_t i = 0; i < 2 * count; ++i) CHECK(all[i].told == (gone[i] ? 0 : 1));
}

}  // namespace tokengate::test
