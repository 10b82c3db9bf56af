// SPDX-License-Identifier: Apache-2.0
/// @file
/// A domain's oneTBB arena: the workers live inside it, and oneTBB's own threads that come to help
/// a nested parallel algorithm are pinned to the domain. Protocol: arenas.md.
#pragma once

#include <functional>
#include <memory>

#include <tokengate/topology.hpp>

namespace tokengate::detail {

class crew;

/// For whom the guests of an arena work.
struct arena_host {
    crew* owner = nullptr;  ///< null: nobody stands in while a guest waits
    unsigned domain = 0;    ///< that of the workers in the arena
    unsigned concurrency = 1;
};

/// Wraps tbb::task_arena, which only arena.cpp includes.
///
/// One slot is reserved for each worker; `extra_slots` are for threads that oneTBB sends when a
/// token runs a parallel algorithm. Nothing is ever enqueued here: oneTBB's own threads come and
/// go between arenas, so that tokens run on our pinned threads only.
class domain_arena {
  public:
    /// @param home   the domain; guests are pinned to its CPUs if `pin`. Lives as long as this
    domain_arena(unsigned workers, unsigned extra_slots, const domain_info& home, bool pin,
                 const arena_host& host);
    ~domain_arena();
    domain_arena(const domain_arena&) = delete;
    domain_arena& operator=(const domain_arena&) = delete;

    /// Runs `body` inside the arena, on the calling thread.
    void execute(const std::function<void()>& body);

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace tokengate::detail
