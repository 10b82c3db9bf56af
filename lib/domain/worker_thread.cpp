// SPDX-License-Identifier: Apache-2.0
// The thread of a worker, from its start to its end.
#include <pthread.h>
#include <array>
#include <cstdio>
#include <exception>
#include <memory>

#include "domain/worker.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

namespace {

constinit thread_local worker* this_worker = nullptr;

// Workers, reserves and those beyond them have a set each.
idle_seat seat_of(crew& owner, const domain& home, unsigned index,
                  const settings& chosen) noexcept {
    const auto in = [&](idle_set& set, unsigned width, unsigned before) {
        return idle_seat{set, std::size_t{home.number} * width + index - before};
    };
    const unsigned workers = chosen.workers_per_core;
    const unsigned reserves = chosen.reserve_workers;
    if (index < workers) return in(owner.idle, workers, 0);
    if (index < workers + reserves) return in(owner.idle_reserve, reserves, workers);
    return in(owner.idle_beyond, most_beyond, workers + reserves);
}

// Linux keeps 15 characters of a thread's name.
void name_this_thread(unsigned domain, std::size_t number_in_domain) noexcept {
    std::array<char, 16> name{};
    std::snprintf(name.data(), name.size(), "tg-%u.%zu", domain, number_in_domain);
    pthread_setname_np(pthread_self(), name.data());
}

}  // namespace

worker::worker(crew& owner, domain& home, unsigned index, const settings& chosen)
    : counts(chosen.operation_limit),
      overtaken(chosen.operation_limit),
      crew_(owner),
      home_(home),
      index_(index),
      reserve_(index >= chosen.workers_per_core),
      idle_(seat_of(owner, home, index, chosen)),
      at_home_(chosen.retry_stride),
      elsewhere_(chosen.retry_stride),
      deques_{work_deque(chosen.deque_capacity), work_deque(chosen.deque_capacity),
              work_deque(chosen.deque_capacity), work_deque(chosen.deque_capacity)},
      lane_purses_(chosen.cores) {
    for (const weight each : all_weights) {
        if (home.number >= chosen.first_core[index_of(each)]) {
            in_range_ = static_cast<deque_mask>(in_range_ | bit_of(kind_of(each)));
        }
    }
    // An arena of its own: the slots of the domain's belong to the workers that it stands in for.
    if (reserve_) {
        own_arena_ = std::make_unique<domain_arena>(
            1, guest_slots(chosen, home.info), home.info, owner.pins(),
            arena_host{.owner = &owner,
                       .domain = home.number,
                       .concurrency = static_cast<unsigned>(home.info.cpus.size())});
    }
}

worker* worker::current() noexcept { return this_worker; }

void worker::start(muster& present) {
    thread_ = std::thread([this, &present] {
        name_this_thread(home_.number, index_);
        try {
            if (crew_.pins()) crew_.record_binding(home_.number, bind_this_thread(home_.info));
            domain_arena& arena = reserve_ ? *own_arena_ : home_.arena;
            arena.execute([this, &present] {
                this_worker = this;
                present.arrived.release();
                loop();
                this_worker = nullptr;
            });
        } catch (const std::exception&) {
            // Only on the way into the arena; the loop throws nothing.
            present.failed = true;
            present.arrived.release();
        }
    });
}

bool worker::stand_up() noexcept {
    standing_.store(true, std::memory_order_seq_cst);
    if (thread_.joinable()) {
        resumed.notify_all();
        return true;
    }
    try {
        muster present;
        start(present);
        present.arrived.acquire();
        if (!present.failed) return true;
        thread_.join();
    } catch (const std::exception&) {
        // The system has no thread to give.
    }
    lie_down();
    return false;
}

void worker::join() noexcept {
    if (thread_.joinable()) thread_.join();
}

void worker::loop() noexcept {
    for (;;) {
        if (reserve_ && home_.surplus.load(std::memory_order_relaxed) > 0) rest_as_reserve();
        if (run_one()) continue;
        if (token_node* node = poll_briefly()) {
            run(*node);
            continue;
        }
        if (crew_.current_phase() == phase::stopped) {
            // Once more: what lay there when the runtime stopped (husks, passes) is taken away.
            if (run_one()) continue;
            break;
        }
        rest();
    }
    settle_all();
    tell_all();
}

}  // namespace tokengate::detail
