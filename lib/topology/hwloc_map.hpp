// SPDX-License-Identifier: Apache-2.0
/// @file
/// hwloc's handles with owners, so that no error path leaks one. Only lib/topology may include
/// this.
#pragma once

#include <hwloc.h>

#include <memory>

#include <tokengate/error.hpp>

namespace tokengate::detail {

/// Owns one hwloc topology. Not thread-safe: it lives on the stack of `read_machine`.
class hwloc_map {
  public:
    /// @throws topology_error if hwloc cannot start, or is not the version compiled against
    hwloc_map() {
        if (hwloc_get_api_version() >> 16 != HWLOC_API_VERSION >> 16) {
            throw topology_error(
                "the hwloc library found at run time has another major version than the one that "
                "TokenGate was compiled with: install the matching one, or rebuild");
        }
        if (hwloc_topology_init(&handle_) != 0) {
            throw topology_error("hwloc cannot start: most likely there is no memory left");
        }
    }

    ~hwloc_map() { hwloc_topology_destroy(handle_); }

    hwloc_map(const hwloc_map&) = delete;
    hwloc_map& operator=(const hwloc_map&) = delete;

    [[nodiscard]] hwloc_topology_t get() const noexcept { return handle_; }

  private:
    hwloc_topology_t handle_ = nullptr;
};

/// Frees an hwloc bitmap.
struct hwloc_bitmap_deleter {
    void operator()(hwloc_bitmap_s* bitmap) const noexcept { hwloc_bitmap_free(bitmap); }
};

/// An owned hwloc bitmap.
using hwloc_bitmap_owner = std::unique_ptr<hwloc_bitmap_s, hwloc_bitmap_deleter>;

}  // namespace tokengate::detail
