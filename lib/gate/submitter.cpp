// SPDX-License-Identifier: Apache-2.0
#include "gate/submitter.hpp"

#include <algorithm>

#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

/// The registries that exist, so that a thread that ends knows whom to return its records to.
struct live_registries {
    std::mutex lock;
    std::vector<std::pair<std::uint64_t, submitter_registry*>> all;
    std::uint64_t last_serial = 0;
};

// Never destroyed: threads may end after static destructors have begun.
live_registries& live() { return only_one<live_registries>(); }

std::uint64_t enlist(submitter_registry* self) {
    live_registries& registries = live();
    const std::scoped_lock guard(registries.lock);
    registries.all.emplace_back(registries.last_serial + 1, self);
    return ++registries.last_serial;
}

// True when the thread has given its records up. Destructors of its other thread-local objects may
// call operations even then.
constinit thread_local bool ended = false;

}  // namespace

/// The records that one thread holds, one for each runtime that it has submitted to.
struct thread_records {
    std::vector<std::pair<std::uint64_t, submitter*>> held;

    ~thread_records() {
        ended = true;
        submitter_registry::cached = {};
        live_registries& registries = live();
        const std::scoped_lock guard(registries.lock);
        for (const auto& own : held) {
            const auto found =
                std::find_if(registries.all.begin(), registries.all.end(),
                             [&](const auto& each) { return each.first == own.first; });
            if (found != registries.all.end()) found->second->give_up(*own.second);
        }
    }
};

constinit thread_local submitter_registry::cache submitter_registry::cached;

namespace {

// Forgets the records of runtimes that are no more.
void drop_dead(thread_records& mine) {
    live_registries& registries = live();
    const std::scoped_lock guard(registries.lock);
    std::erase_if(mine.held, [&](const auto& own) {
        return std::none_of(registries.all.begin(), registries.all.end(),
                            [&](const auto& each) { return each.first == own.first; });
    });
}

}  // namespace

submitter_registry::submitter_registry(std::size_t domains, std::size_t operations)
    : serial_(enlist(this)), domains_(domains), operations_(operations) {}

submitter_registry::~submitter_registry() {
    live_registries& registries = live();
    const std::scoped_lock guard(registries.lock);
    std::erase_if(registries.all, [&](const auto& each) { return each.second == this; });
}

submitter& submitter_registry::look_up() {
    if (ended) {
        // Nothing is left that would give this record up: it stays with the thread, for the few
        // calls that may come, and dies with the runtime.
        cached = {.owner = serial_, .record = &obtain()};
        return *cached.record;
    }
    static thread_local thread_records mine;
    auto found = std::find_if(mine.held.begin(), mine.held.end(),
                              [&](const auto& each) { return each.first == serial_; });
    if (found == mine.held.end()) {
        drop_dead(mine);
        mine.held.reserve(mine.held.size() + 1);
        mine.held.emplace_back(serial_, &obtain());
        found = std::prev(mine.held.end());
    }
    cached = {.owner = serial_, .record = found->second};
    return *found->second;
}

submitter& submitter_registry::obtain() {
    const std::scoped_lock guard(lock_);
    if (!unused_.empty()) {
        submitter& record = *unused_.back();
        unused_.pop_back();
        return record;
    }
    unused_.reserve(records_.size() + 1);
    records_.push_back(std::make_unique<submitter>(domains_, operations_));
    count_.fetch_add(1, std::memory_order_relaxed);
    return *records_.back();
}

void submitter_registry::give_up(submitter& record) {
    // Room for it was reserved when it was made.
    const std::scoped_lock guard(lock_);
    unused_.push_back(&record);
}

}  // namespace tokengate::detail
