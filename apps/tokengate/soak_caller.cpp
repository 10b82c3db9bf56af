// SPDX-License-Identifier: Apache-2.0
#include "soak_caller.hpp"

#include <chrono>
#include <optional>
#include <thread>
#include <utility>

namespace tokengate::app {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_kept = 200;
constexpr std::size_t most_bulks = 4;
constexpr std::uint64_t largest_bulk = 150;
constexpr std::size_t most_holds = 8;

}  // namespace

soak_calls& soak_calls::operator+=(const soak_calls& other) noexcept {
    calls += other.calls;
    resolved += other.resolved;
    unresolved += other.unresolved;
    kills += other.kills;
    holds += other.holds;
    turned_away += other.turned_away;
    return *this;
}

void soak_caller::run(const std::atomic<bool>& over) {
    // Relaxed: nothing is published by it.
    while (!over.load(std::memory_order_relaxed)) {
        try {
            act();
        } catch (const runtime_stopped&) {
            ++found_.turned_away;
            std::this_thread::sleep_for(100us);
        }
    }
    holds_.clear();
    while (!kept_.empty()) check_oldest();
    while (!bulks_.empty()) check_oldest_bulk();
}

soak_order soak_caller::next_order() {
    return {.key = static_cast<std::uint32_t>(random_.below(soak_keys)),
            .fate = random_.next(),
            .source = number_,
            .number = ++orders_};
}

void soak_caller::act() {
    const std::size_t which = random_.below(field_.size());
    switch (random_.below(32)) {
        case 0:
        case 1: call_bulk(which); break;
        case 2: hold_key(which); break;
        case 3:
            if (!holds_.empty()) holds_.erase(holds_.begin());
            break;
        case 4: kill_one(); break;
        default: call(which); break;
    }
    if (kept_.size() > random_.below(most_kept)) check_oldest();
    if (bulks_.size() > random_.below(most_bulks)) check_oldest_bulk();
}

void soak_caller::call(std::size_t which) {
    const soak_operation& op = field_.operation(which);
    soak_count& count = field_.count(which);
    const soak_order order = next_order();
    ++found_.calls;
    soak_token made;
    const std::uint64_t way = random_.below(8);
    if (way < 2) {
        op.post(order);
    } else if (way == 2) {
        std::optional<soak_token> accepted = op.try_call(order);
        if (!accepted) {
            count.refused.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        made = *std::move(accepted);
    } else {
        made = op(order);
    }
    count.accepted.fetch_add(1, std::memory_order_relaxed);
    if (way < 2 || random_.one_in(8)) return;  // nobody holds it
    if (random_.one_in(8)) field_.show(made, random_);
    const std::scoped_lock guard(lock_);
    kept_.push_back({which, order, std::move(made)});
}

void soak_caller::call_bulk(std::size_t which) {
    std::vector<soak_order> orders(random_.below(largest_bulk));
    for (soak_order& each : orders) each = next_order();
    ++found_.calls;
    soak_count& count = field_.count(which);
    // What is thrown when a part has been admitted leaves open how many.
    count.unsure.fetch_add(orders.size(), std::memory_order_relaxed);
    soak_bulk made = field_.operation(which).bulk(orders);
    count.unsure.fetch_sub(orders.size(), std::memory_order_relaxed);
    count.accepted.fetch_add(orders.size(), std::memory_order_relaxed);
    if (random_.one_in(4)) return;
    const std::scoped_lock guard(lock_);
    bulks_.push_back({which, std::move(orders), std::move(made)});
}

void soak_caller::hold_key(std::size_t which) {
    if (!field_.kind(which).traits.sticky || holds_.size() >= most_holds) return;
    holds_.push_back(field_.operation(which).hold(next_order()));
    ++found_.holds;
}

void soak_caller::kill_one() {
    if (!bulks_.empty() && random_.one_in(8)) {
        static_cast<void>(bulks_[random_.below(bulks_.size())].made.kill("one bulk"));
    } else if (!kept_.empty()) {
        const kept_token& victim = kept_[random_.below(kept_.size())];
        if (victim.made.kill("this one")) ++found_.kills;
        if (random_.one_in(4)) victim.made.join();
    }
}

void soak_caller::wait_for(const soak_token& token) {
    switch (random_.below(4)) {
        case 0:
            while (!token.wait_for(1ms)) {}
            break;
        case 1: token.wait(isolated); break;
        case 2: token.join(); break;
        default: token.wait(); break;
    }
}

void soak_caller::check_oldest() {
    // In place: who looks from outside does not change it.
    const kept_token& oldest = kept_.front();
    wait_for(oldest.made);
    ++found_.resolved;
    if (oldest.made.done()) {
        field_.check(oldest.which, oldest.order, oldest.made);
    } else {
        ++found_.unresolved;
    }
    const std::scoped_lock guard(lock_);
    kept_.pop_front();
}

void soak_caller::check_oldest_bulk() {
    const kept_bulk& oldest = bulks_.front();
    oldest.made.wait();
    if (random_.one_in(2)) oldest.made.join();
    found_.resolved += oldest.orders.size();
    if (oldest.made.done()) {
        field_.check(oldest.which, oldest.orders, oldest.made);
    } else {
        ++found_.unresolved;
    }
    const std::scoped_lock guard(lock_);
    bulks_.pop_front();
}

soak_states soak_caller::states_of(std::size_t which) {
    soak_states states{};
    const std::scoped_lock guard(lock_);
    for (const kept_token& each : kept_) {
        if (each.which == which) ++states[static_cast<std::size_t>(each.made.state())];
    }
    for (const kept_bulk& each : bulks_) {
        if (each.which != which) continue;
        for (std::size_t i = 0; i < each.made.size(); ++i) {
            ++states[static_cast<std::size_t>(each.made.state(i))];
        }
    }
    return states;
}

}  // namespace tokengate::app
