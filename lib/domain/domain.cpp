// SPDX-License-Identifier: Apache-2.0
#include "domain/domain.hpp"

#include "domain/worker.hpp"

namespace tokengate::detail {

unsigned guest_slots(const settings& chosen, const domain_info& info) {
    if (chosen.arena_slots >= 0) return static_cast<unsigned>(chosen.arena_slots);
    const auto cpus = static_cast<unsigned>(info.cpus.size());
    return cpus > chosen.workers_per_core ? cpus - chosen.workers_per_core : 0;
}

domain::domain(crew& owner, unsigned index, const settings& chosen, const topology& machine)
    : number(index),
      info(machine.domain(index)),
      // Threads that are not workers may take tokens out too: those that kill. Those beyond the
      // reserves are not counted: the pages that they may lack the system has to give.
      box(chosen.mailbox_capacity,
          std::size_t{chosen.cores} * (chosen.workers_per_core + chosen.reserve_workers) + 1),
      arena(chosen.workers_per_core, guest_slots(chosen, info), info,
            chosen.binding && machine.binds(),
            {.owner = &owner,
             .domain = index,
             .concurrency = static_cast<unsigned>(info.cpus.size())}),
      neighbours(machine.neighbours(index)),
      workers_(std::make_unique<std::unique_ptr<worker>[]>(chosen.workers_per_core +
                                                           chosen.reserve_workers + most_beyond)) {
    resting.reserve(chosen.reserve_workers + most_beyond);
}

domain::~domain() = default;

worker& domain::add_worker(crew& owner, const settings& chosen) {
    // Relaxed: only this thread changes it now.
    const unsigned index = worker_count_.load(std::memory_order_relaxed);
    workers_[index] = std::make_unique<worker>(owner, *this, index, chosen);
    // Release: pairs with the acquire in worker_count().
    worker_count_.store(index + 1, std::memory_order_release);
    return *workers_[index];
}

}  // namespace tokengate::detail
