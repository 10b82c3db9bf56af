// SPDX-License-Identifier: Apache-2.0
// Several submitters in one lane: whose tokens are taken when.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "domain/mailbox.hpp"

namespace tokengate::test {
namespace {

using detail::bit_of;
using detail::lane;
using detail::mailbox;
using detail::source_rota;
using detail::token_node;

/// Takes up to `most` tokens, as one taker does; their ids.
std::vector<std::uint64_t> take_ids(mailbox& box, lane which, std::size_t most) {
    source_rota rota;
    bool marked_again = false;
    std::vector<std::uint64_t> ids;
    while (ids.size() < most) {
        const token_node* node = box.pop(which, rota, marked_again);
        if (node == nullptr) break;
        ids.push_back(node->id);
    }
    return ids;
}

/// Several submitters with tokens to push, in a mailbox's lane; ids say whose they are.
class submitters {
  public:
    submitters(mailbox& box, lane which, std::size_t count, std::size_t tokens)
        : box_(box), which_(which), nodes_(count) {
        for (std::size_t i = 0; i < count; ++i) {
            sources_.push_back(&box.open(which));
            nodes_[i] = std::vector<token_node>(tokens);
            for (token_node& each : nodes_[i]) each.id = i;
        }
    }
    /// Pushes all tokens of one of them.
    void push(std::size_t submitter) {
        for (token_node& each : nodes_[submitter]) box_.push(which_, *sources_[submitter], each);
    }

