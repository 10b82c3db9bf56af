// SPDX-License-Identifier: Apache-2.0
// A domain's lanes: order, memory, and the hint that says which of them hold something.
#include "domain/mailbox.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "domain/page_reserve.hpp"

namespace tokengate::test {
namespace {

using detail::bit_of;
using detail::lane;
using detail::lane_mask;
using detail::mailbox;
using detail::page_reserve;
using detail::source_rota;
using detail::token_node;

constexpr std::array lanes{lane::heavy, lane::medium, lane::light, lane::retry};

// For one look: where the rotation stands does not matter.
token_node* pop(mailbox& box, lane which) {
    source_rota rota;
    bool marked_again = false;
    return box.pop(which, rota, marked_again);
}

std::unique_ptr<mailbox> make_mailbox(std::size_t capacity, std::size_t consumers = 4) {
    return std::make_unique<mailbox>(capacity, consumers);
}

/// The hint of a lane, reduced to its protocol: a consumer that has found nothing lowers it, a
/// producer raises it. Broken: the consumer does not look again after it has lowered it.
template <bool looks_again>
class hinted_counter {
  public:
    void push() {
        count_.fetch_add(1);
        if (!hint_.load()) hint_.store(true);
    }
    /// Takes one if the hint says that there is one.
    bool pop() {
        if (!hint_.load()) return false;
        for (;;) {
            int seen = count_.load();
            while (seen > 0) {
                if (count_.compare_exchange_weak(seen, seen - 1)) return true;
            }
            std::this_thread::yield();  // the window in which a token may come
            hint_.store(false);
            if (!looks_again || count_.load() == 0) return false;
            hint_.store(true);
        }
    }

