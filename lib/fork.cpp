// SPDX-License-Identifier: Apache-2.0
#include "fork.hpp"

#include <pthread.h>
#include <algorithm>
#include <mutex>
#include <vector>

#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

struct process_state {
    std::mutex lock;
    std::vector<runtime_core*> alive;
    // Only in a child: never freed, so that their addresses stay unique.
    std::vector<const runtime_core*> parents;
};

// Never destroyed: fork() may be called at any time.
process_state& state() {
    static auto* const the_state = new process_state;
    return *the_state;
}

void before_fork() { state().lock.lock(); }

void after_fork_in_parent() { state().lock.unlock(); }

void after_fork_in_child() {
    process_state& now = state();
    for (runtime_core* each : now.alive) {
        each->workers().abandon_after_fork();
        now.parents.push_back(each);
    }
    now.alive.clear();
    now.lock.unlock();
}

}  // namespace

void enlist_runtime(runtime_core& runtime) {
    static std::once_flag handlers;
    std::call_once(handlers, [] {
        static_cast<void>(state());
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    });
    process_state& now = state();
    const std::scoped_lock guard(now.lock);
    now.alive.push_back(&runtime);
    // Room for the handler in the child, which had better not allocate.
    now.parents.reserve(now.parents.size() + now.alive.size());
}

void delist_runtime(runtime_core& runtime) noexcept {
    process_state& now = state();
    const std::scoped_lock guard(now.lock);
    std::erase(now.alive, &runtime);
}

bool left_behind_by_fork(const runtime_core* runtime) noexcept {
    process_state& now = state();
    const std::scoped_lock guard(now.lock);
    return std::find(now.parents.begin(), now.parents.end(), runtime) != now.parents.end();
}

}  // namespace tokengate::detail
