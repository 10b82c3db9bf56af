// SPDX-License-Identifier: Apache-2.0
#include "resilience/duplicate_table.hpp"

#include <utility>

namespace tokengate::detail {

token_node* duplicate_table::find(const call_value& value) const {
    auto [each, end] = by_hash_.equal_range(value.hash);
    for (; each != end; ++each) {
        // One that was killed while it runs stays until its callable returns.
        if (is_terminal(each->second.node->state.phase())) continue;
        if (each->second.value->equals(value)) return each->second.node;
    }
    return nullptr;
}

void duplicate_table::add(token_node& node, std::unique_ptr<call_value> value) {
    const std::uint64_t hash = value->hash;
    by_hash_.emplace(hash, entry{.value = std::move(value), .node = &node});
}

std::unique_ptr<call_value> duplicate_table::take_out(const token_node& node,
                                                      std::uint64_t hash) noexcept {
    auto [each, end] = by_hash_.equal_range(hash);
    for (; each != end; ++each) {
        if (each->second.node != &node) continue;
        std::unique_ptr<call_value> value = std::move(each->second.value);
        by_hash_.erase(each);
        return value;
    }
    return nullptr;
}

}  // namespace tokengate::detail
