// SPDX-License-Identifier: Apache-2.0
// Nodes without the pool, whose free lists belong to threads of the system. The last to be freed is
// the first to be given again, so that whoever holds on to one meets its next use.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

constexpr std::size_t node_bytes = 128;

struct alignas(64) memory {
    std::array<std::byte, node_bytes> bytes;
};

std::vector<std::unique_ptr<memory>>& free_nodes() {
    static std::vector<std::unique_ptr<memory>> all;
    return all;
}

}  // namespace

token_node* allocate_node(std::uint8_t) {
    auto& all = free_nodes();
    if (all.empty()) all.push_back(std::make_unique<memory>());
    memory* const taken = all.back().release();
    all.pop_back();
    return new (taken->bytes.data()) token_node;
}

void free_node(token_node& node, std::uint8_t) noexcept {
    free_nodes().emplace_back(reinterpret_cast<memory*>(&node));
}

}  // namespace tokengate::detail
