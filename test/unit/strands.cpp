// SPDX-License-Identifier: Apache-2.0
// Tokens of a serial key stand in line.
#include "locality/strands.hpp"

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <doctest/doctest.h>

#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using detail::key_id;
using detail::strand;
using detail::strand_table;
using detail::token_node;

/// Nodes without a callable.
class nodes {
  public:
    explicit nodes(std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) all_.push_back(detail::allocate_node(0));
    }
    ~nodes() {
        for (token_node* each : all_) detail::free_node(*each, 0);
    }
    nodes(const nodes&) = delete;
    nodes& operator=(const nodes&) = delete;

    token_node& operator[](std::size_t i) { return *all_[i]; }

  private:
    std::vector<token_node*> all_;
};

std::size_t pool_bytes() { return detail::usage_of_pool().slab_bytes; }

}  // namespace

TEST_CASE("a_token_in_a_free_strand_may_run_at_once") {
    strand_table table(4);
    nodes tokens(2);
    strand& line = *table.enter({1, 2}, 3).which;
    for (std::size_t i = 0; i < 2; ++i) {
        CHECK(line.submit(tokens[i]));
        CHECK(line.finish() == nullptr);
    }
    table.leave(line);
}

TEST_CASE("tokens_of_a_strand_run_in_the_order_of_submission") {
    constexpr std::size_t count = 10;
    strand_table table(1);
    nodes tokens(count);
    strand& line = *table.enter({1, 2}, 0).which;
    CHECK(line.submit(tokens[0]));
    for (std::size_t i = 1; i < count / 2; ++i) CHECK_FALSE(line.submit(tokens[i]));
    // Those that come while others have been lined up already wait behind them.
    std::size_t submitted = count / 2;
    for (std::size_t i = 1; i < count; ++i) {
        REQUIRE(line.finish() == &tokens[i]);
        if (submitted < count) CHECK_FALSE(line.submit(tokens[submitted++]));
    }
    CHECK(line.finish() == nullptr);
    table.leave(line);
}

TEST_CASE("entering_finds_the_strand_that_lives") {
    strand_table table(1);
    const auto [line, first] = table.enter({1, 2}, 7);
    CHECK(first);
    CHECK(line->domain() == 7);
    const auto again = table.enter({1, 2}, 5);
    CHECK_FALSE(again.first);
    CHECK(again.which == line);
    CHECK(again.which->domain() == 7);
    CHECK(table.count() == 1);
    table.leave(*line);
    CHECK(table.count() == 1);
    CHECK(table.enter({1, 2}, 5).which == line);
    table.leave(*line);
    table.leave(*line);
    CHECK(table.count() == 0);
    CHECK(table.dead() == 0);
}

TEST_CASE("a_strand_whose_last_token_has_left_is_made_anew") {
    strand_table table(1);
    for (unsigned domain = 0; domain < 100; ++domain) {
        const auto [line, first] = table.enter({1, 2}, domain);
        REQUIRE(first);
        REQUIRE(line->domain() == domain);
        table.leave(*line);
    }
    CHECK(table.enter({1, 2}, 65'535).which->domain() == 65'535);
    table.leave(*table.enter({1, 2}, 0).which);
    table.leave(*table.enter({1, 2}, 0).which);
    CHECK(table.count() == 1);
    strand& last = *table.enter({1, 2}, 0).which;
    table.leave(last);
    table.leave(last);
    CHECK(table.count() == 0);
}

TEST_CASE("keys_are_told_apart_by_all_their_bits") {
    for (const std::size_t buckets : {1U, 3U, 64U}) {
        INFO(buckets, " buckets");
        strand_table table(buckets);
        std::vector<key_id> keys{{0, 0}};
        for (unsigned bit = 0; bit < 64; ++bit) {
            keys.push_back({std::uint64_t{1} << bit, 0});
            keys.push_back({0, std::uint64_t{1} << bit});
        }
        std::vector<strand*> lines;
        for (const key_id& key : keys) {
            const auto [line, first] = table.enter(key, 0);
            REQUIRE(first);
            lines.push_back(line);
        }
        CHECK(std::set<strand*>(lines.begin(), lines.end()).size() == keys.size());
        CHECK(table.count() == keys.size());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            REQUIRE(table.enter(keys[i], 0).which == lines[i]);
            table.leave(*lines[i]);
        }
        for (strand* line : lines) table.leave(*line);
        CHECK(table.count() == 0);
        CHECK(table.dead() == 0);
    }
}

TEST_CASE("strands_leave_nothing_behind_in_whatever_order_they_end") {
    constexpr std::size_t count = 60;
    for (const std::size_t step : {1U, 7U, 29U, 59U}) {
        INFO("every ", step, "th");
        strand_table table(2);
        std::vector<strand*> lines;
        for (std::size_t i = 0; i < count; ++i) lines.push_back(table.enter({i, i * i}, 0).which);
        for (std::size_t i = 0; i < count; ++i) {
            table.leave(*lines[i * step % count]);
            REQUIRE(table.count() == count - 1 - i);
            REQUIRE(table.dead() == 0);
        }
    }
}

TEST_CASE("keys_that_come_and_go_take_no_memory") {
    for (const bool neighbour : {false, true}) {
        INFO("with a key that stays: ", neighbour);
        strand_table table(1);
        nodes token(1);
        strand* stays = nullptr;
        const auto come_and_go = [&](std::uint64_t from, std::uint64_t to) {
            for (std::uint64_t i = from; i < to; ++i) {
                strand& line = *table.enter({1, i}, 0).which;
                REQUIRE(line.submit(token[0]));
                REQUIRE(line.finish() == nullptr);
                if (neighbour && i == from) stays = table.enter({2, 2}, 1).which;
                table.leave(line);
            }
        };
        come_and_go(0, 100);
        if (stays != nullptr) table.leave(*stays);
        const std::size_t before = pool_bytes();
        come_and_go(100, 100 + scaled(1'000'000));
        CHECK(pool_bytes() == before);
        CHECK(table.count() == (neighbour ? 1 : 0));
        CHECK(table.dead() == 0);
        if (stays != nullptr) table.leave(*stays);
    }
}

}  // namespace tokengate::test
