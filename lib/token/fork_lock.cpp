// SPDX-License-Identifier: Apache-2.0
#include "token/fork_lock.hpp"

#include <pthread.h>
#include <algorithm>
#include <new>
#include <vector>

namespace tokengate::detail {

namespace {

struct all_locks {
    std::mutex own;
    std::vector<std::mutex*> given;
};

// Never destroyed: fork() may be called at any time.
all_locks& locks() {
    static auto* const the_locks = new all_locks;
    return *the_locks;
}

void before_fork() {
    locks().own.lock();
    for (std::mutex* each : locks().given) each->lock();
}

void after_fork() {
    for (std::mutex* each : locks().given) each->unlock();
    locks().own.unlock();
}

}  // namespace

void hold_over_fork(std::mutex& lock) {
    all_locks& now = locks();
    const std::scoped_lock guard(now.own);
    if (std::find(now.given.begin(), now.given.end(), &lock) != now.given.end()) return;
    // First of all, so that the handlers are registered once, whatever fails.
    now.given.reserve(now.given.size() + 1);
    if (now.given.empty() && pthread_atfork(before_fork, after_fork, after_fork) != 0) {
        throw std::bad_alloc();
    }
    now.given.push_back(&lock);
}

}  // namespace tokengate::detail
