// SPDX-License-Identifier: Apache-2.0
/// @file
/// The bottom of the node pool: large aligned blocks cut into nodes of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

/// A list of free nodes, linked through token_node::next.
struct node_batch {
    token_node* head = nullptr;
    std::uint32_t count = 0;
};

/// Cuts slabs into nodes of one size, and gives slabs without a node in use back to the system.
/// Under a lock: it is reached only when the depot above it is empty or overflows.
class slab_heap {
  public:
    explicit slab_heap(std::size_t node_bytes) noexcept : node_bytes_(node_bytes) {}

    /// Up to `wanted` nodes, at least one.
    /// @throws std::bad_alloc
    [[nodiscard]] node_batch carve(std::uint32_t wanted);

    /// Takes nodes back.
    void dissolve(node_batch batch) noexcept;

    /// Bytes obtained from the system.
    [[nodiscard]] std::size_t bytes() const noexcept;

    /// Nodes that were carved and have not come back.
    [[nodiscard]] std::size_t carved() const noexcept;

    /// Its lock, for fork().
    [[nodiscard]] std::mutex& lock() noexcept { return lock_; }

  private:
    struct slab;

    [[nodiscard]] slab& add_slab();
    void unlink(slab& which) noexcept;
    void link(slab& which) noexcept;

    const std::size_t node_bytes_;
    mutable std::mutex lock_;
    slab* usable_ = nullptr;  ///< slabs with a free node, doubly linked
    std::size_t slabs_ = 0;
    std::size_t carved_ = 0;
};

}  // namespace tokengate::detail
