// SPDX-License-Identifier: Apache-2.0
// Memory for tokens.
#include "token/pool.hpp"

#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "scale.hpp"

namespace tokengate::test {
namespace {

using detail::allocate_node;
using detail::free_node;
using detail::node_sizes;
using detail::size_class_of;
using detail::token_node;
using detail::usage_of_pool;

constexpr std::size_t mebibyte = std::size_t{1} << 20U;

/// Fills everything behind the node's head, to be seen if two nodes overlap.
void fill(token_node& node, std::uint8_t size_class, int value) {
    const std::size_t bytes = node_sizes[size_class] - sizeof(token_node);
    std::memset(reinterpret_cast<std::byte*>(&node) + sizeof(token_node), value, bytes);
}

bool filled_with(const token_node& node, std::uint8_t size_class, int value) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&node);
    for (std::size_t i = sizeof(token_node); i < node_sizes[size_class]; ++i) {
        if (bytes[i] != value) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("the_smallest_class_that_fits_is_chosen") {
    CHECK(size_class_of(1) == 0);
    CHECK(size_class_of(64) == 0);
    CHECK(size_class_of(65) == 1);
    for (std::size_t i = 0; i < node_sizes.size(); ++i) {
        CHECK(size_class_of(node_sizes[i]) == i);
        if (i > 0) CHECK(size_class_of(node_sizes[i - 1] + 1) == i);
    }
}

TEST_CASE("nodes_are_aligned_distinct_and_do_not_overlap") {
    for (std::uint8_t size_class = 0; size_class < node_sizes.size(); ++size_class) {
        INFO("nodes of ", node_sizes[size_class], " bytes");
        std::vector<token_node*> nodes;
        std::set<token_node*> distinct;
        for (int i = 0; i < 1000; ++i) {
            nodes.push_back(allocate_node(size_class));
            REQUIRE(reinterpret_cast<std::uintptr_t>(nodes.back()) % 64 == 0);
            REQUIRE(distinct.insert(nodes.back()).second);
            fill(*nodes.back(), size_class, i % 251);
        }
        bool intact = true;
        for (int i = 0; i < 1000; ++i) {
            intact =
                intact && filled_with(*nodes[static_cast<std::size_t>(i)], size_class, i % 251);
        }
        CHECK(intact);
        for (token_node* each : nodes) free_node(*each, size_class);
    }
}

TEST_CASE("a_thread_gets_the_node_back_that_it_has_just_freed") {
    token_node* first = allocate_node(0);
    free_node(*first, 0);
    token_node* second = allocate_node(0);
    CHECK(second == first);
    free_node(*second, 0);
}

TEST_CASE("memory_goes_back_to_the_system_after_a_million_nodes") {
    const std::size_t before = usage_of_pool().slab_bytes;
    const std::size_t count = scaled(1'000'000);
    std::vector<token_node*> nodes(count);
    for (token_node*& each : nodes) each = allocate_node(1);
    CHECK(usage_of_pool().slab_bytes >= before + count * 128 - mebibyte);
    for (token_node* each : nodes) free_node(*each, 1);
    // The depot keeps 4 MiB of a size class, scattered over at most as many slabs as it has
    // batches; freed in the order of allocation they are neighbours.
    CHECK(usage_of_pool().slab_bytes <= before + 8 * mebibyte);
}

TEST_CASE("nodes_freed_by_another_thread_are_used_again") {
    // Without a way back to the first thread this would take 300 MiB.
    const std::size_t before = usage_of_pool().slab_bytes;
    for (int round = 0; round < 50; ++round) {
        std::vector<token_node*> nodes(50'000);
        for (token_node*& each : nodes) each = allocate_node(1);
        std::thread([&] {
            for (token_node* each : nodes) free_node(*each, 1);
        }).join();
    }
    CHECK(usage_of_pool().slab_bytes <= before + 24 * mebibyte);
}

TEST_CASE("a_thread_that_ends_leaves_its_nodes_to_others") {
    const std::size_t before = usage_of_pool().slab_bytes;
    for (int i = 0; i < 500; ++i) {
        std::thread([] {
            std::vector<token_node*> nodes(64);
            for (token_node*& each : nodes) each = allocate_node(5);
            for (token_node* each : nodes) free_node(*each, 5);
        }).join();
    }
    CHECK(usage_of_pool().slab_bytes <= before + 4 * mebibyte);
}

TEST_CASE("nodes_that_are_out_are_counted_whoever_takes_and_gives_them") {
    const std::size_t before = usage_of_pool().nodes_out;
    const auto out = [&] { return usage_of_pool().nodes_out - before; };
    std::vector<token_node*> nodes;
    for (std::size_t i = 0; i < 1000; ++i) {
        nodes.push_back(allocate_node(static_cast<std::uint8_t>(i % node_sizes.size())));
        REQUIRE(out() == i + 1);
    }
    const auto give_half = [&] {
        for (std::size_t i = (nodes.size() + 1) / 2; i > 0; --i) {
            free_node(*nodes.back(),
                      static_cast<std::uint8_t>((nodes.size() - 1) % node_sizes.size()));
            nodes.pop_back();
        }
    };
    std::atomic<bool> has_given{false};
    std::atomic<bool> may_end{false};
    std::thread other([&] {
        give_half();
        has_given = true;
        while (!may_end) std::this_thread::yield();
    });
    while (!has_given) std::this_thread::yield();
    CHECK(out() == 500);
    may_end = true;
    other.join();
    CHECK(out() == 500);
    give_half();
    CHECK(out() == 250);
    while (!nodes.empty()) give_half();
    CHECK(out() == 0);
}

TEST_CASE("no_node_is_held_twice_when_threads_pass_them_around") {
    constexpr std::size_t slots = 64;
    std::vector<std::atomic<token_node*>> exchange(slots);
    std::atomic<bool> damaged{false};
    std::vector<std::thread> crowd;
    for (unsigned t = 0; t < 4; ++t) {
        crowd.emplace_back([&, t] {
            for (std::size_t i = 0; i < 50'000; ++i) {
                const auto size_class = static_cast<std::uint8_t>(i % 3);
                token_node* mine = allocate_node(size_class);
                mine->weight_class = static_cast<weight>(size_class);
                mine->id = reinterpret_cast<std::uintptr_t>(mine);
                mine->position = t;
                token_node* other = exchange[(i * 7 + t) % slots].exchange(mine);
                if (other == nullptr) continue;
                if (other->id != reinterpret_cast<std::uintptr_t>(other)) damaged = true;
                other->id = 0;
                free_node(*other, static_cast<std::uint8_t>(other->weight_class));
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    for (auto& each : exchange) {
        if (token_node* node = each.load()) {
            free_node(*node, static_cast<std::uint8_t>(node->weight_class));
        }
    }
    CHECK_FALSE(damaged);
}

}  // namespace tokengate::test
