// SPDX-License-Identifier: Apache-2.0
/// @file
/// Memory for token nodes: recycled without malloc, shared by all runtimes of the process.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tokengate/detail/frame.hpp>

namespace tokengate::detail {

/// Takes a node of a size class. A few instructions while the thread's own free list has one; once
/// in a batch an exchange with the shared depot; the system is asked only when that is empty.
/// The memory holds a token_node, perhaps one that was used before.
/// @throws std::bad_alloc if the system has no memory left
[[nodiscard]] token_node* allocate_node(std::uint8_t size_class);

/// Gives a node of a size class back, on any thread. Surplus memory goes back to the system.
void free_node(token_node& node, std::uint8_t size_class) noexcept;

/// What the pool holds; for tests and reports. Takes locks, and looks at each thread.
struct pool_usage {
    std::size_t slab_bytes = 0;  ///< address space obtained from the system
    /// Nodes that were taken and not given back; exact while nobody takes or gives any.
    std::size_t nodes_out = 0;
};
[[nodiscard]] pool_usage usage_of_pool() noexcept;

}  // namespace tokengate::detail