  private:
    std::atomic<int> count_{0};
    std::atomic<bool> hint_{false};
};

/// One producer that pushes single items and waits until each is taken; true if none got stuck.
template <class Push, class Pop>
bool every_single_item_is_found(Push&& push, Pop&& pop, int items) {
    std::atomic<int> taken{0};
    std::atomic<bool> stop{false};
    std::thread consumer([&] {
        while (!stop.load()) {
            if (pop()) {
                taken.fetch_add(1);
            } else {
                std::this_thread::yield();
            }
        }
    });
    bool stuck = false;
    for (int i = 1; i <= items && !stuck; ++i) {
        push();
        int looks = 0;
        while (taken.load() < i && !stuck) {
            std::this_thread::yield();
            stuck = ++looks > 2'000'000;
        }
    }
    stop = true;
    consumer.join();
    return !stuck;
}

}  // namespace

TEST_CASE("an_empty_mailbox_holds_nothing") {
    const auto box = make_mailbox(4);
    CHECK(box->occupied() == 0);
    for (const lane each : lanes) CHECK(pop(*box, each) == nullptr);
    CHECK(box->occupied() == 0);
}

TEST_CASE("each_lane_gives_back_its_own_tokens_in_order") {
    const auto box = make_mailbox(8);
    std::vector<token_node> nodes(12);
    for (std::size_t i = 0; i < nodes.size(); ++i) box->push(lanes[i % 4], nodes[i]);
    for (const lane each : lanes) CHECK((box->occupied() & bit_of(each)) != 0);
    for (std::size_t i = 0; i < nodes.size(); ++i) CHECK(pop(*box, lanes[i % 4]) == &nodes[i]);
    for (const lane each : lanes) CHECK(pop(*box, each) == nullptr);
    CHECK(box->occupied() == 0);
}

TEST_CASE("the_hint_of_a_lane_is_up_while_it_holds_something") {
    const auto box = make_mailbox(8);
    std::vector<token_node> nodes(3);
    box->push(lane::light, nodes[0]);
    CHECK(box->occupied() == bit_of(lane::light));
    CHECK(pop(*box, lane::light) == &nodes[0]);
    CHECK(pop(*box, lane::light) == nullptr);
    CHECK(box->occupied() == 0);
    box->push(lane::light, nodes[1]);
    box->push(lane::heavy, nodes[2]);
    CHECK(box->occupied() == (bit_of(lane::light) | bit_of(lane::heavy)));
}

TEST_CASE("a_lane_holds_something_only_while_a_token_is_in_it") {
    const auto box = make_mailbox(8);
    token_node node;
    CHECK_FALSE(box->holds(lane::heavy));
    box->push(lane::heavy, node);
    CHECK(box->holds(lane::heavy));
    CHECK_FALSE(box->holds(lane::light));
    source_rota rota;
    bool marked_again = false;
    CHECK(box->pop(lane::heavy, rota, marked_again) == &node);
    CHECK_FALSE(marked_again);
    // The hint may still be up, the lane is empty.
    CHECK_FALSE(box->holds(lane::heavy));
}

TEST_CASE("tokens_of_one_producer_leave_a_lane_in_order") {
    constexpr std::size_t producers = 3;
    constexpr std::size_t each_pushes = 10'000;
    const auto box = make_mailbox(producers * each_pushes);
    std::vector<std::vector<token_node>> nodes(producers);
    for (auto& mine : nodes) mine = std::vector<token_node>(each_pushes);
    std::vector<std::thread> crowd;
    for (std::size_t p = 0; p < producers; ++p) {
        crowd.emplace_back([&, p] {
            for (std::size_t i = 0; i < each_pushes; ++i) {
                nodes[p][i].id = i;
                nodes[p][i].position = p;
                box->push(lane::medium, nodes[p][i]);
            }
        });
    }
    std::array<std::uint64_t, producers> expected{};
    std::size_t popped = 0;
    bool in_order = true;
    while (popped < producers * each_pushes) {
        const token_node* node = pop(*box, lane::medium);
        if (node == nullptr) {
            std::this_thread::yield();
            continue;
        }
        in_order = in_order && node->id == expected[node->position];
        expected[node->position] = node->id + 1;
        ++popped;
    }
    for (std::thread& each : crowd) each.join();
    CHECK(in_order);
}

TEST_CASE("a_lane_recycles_its_pages_over_many_times_its_capacity") {
    // More pages than the reserve holds would be taken if one were not given back.
    for (const std::size_t capacity : {1U, 31U, 32U, 33U, 300U}) {
        INFO("capacity ", capacity);
        const auto box = make_mailbox(capacity, 1);
        std::vector<token_node> nodes(capacity);
        bool same = true;
        for (std::size_t round = 0; round < 200'000 / capacity + 1; ++round) {
            for (token_node& each : nodes) box->push(lane::heavy, each);
            for (token_node& each : nodes) same = same && pop(*box, lane::heavy) == &each;
        }
        CHECK(same);
        CHECK(pop(*box, lane::heavy) == nullptr);
    }
}

TEST_CASE("several_consumers_take_each_token_once") {
    constexpr std::size_t count = 40'000;
    constexpr std::size_t capacity = 64;
    const auto box = make_mailbox(capacity, 3);
    std::vector<token_node> nodes(count);
    std::vector<std::atomic<int>> taken(count);
    std::atomic<std::size_t> popped{0};
    std::vector<std::thread> consumers;
    for (int c = 0; c < 3; ++c) {
        consumers.emplace_back([&] {
            while (popped.load() < count) {
                token_node* node =
                    (box->occupied() & bit_of(lane::light)) != 0 ? pop(*box, lane::light) : nullptr;
                if (node == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                taken[node->id].fetch_add(1);
                popped.fetch_add(1);
            }
        });
    }
    for (std::size_t i = 0; i < count; ++i) {
        while (i - popped.load() >= capacity) std::this_thread::yield();
        nodes[i].id = i;
        box->push(lane::light, nodes[i]);
    }
    for (std::thread& each : consumers) each.join();
    bool once = true;
    for (const auto& each : taken) once = once && each.load() == 1;
    CHECK(once);
}

TEST_CASE("the_hint_never_hides_a_token") {
    const auto box = make_mailbox(4, 1);
    token_node node;
    const auto push = [&] { box->push(lane::medium, node); };
    const auto take = [&] {
        return (box->occupied() & bit_of(lane::medium)) != 0 && pop(*box, lane::medium) != nullptr;
    };
    CHECK(every_single_item_is_found(push, take, 50'000));

    hinted_counter<true> sound;
    CHECK(every_single_item_is_found([&] { sound.push(); }, [&] { return sound.pop(); }, 10'000));
}

TEST_CASE("the_hint_check_catches_a_consumer_that_does_not_look_again") {
    hinted_counter<false> broken;
    CHECK_FALSE(every_single_item_is_found([&] { broken.push(); }, [&] { return broken.pop(); },
                                           10'000'000));
}

TEST_CASE("the_hint_never_hides_a_token_of_an_outbox") {
    const auto box = make_mailbox(4, 1);
    // The first and the last share a bit of the hint.
    std::vector<mailbox::source*> sources;
    for (int i = 0; i < 64; ++i) sources.push_back(&box->open(lane::medium));
    token_node node;
    std::size_t pushed = 0;
    const auto push = [&] {
        switch (pushed++ % 3) {
            case 0: return box->push(lane::medium, *sources.front(), node);
            case 1: return box->push(lane::medium, *sources.back(), node);
            default: return box->push(lane::medium, node);
        }
    };
    const auto take = [&] {
        return (box->occupied() & bit_of(lane::medium)) != 0 && pop(*box, lane::medium) != nullptr;
    };
    CHECK(every_single_item_is_found(push, take, 30'000));
}

TEST_CASE("an_outbox_is_part_of_its_lane_and_no_other") {
    const auto box = make_mailbox(8);
    mailbox::source& mine = box->open(lane::light);
    CHECK(box->occupied() == 0);
    std::vector<token_node> nodes(3);
    for (token_node& each : nodes) box->push(lane::light, mine, each);
    CHECK(box->occupied() == bit_of(lane::light));
    CHECK(box->holds(lane::light));
    CHECK_FALSE(box->holds(lane::medium));
    CHECK(pop(*box, lane::medium) == nullptr);
    for (token_node& each : nodes) CHECK(pop(*box, lane::light) == &each);
    CHECK_FALSE(box->holds(lane::light));
    CHECK(pop(*box, lane::light) == nullptr);
    CHECK(box->occupied() == 0);
    box->push(lane::light, mine, nodes[0]);
    CHECK(box->occupied() == bit_of(lane::light));
}

TEST_CASE("a_page_reserve_hands_out_distinct_aligned_pages") {
    page_reserve reserve(10);
    std::set<void*> pages;
    for (int i = 0; i < 10; ++i) {
        void* page = reserve.take();
        CHECK(reinterpret_cast<std::uintptr_t>(page) % 64 == 0);
        CHECK(pages.insert(page).second);
    }
    for (auto it = std::next(pages.begin()); it != pages.end(); ++it) {
        CHECK(static_cast<std::byte*>(*it) - static_cast<std::byte*>(*std::prev(it)) >= 320);
    }
    for (void* each : pages) reserve.give(each);
    for (int i = 0; i < 10; ++i) CHECK(pages.count(reserve.take()) == 1);
}

}  // namespace tokengate::test
