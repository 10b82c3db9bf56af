// SPDX-License-Identifier: Apache-2.0
/// @file
/// One domain: its mailbox, its arena, its workers and where its neighbours are.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include <tokengate/config.hpp>
#include <tokengate/topology.hpp>

#include "domain/arena.hpp"
#include "domain/mailbox.hpp"

namespace tokengate::detail {

class crew;
class worker;

/// Slots that oneTBB's own threads get in the arena of a domain.
[[nodiscard]] unsigned guest_slots(const settings& chosen, const domain_info& info);

/// Reserve workers that a domain may have beyond `reserve_workers`, rather than be left by all that
/// could run what its own waits are for.
inline constexpr unsigned most_beyond = 256;

/// The members without a comment on threads are set before any worker runs.
struct domain {
    domain(crew& owner, unsigned index, const settings& chosen, const topology& machine);
    ~domain();
    domain(const domain&) = delete;
    domain& operator=(const domain&) = delete;

    /// Adds a worker. One thread at a time: at first the crew's, then under `reserve_lock`.
    /// @throws std::bad_alloc
    worker& add_worker(crew& owner, const settings& chosen);

    /// Its workers so far, reserves at the end. Any thread.
    [[nodiscard]] unsigned worker_count() const noexcept {
        // Acquire: pairs with the release in add_worker(), which publishes the worker.
        return worker_count_.load(std::memory_order_acquire);
    }

    /// A worker below worker_count(). Any thread.
    [[nodiscard]] worker& worker_at(std::size_t index) const noexcept { return *workers_[index]; }

    const unsigned number;
    const domain_info& info;
    mailbox box;
    domain_arena arena;
    std::vector<unsigned> neighbours;  ///< the other domains, nearest first
    lane_mask stealable = 0;           ///< free lanes that its workers may take from other domains

    std::mutex reserve_lock;
    std::vector<worker*> resting;  ///< under reserve_lock: reserves that stand in for nobody
    /// Reserves that stand in, less workers that are blocked. Written under reserve_lock.
    std::atomic<int> surplus{0};

  private:
    std::unique_ptr<std::unique_ptr<worker>[]> workers_;  ///< room for all that there can be
    std::atomic<unsigned> worker_count_{0};
};

}  // namespace tokengate::detail
