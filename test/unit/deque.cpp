// SPDX-License-Identifier: Apache-2.0
// A worker's deque, as seen by one thread.
#include "domain/deque.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/detail/node.hpp>

#include "random.hpp"

namespace tokengate::test {
namespace {

using detail::steal_outcome;
using detail::token_node;
using detail::work_deque;

/// The stolen node; null if nothing was there. One thread never loses a race.
template <class Deque>
token_node* steal_from(Deque& deque) {
    const auto got = deque.steal();
    REQUIRE(got.outcome != steal_outcome::lost);
    REQUIRE((got.outcome == steal_outcome::taken) == (got.node != nullptr));
    return got.node;
}

/// Does random things to a deque and to a std::deque beside it. Says what differed, or nothing.
template <class Deque>
std::string first_difference(std::size_t capacity, seeded& random, int steps) {
    Deque deque(capacity);
    std::vector<token_node> nodes(2 * capacity);
    std::deque<std::pair<token_node*, std::int64_t>> model;  // with their indices
    std::int64_t end = 0;
    std::int64_t mark = 0;
    const auto newest = [&] { return model.empty() ? nullptr : model.back().first; };
    for (int i = 0; i < steps; ++i) {
        token_node* const some = &nodes[random.below(nodes.size())];
        token_node* expected = newest();
        token_node* got = nullptr;
        const char* what = "";
        bool from_back = true;
        switch (random.below(8)) {
            case 0:
            case 1:
            case 2: {
                const bool room = model.size() < capacity;
                if (deque.has_room() != room) return "has_room";
                if (deque.push(*some) != room) return "push";
                if (room) model.emplace_back(some, end++);
                continue;
            }
            case 3:
                what = "pop";
                got = deque.pop();
                break;
            case 4: {
                what = "pop_if";
                token_node* const wanted =
                    random.one_in(2) && expected != nullptr ? expected : some;
                if (expected != wanted) expected = nullptr;
                got = deque.pop_if(*wanted) ? wanted : nullptr;
                break;
            }
            case 5:
                what = "pop_above";
                if (!model.empty() && model.back().second < mark) expected = nullptr;
                got = deque.pop_above(mark);
                break;
            case 6:
                what = "steal";
                from_back = false;
                expected = model.empty() ? nullptr : model.front().first;
                got = steal_from(deque);
                break;
            default:
                mark = deque.mark();
                if (mark != end) return "mark";
                continue;
        }
        if (got != expected) return what;
        if (got != nullptr && from_back) {
            model.pop_back();
            if (!model.empty()) --end;  // the last one is taken at the old end
        } else if (got != nullptr) {
            model.pop_front();
        }
        if (deque.seems_empty() != model.empty()) return "seems_empty";
    }
    return "";
}

/// Takes the newest whether it is the right one or not.
class careless_deque : public work_deque {
  public:
    using work_deque::work_deque;
    bool pop_if(const token_node&) noexcept { return pop() != nullptr; }
};

/// Pushes as long as it goes, up to 100.
int room_in(work_deque& deque, token_node& node) {
    int count = 0;
    while (count < 100 && deque.push(node)) ++count;
    return count;
}

}  // namespace

TEST_CASE("a_new_deque_is_empty") {
    work_deque deque(8);
    CHECK(deque.seems_empty());
    CHECK(deque.pop() == nullptr);
    CHECK(deque.pop_above(0) == nullptr);
    CHECK(steal_from(deque) == nullptr);
}

TEST_CASE("the_owner_takes_the_newest_and_thieves_the_oldest") {
    work_deque deque(8);
    std::vector<token_node> nodes(6);
    for (token_node& each : nodes) REQUIRE(deque.push(each));
    CHECK(deque.pop() == &nodes[5]);
    CHECK(steal_from(deque) == &nodes[0]);
    CHECK(deque.pop() == &nodes[4]);
    CHECK(steal_from(deque) == &nodes[1]);
    CHECK(steal_from(deque) == &nodes[2]);
    CHECK(deque.pop() == &nodes[3]);
    CHECK(deque.pop() == nullptr);
    CHECK(steal_from(deque) == nullptr);
}

TEST_CASE("the_capacity_is_rounded_up_to_a_power_of_two") {
    token_node node;
    for (const auto& [asked, given] : {std::pair{0U, 1}, {1U, 1}, {2U, 2}, {3U, 4}, {64U, 64}}) {
        work_deque deque(asked);
        CHECK(room_in(deque, node) == given);
    }
}

TEST_CASE("a_capacity_beyond_all_memory_is_bad_alloc") {
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    for (const std::size_t capacity : {most, most / 2, most / 32 + 1}) {
        CHECK_THROWS_AS(work_deque{capacity}, std::bad_alloc);
    }
}

TEST_CASE("a_full_deque_refuses_a_token_and_keeps_those_it_has") {
    work_deque deque(4);
    std::vector<token_node> nodes(5);
    for (std::size_t i = 0; i < 4; ++i) REQUIRE(deque.push(nodes[i]));
    CHECK_FALSE(deque.has_room());
    CHECK_FALSE(deque.push(nodes[4]));
    CHECK(deque.mark() == 4);
    CHECK(steal_from(deque) == &nodes[0]);
    CHECK(deque.has_room());
    CHECK(deque.push(nodes[4]));
    CHECK_FALSE(deque.push(nodes[0]));
    CHECK(deque.pop() == &nodes[4]);
    CHECK(deque.push(nodes[4]));
    for (std::size_t i = 1; i < 5; ++i) CHECK(steal_from(deque) == &nodes[i]);
    CHECK(deque.seems_empty());
}

TEST_CASE("the_ring_may_be_gone_round_many_times") {
    for (const std::size_t capacity : {1U, 2U, 8U}) {
        work_deque deque(capacity);
        std::vector<token_node> nodes(capacity + 1);
        for (std::size_t round = 0; round < 1000; ++round) {
            for (std::size_t i = 0; i < capacity; ++i) {
                REQUIRE(deque.push(nodes[(round + i) % nodes.size()]));
            }
            REQUIRE_FALSE(deque.push(nodes[0]));
            for (std::size_t i = 0; i < capacity; ++i) {
                REQUIRE(steal_from(deque) == &nodes[(round + i) % nodes.size()]);
            }
            REQUIRE(deque.pop() == nullptr);
        }
    }
}

TEST_CASE("pop_if_takes_the_newest_token_and_no_other") {
    work_deque deque(4);
    token_node a;
    token_node b;
    CHECK_FALSE(deque.pop_if(a));
    REQUIRE(deque.push(a));
    REQUIRE(deque.push(b));
    CHECK_FALSE(deque.pop_if(a));
    CHECK(deque.pop_if(b));
    CHECK_FALSE(deque.pop_if(b));
    CHECK(deque.pop_if(a));
    CHECK(deque.seems_empty());
}

TEST_CASE("pop_if_does_not_take_a_token_that_was_stolen") {
    // Its address is still in the slot.
    work_deque deque(4);
    token_node a;
    token_node b;
    REQUIRE(deque.push(a));
    REQUIRE(steal_from(deque) == &a);
    CHECK_FALSE(deque.pop_if(a));
    REQUIRE(deque.push(a));
    REQUIRE(deque.push(b));
    REQUIRE(steal_from(deque) == &a);
    REQUIRE(steal_from(deque) == &b);
    CHECK_FALSE(deque.pop_if(b));
    CHECK(deque.push(b));
    CHECK(deque.pop_if(b));
}

TEST_CASE("pop_above_takes_nothing_that_was_there_before_the_mark") {
    work_deque deque(8);
    std::vector<token_node> nodes(4);
    REQUIRE(deque.push(nodes[0]));
    REQUIRE(deque.push(nodes[1]));
    const std::int64_t mark = deque.mark();
    CHECK(deque.pop_above(mark) == nullptr);
    REQUIRE(deque.push(nodes[2]));
    REQUIRE(deque.push(nodes[3]));
    CHECK(deque.pop_above(mark) == &nodes[3]);
    // Thieves come from the other end and change nothing about it.
    REQUIRE(steal_from(deque) == &nodes[0]);
    CHECK(deque.pop_above(mark) == &nodes[2]);
    CHECK(deque.pop_above(mark) == nullptr);
    CHECK(deque.pop() == &nodes[1]);
}

TEST_CASE("pop_above_refuses_what_came_after_the_owner_went_below_the_mark") {
    work_deque deque(8);
    std::vector<token_node> nodes(4);
    REQUIRE(deque.push(nodes[0]));
    REQUIRE(deque.push(nodes[1]));
    const std::int64_t mark = deque.mark();
    REQUIRE(deque.pop() == &nodes[1]);
    REQUIRE(deque.push(nodes[2]));
    CHECK(deque.pop_above(mark) == nullptr);
    REQUIRE(deque.push(nodes[3]));
    CHECK(deque.pop_above(mark) == &nodes[3]);
    CHECK(deque.pop_above(mark) == nullptr);
    CHECK(deque.pop_above(deque.mark() - 1) == &nodes[2]);
    CHECK(deque.pop() == &nodes[0]);
}

TEST_CASE("a_deque_does_what_a_list_of_tokens_would_do") {
    seeded random;
    for (const std::size_t capacity : {1U, 2U, 4U, 16U}) {
        INFO("capacity ", capacity);
        for (int i = 0; i < 50; ++i) {
            REQUIRE(first_difference<work_deque>(capacity, random, 1000) == "");
        }
    }
}

TEST_CASE("the_comparison_catches_a_deque_that_takes_the_wrong_token") {
    seeded random;
    CHECK(first_difference<careless_deque>(4, random, 10'000) == "pop_if");
}

}  // namespace tokengate::test
