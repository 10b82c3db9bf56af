// SPDX-License-Identifier: Apache-2.0
#include "fork.hpp"

#include <pthread.h>
#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <vector>

#include "dataflow/continuations.hpp"
#include "domain/waiters.hpp"
#include "resilience/supervisor.hpp"
#include "runtime_core.hpp"
#include "token/fork_lock.hpp"
#include "token/reasons.hpp"

namespace tokengate::detail {

namespace {

struct process_state {
    std::mutex lock;
    std::vector<runtime_core*> alive;
    // Only in a child: never freed, so that their addresses stay unique.
    std::vector<const runtime_core*> parents;
    std::atomic<bool> is_child{false};  ///< there are parents
};

// Never destroyed: fork() may be called at any time.
process_state& state() {
    static auto* const the_state = new process_state;
    return *the_state;
}

// The list is locked while the process forks (see hold_over_fork); the child alone runs here.
void mark_all_in_child() {
    process_state& now = state();
    for (runtime_core* each : now.alive) {
        each->workers().abandon_after_fork();
        now.parents.push_back(each);
    }
    now.alive.clear();
    forget_permits_after_fork();
    now.is_child.store(!now.parents.empty(), std::memory_order_relaxed);
}

}  // namespace

void survive_forks() {
    static std::once_flag handlers;
    std::call_once(handlers, [] {
        hold_over_fork(state().lock);
        hold_over_fork(waiting_workers::shared_lock());
        hold_over_fork(end_reasons::shared_lock());
        continuations::survive_fork();
        if (pthread_atfork(nullptr, nullptr, mark_all_in_child) != 0) throw std::bad_alloc();
    });
}

void enlist_runtime(runtime_core& runtime) {
    survive_forks();
    process_state& now = state();
    const std::scoped_lock guard(now.lock);
    // Room for the handler in the child, which had better not allocate.
    now.parents.reserve(now.parents.size() + now.alive.size() + 1);
    now.alive.push_back(&runtime);
}

void delist_runtime(runtime_core& runtime) noexcept {
    process_state& now = state();
    const std::scoped_lock guard(now.lock);
    std::erase(now.alive, &runtime);
}

std::unique_lock<std::mutex> hold_runtimes() { return std::unique_lock(state().lock); }

runtime_core* find_runtime(const runtime_core* wanted) noexcept {
    const std::vector<runtime_core*>& alive = state().alive;
    const auto found = std::find(alive.begin(), alive.end(), wanted);
    return found == alive.end() ? nullptr : *found;
}

bool left_behind_by_fork(const runtime_core* runtime) noexcept {
    process_state& now = state();
    // Relaxed: written before the child has a second thread.
    if (!now.is_child.load(std::memory_order_relaxed)) return false;
    const std::scoped_lock guard(now.lock);
    return std::find(now.parents.begin(), now.parents.end(), runtime) != now.parents.end();
}

}  // namespace tokengate::detail
