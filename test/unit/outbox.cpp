// SPDX-License-Identifier: Apache-2.0
// What one thread has submitted to a lane, in order, whoever takes it.
#include "domain/outbox.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/detail/node.hpp>

#include "random.hpp"
#include "sleep/fence.hpp"

namespace tokengate::test {
namespace {

using detail::outbox;
using detail::token_node;

#if !defined(TOKENGATE_THREAD_SANITIZER)  // which has an operator of its own
#define REFUSES_MEMORY
constinit thread_local bool memory_is_refused = false;
#endif

}  // namespace
}  // namespace tokengate::test

#if defined(REFUSES_MEMORY)
// What rings are made with. Goes the ordinary way unless a test wants it to fail.
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    if (tokengate::test::memory_is_refused) return nullptr;
    try {
        return ::operator new(bytes, alignment);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}
#endif

namespace tokengate::test {
namespace {

#if defined(REFUSES_MEMORY)
/// No memory for rings while this lives.
class no_memory {
  public:
    no_memory() { memory_is_refused = true; }
    ~no_memory() { memory_is_refused = false; }
    no_memory(const no_memory&) = delete;
    no_memory& operator=(const no_memory&) = delete;
};
#endif

std::vector<token_node> numbered(std::size_t count) {
    std::vector<token_node> nodes(count);
    for (std::size_t i = 0; i < count; ++i) nodes[i].id = i;
    return nodes;
}

/// Pushes and takes at random, and does the same to a std::deque. Says what differed, or nothing.
template <class Outbox>
std::string first_difference(seeded& random, int steps) {
    Outbox box;
    std::vector<token_node> nodes(64);
    std::deque<token_node*> model;
    for (int i = 0; i < steps; ++i) {
        // Long rises and falls, so that it grows and runs empty.
        const bool rising = i / 2000 % 2 == 0;
        if (random.below(8) < (rising ? 5U : 3U)) {
            token_node& some = nodes[random.below(nodes.size())];
            if (random.one_in(20)) {
                const auto count = static_cast<std::uint32_t>(random.below(300));
                if (!box.push_many(some, count)) return "push_many";
                model.insert(model.end(), count, &some);
            } else {
                if (!box.push(some)) return "push";
                model.push_back(&some);
            }
        } else {
            token_node* expected = nullptr;
            if (!model.empty()) {
                expected = model.front();
                model.pop_front();
            }
            if (box.take() != expected) return "take";
        }
        if (box.seems_empty() != model.empty()) return "seems_empty";
    }
    return "";
}

/// Takes the second token first.
class impatient_outbox : public outbox {
  public:
    token_node* take() noexcept {
        token_node* const first = outbox::take();
        token_node* const second = outbox::take();
        if (second == nullptr) return first;
        static_cast<void>(push(*first));
        return second;
    }
};

/// What some takers have taken while the owner pushed `count` tokens in bursts.
struct haul {
    bool each_once = true;
    bool in_order = true;  // what one taker takes
};

haul take_by_many(std::size_t takers, std::size_t count, seeded& random) {
    outbox box;
    std::vector<token_node> nodes = numbered(count);
    std::vector<std::atomic<int>> times(count);
    std::atomic<bool> in_order{true};
    std::atomic<bool> complete{false};
    std::vector<std::thread> crowd;
    for (std::size_t t = 0; t < takers; ++t) {
        crowd.emplace_back([&] {
            std::int64_t last = -1;
            for (;;) {
                const bool end = complete.load();
                const token_node* node = box.take();
                if (node == nullptr) {
                    if (end) return;
                    std::this_thread::yield();
                    continue;
                }
                const auto number = static_cast<std::int64_t>(node->id);
                if (number <= last) in_order = false;
                last = number;
                times[node->id].fetch_add(1);
            }
        });
    }
    for (std::size_t next = 0; next < count;) {
        const std::size_t burst = std::min(count - next, std::size_t{1} + random.below(600));
        for (std::size_t i = 0; i < burst; ++i) {
            while (!box.push(nodes[next])) std::this_thread::yield();
            ++next;
        }
        if (random.one_in(2)) std::this_thread::yield();
    }
    complete = true;
    for (std::thread& each : crowd) each.join();
    haul result{.in_order = in_order};
    for (const auto& each : times) result.each_once = result.each_once && each.load() == 1;
    return result;
}

}  // namespace

TEST_CASE("a_new_outbox_is_empty") {
    outbox box;
    CHECK(box.seems_empty());
    CHECK(box.take() == nullptr);
}

TEST_CASE("an_outbox_gives_back_what_it_got_in_order_however_much_that_is") {
    for (const std::size_t count : {1U, 2U, 127U, 128U, 129U, 1000U, 20'000U}) {
        INFO("count ", count);
        outbox box;
        std::vector<token_node> nodes(count);
        for (token_node& each : nodes) REQUIRE(box.push(each));
        CHECK_FALSE(box.seems_empty());
        bool same = true;
        for (token_node& each : nodes) same = same && box.take() == &each;
        CHECK(same);
        CHECK(box.take() == nullptr);
        CHECK(box.seems_empty());
    }
}

TEST_CASE("the_ring_of_an_outbox_may_be_gone_round_many_times") {
    outbox box;
    std::vector<token_node> nodes(100);
    for (std::size_t round = 0; round < 200; ++round) {
        for (token_node& each : nodes) REQUIRE(box.push(each));
        for (token_node& each : nodes) REQUIRE(box.take() == &each);
    }
    CHECK(box.seems_empty());
}

TEST_CASE("an_outbox_grows_wherever_in_its_ring_it_begins") {
    for (std::size_t before = 0; before < 300; before += 7) {
        INFO("first index ", before);
        outbox box;
        token_node other;
        for (std::size_t i = 0; i < before; ++i) {
            REQUIRE(box.push(other));
            REQUIRE(box.take() == &other);
        }
        std::vector<token_node> nodes(400);
        for (token_node& each : nodes) REQUIRE(box.push(each));
        bool same = true;
        for (token_node& each : nodes) same = same && box.take() == &each;
        CHECK(same);
    }
}

TEST_CASE("an_outbox_takes_many_entries_of_a_node_at_once_however_many_that_are") {
    for (const std::uint32_t count : {1U, 2U, 64U, 127U, 128U, 129U, 1000U, 100'000U}) {
        for (const std::size_t before : {0U, 1U, 63U, 64U, 127U}) {
            INFO(count, " entries after ", before, " tokens");
            outbox box;
            token_node single;
            token_node many;
            for (std::size_t i = 0; i < before; ++i) REQUIRE(box.push(single));
            REQUIRE(box.push_many(many, count));
            REQUIRE(box.push(single));
            bool same = true;
            for (std::size_t i = 0; i < before; ++i) same = same && box.take() == &single;
            for (std::uint32_t i = 0; i < count; ++i) same = same && box.take() == &many;
            CHECK(same);
            CHECK(box.take() == &single);
            CHECK(box.take() == nullptr);
        }
    }
}

TEST_CASE("an_outbox_does_what_a_queue_of_tokens_would_do") {
    seeded random;
    for (int i = 0; i < 10; ++i) REQUIRE(first_difference<outbox>(random, 20'000) == "");
}

TEST_CASE("the_comparison_catches_an_outbox_that_takes_out_of_order") {
    seeded random;
    CHECK(first_difference<impatient_outbox>(random, 20'000) == "take");
}

TEST_CASE("several_takers_take_each_token_of_an_outbox_once_and_in_order") {
    seeded random;
    for (const std::size_t takers : {1U, 2U, 3U}) {
        INFO("takers ", takers);
        const haul result = take_by_many(takers, 60'000, random);
        CHECK(result.each_once);
        CHECK(result.in_order);
    }
}

#if defined(REFUSES_MEMORY)
TEST_CASE("an_outbox_that_cannot_grow_refuses_tokens_and_keeps_those_it_has") {
    outbox box;
    std::vector<token_node> nodes(1000);
    std::size_t accepted = 0;
    {
        const no_memory refused;
        while (accepted < nodes.size() && box.push(nodes[accepted])) ++accepted;
        REQUIRE(accepted > 0);
        REQUIRE(accepted < nodes.size());
        CHECK_FALSE(box.push(nodes[accepted]));
        // Room in the ring that it has is used again.
        CHECK(box.take() == &nodes[0]);
        CHECK(box.push(nodes[accepted]));
        CHECK_FALSE(box.push(nodes[accepted + 1]));
        // All entries or none.
        CHECK(box.take() == &nodes[1]);
        CHECK_FALSE(box.push_many(nodes[1], 2));
        CHECK(box.push_many(nodes[accepted + 1], 1));
    }
    for (std::size_t i = accepted + 2; i < nodes.size(); ++i) REQUIRE(box.push(nodes[i]));
    bool same = true;
    for (std::size_t i = 2; i < nodes.size(); ++i) same = same && box.take() == &nodes[i];
    CHECK(same);
    CHECK(box.take() == nullptr);
}

TEST_CASE("an_outbox_without_memory_for_its_first_ring_is_bad_alloc") {
    const no_memory refused;
    CHECK_THROWS_AS(outbox{}, std::bad_alloc);
}
#endif

}  // namespace tokengate::test
