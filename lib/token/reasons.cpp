// SPDX-License-Identifier: Apache-2.0
#include "token/reasons.hpp"

#include <utility>

namespace tokengate::detail {

constinit std::mutex end_reasons::lock;
constinit std::atomic<std::size_t> end_reasons::count{0};

end_reasons::prepared::prepared(const token_node& node, std::string_view reason) {
    // Made before it is needed where nothing may throw.
    static_cast<void>(all());
    table one;
    one.emplace(&node, reason);
    entry_ = one.extract(&node);
}

void end_reasons::prepared::keep() noexcept {
    if (all().insert(std::move(entry_)).inserted) count.fetch_add(1, std::memory_order_relaxed);
}

std::string end_reasons::of(const token_node& node) {
    const std::scoped_lock guard(lock);
    const auto found = all().find(&node);
    return found == all().end() ? std::string() : found->second;
}

void end_reasons::erase(const token_node& node) noexcept {
    const std::scoped_lock guard(lock);
    count.fetch_sub(all().erase(&node), std::memory_order_relaxed);
}

// Never destroyed: tokens may end when the process does.
end_reasons::table& end_reasons::all() {
    static auto* const the_table = new table;
    return *the_table;
}

}  // namespace tokengate::detail
