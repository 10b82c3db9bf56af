// SPDX-License-Identifier: Apache-2.0
#include "domain/arena_pool.hpp"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

#include <tokengate/arena.hpp>

#include "domain/crew.hpp"
#include "domain/guest.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

namespace {

constinit thread_local unsigned concurrency_of_user = 0;

}  // namespace

arena_pool::wide_arena::wide_arena(crew& owner, unsigned home, domain_info together, bool pin)
    : cpus(std::move(together)),
      arena(1, static_cast<unsigned>(cpus.cpus.size()) - 1, cpus, pin,
            {.owner = &owner,
             .domain = home,
             .concurrency = static_cast<unsigned>(cpus.cpus.size())}) {}

// Neighbours come nearest first. Those that were wrapped onto CPUs that are there already bring
// none.
domain_info arena_pool::around(unsigned home, unsigned width) const {
    domain_info together = machine_.domain(home);
    unsigned found = 1;
    for (const unsigned each : crew_.at(home).neighbours) {
        if (found == width) break;
        const std::vector<unsigned>& more = machine_.domain(each).cpus;
        if (std::binary_search(together.cpus.begin(), together.cpus.end(), more.front())) continue;
        together.cpus.insert(together.cpus.end(), more.begin(), more.end());
        std::sort(together.cpus.begin(), together.cpus.end());
        ++found;
    }
    return together;
}

arena_pool::arenas arena_pool::take(unsigned home, unsigned width) noexcept {
    arenas mine;
    try {
        {
            const std::scoped_lock guard(lock_);
            arenas& there = idle_[{home, width}];
            if (!there.empty()) {
                mine.splice(mine.begin(), there, there.begin());
                return mine;
            }
        }
        domain_info together = around(home, width);
        if (together.cpus == machine_.domain(home).cpus) return mine;
        mine.emplace_back(crew_, home, std::move(together), pins_);
    } catch (const std::exception&) {
        mine.clear();
    }
    return mine;
}

void arena_pool::run(unsigned width, const std::function<void()>& body) noexcept {
    worker& self = *worker::current();
    const unsigned home = self.domain_index();
    arenas mine = take(home, width);
    if (mine.empty()) {
        body();
        return;
    }
    {
        // What has nothing to do with the token would have its algorithms in this arena, too.
        const worker::isolation limits(self);
        wide_arena& used = mine.front();
        const unsigned outer =
            std::exchange(concurrency_of_user, static_cast<unsigned>(used.cpus.cpus.size()));
        used.arena.execute(body);
        concurrency_of_user = outer;
    }
    const std::scoped_lock guard(lock_);
    // It was there when the arena was taken, and stays.
    arenas& there = idle_.find({home, width})->second;
    there.splice(there.begin(), mine);
}

unsigned arena_pool::concurrency_here() noexcept { return concurrency_of_user; }

}  // namespace tokengate::detail

namespace tokengate::this_token {

unsigned concurrency() noexcept {
    if (const unsigned wide = detail::arena_pool::concurrency_here()) return wide;
    if (const detail::worker* const self = detail::worker::current()) {
        return static_cast<unsigned>(self->owner().at(self->domain_index()).info.cpus.size());
    }
    if (const auto& post = detail::guest_post::of_this_thread()) return post->concurrency();
    return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace tokengate::this_token