  private:
    mailbox& box_;
    lane which_;
    std::vector<mailbox::source*> sources_;
    std::vector<std::vector<token_node>> nodes_;
};

/// How many of these are equal and follow each other, at most.
template <class T>
std::size_t longest_run(const std::vector<T>& all) {
    std::size_t longest = 0;
    for (std::size_t i = 0, run = 0; i < all.size(); ++i) {
        run = i > 0 && all[i] == all[i - 1] ? run + 1 : 1;
        longest = std::max(longest, run);
    }
    return longest;
}

/// Whom a rota serves when all of these hold something all the time.
template <class Rota>
std::vector<unsigned> service(std::uint64_t occupied, std::size_t tokens) {
    Rota rota;
    std::vector<unsigned> order;
    for (std::size_t i = 0; i < tokens; ++i) {
        order.push_back(rota.next(occupied));
        rota.served(order.back());
    }
    return order;
}

/// Serves the first one as long as it has something.
struct first_come_rota {
    static unsigned next(std::uint64_t occupied) {
        return static_cast<unsigned>(std::countr_zero(occupied));
    }
    void served(unsigned) {}
};

// Who waits for its turn waits for no more tokens than that of each other source.
constexpr std::size_t most_in_a_row = 16;

}  // namespace

TEST_CASE("no_source_is_served_for_long_while_others_wait") {
    for (const std::uint64_t occupied :
         {std::uint64_t{0b11}, std::uint64_t{0b1000'0010}, std::uint64_t{1} << 63 | 1U,
          std::uint64_t{7} << 61, ~std::uint64_t{0}}) {
        INFO("sources ", occupied);
        const auto order = service<source_rota>(occupied, 5000);
        CHECK(longest_run(order) <= most_in_a_row);
        const auto sources = static_cast<std::size_t>(std::popcount(occupied));
        for (unsigned bit = 0; bit < 64; ++bit) {
            if ((occupied >> bit & 1U) == 0) continue;
            const auto first = std::find(order.begin(), order.end(), bit) - order.begin();
            CHECK(static_cast<std::size_t>(first) <= (sources - 1) * most_in_a_row);
        }
    }
    CHECK(longest_run(service<first_come_rota>(0b11, 5000)) > most_in_a_row);
}

TEST_CASE("submitters_share_a_lane") {
    constexpr std::size_t tokens = 200;
    for (const std::size_t count : {2U, 3U}) {
        const auto box = std::make_unique<mailbox>(1000, 2);
        submitters crowd(*box, lane::medium, count, tokens);
        for (std::size_t i = 0; i < count; ++i) crowd.push(i);
        const auto ids = take_ids(*box, lane::medium, tokens);
        REQUIRE(ids.size() == tokens);
        CHECK(longest_run(ids) <= most_in_a_row);
    }
}

TEST_CASE("the_queue_and_the_outboxes_share_a_lane") {
    constexpr std::size_t tokens = 200;
    const auto box = std::make_unique<mailbox>(1000, 2);
    submitters one(*box, lane::medium, 1, tokens);
    one.push(0);
    std::vector<token_node> queued(tokens);
    for (token_node& each : queued) {
        each.id = 1;
        box->push(lane::medium, each);
    }
    const auto ids = take_ids(*box, lane::medium, 2 * tokens + 1);
    CHECK(ids.size() == 2 * tokens);
    CHECK(longest_run(std::vector(ids.begin(), ids.begin() + tokens)) <= most_in_a_row);
    CHECK(box->occupied() == 0);
}

TEST_CASE("submitters_that_share_a_bit_take_turns_too") {
    constexpr std::size_t count = 130;  // numbers 0, 63 and 126 share one
    constexpr std::size_t tokens = 200;
    const auto box = std::make_unique<mailbox>(count * tokens, 2);
    submitters crowd(*box, lane::medium, count, tokens);
    for (const std::size_t each : {0U, 63U, 126U}) crowd.push(each);
    const auto ids = take_ids(*box, lane::medium, tokens);
    REQUIRE(ids.size() == tokens);
    CHECK(longest_run(ids) <= 2 * most_in_a_row);
    for (const std::uint64_t each : {0U, 63U, 126U}) {
        CHECK(std::count(ids.begin(), ids.end(), each) >= 2 * most_in_a_row);
    }
}

TEST_CASE("submitters_that_share_a_bit_take_turns_beside_others") {
    constexpr std::size_t count = 100;  // numbers 0 and 63 share one, number 1 has its own
    constexpr std::size_t tokens = 200;
    const auto box = std::make_unique<mailbox>(count * tokens, 2);
    submitters crowd(*box, lane::medium, count, tokens);
    for (const std::size_t each : {0U, 1U, 63U}) crowd.push(each);
    const auto ids = take_ids(*box, lane::medium, tokens);
    REQUIRE(ids.size() == tokens);
    for (const std::uint64_t each : {0U, 1U, 63U}) {
        CHECK(std::count(ids.begin(), ids.end(), each) >= 2 * most_in_a_row);
    }
}

TEST_CASE("more_outboxes_than_bits_lose_no_token") {
    constexpr std::size_t count = 200;
    constexpr std::size_t tokens = 5;
    const auto box = std::make_unique<mailbox>(count * tokens, 2);
    submitters crowd(*box, lane::heavy, count, tokens);
    for (std::size_t i = 0; i < count; ++i) crowd.push(i);
    auto ids = take_ids(*box, lane::heavy, count * tokens + 1);
    REQUIRE(ids.size() == count * tokens);
    std::sort(ids.begin(), ids.end());
    bool complete = true;
    for (std::size_t i = 0; i < ids.size(); ++i) complete = complete && ids[i] == i / tokens;
    CHECK(complete);
    CHECK(box->occupied() == 0);
}

TEST_CASE("tokens_of_each_submitter_are_taken_once_and_in_order") {
    constexpr std::size_t submitters = 3;  // the last one uses the queue
    constexpr std::size_t each_pushes = 20'000;
    const auto box = std::make_unique<mailbox>(submitters * each_pushes, 2);
    std::vector<std::vector<token_node>> nodes(submitters);
    for (auto& mine : nodes) mine = std::vector<token_node>(each_pushes);
    std::vector<std::atomic<int>> taken(submitters * each_pushes);
    std::atomic<std::size_t> popped{0};
    std::atomic<bool> in_order{true};
    std::vector<std::thread> crowd;
    for (int c = 0; c < 2; ++c) {
        crowd.emplace_back([&] {
            source_rota rota;
            bool marked_again = false;
            std::array<std::int64_t, submitters> last{-1, -1, -1};
            while (popped.load() < taken.size()) {
                const token_node* node = (box->occupied() & bit_of(lane::light)) != 0
                                             ? box->pop(lane::light, rota, marked_again)
                                             : nullptr;
                if (node == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                const auto number = static_cast<std::int64_t>(node->id);
                if (number <= last[node->position]) in_order = false;
                last[node->position] = number;
                taken[node->position * each_pushes + node->id].fetch_add(1);
                popped.fetch_add(1);
            }
        });
    }
    for (std::size_t s = 0; s < submitters; ++s) {
        crowd.emplace_back([&, s] {
            mailbox::source* const own = s + 1 < submitters ? &box->open(lane::light) : nullptr;
            for (std::size_t i = 0; i < each_pushes; ++i) {
                nodes[s][i].id = i;
                nodes[s][i].position = s;
                if (own != nullptr) {
                    box->push(lane::light, *own, nodes[s][i]);
                } else {
                    box->push(lane::light, nodes[s][i]);
                }
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    CHECK(in_order);
    bool once = true;
    for (const auto& each : taken) once = once && each.load() == 1;
    CHECK(once);
    CHECK_FALSE(box->holds(lane::light));
}

}  // namespace tokengate::test
