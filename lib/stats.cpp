// SPDX-License-Identifier: Apache-2.0
// What a runtime has counted: sums over threads and operations.
#include <tokengate/stats.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "domain/worker.hpp"
#include "locality/chain.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

// What has finished is counted before what was accepted, so that equal sums prove a moment at which
// nothing was in flight (lib/domain/README.md).
bool runtime_core::all_finished() const {
    std::uint64_t finished = 0;
    // Acquire, here and below: pairs with the release in adopt(). An operation that comes between
    // the two is counted as accepted only: then the sums differ, and whoever waits has been told
    // that something has ended since, or will be.
    const std::uint32_t before = operation_count_.load(std::memory_order_acquire);
    crew_.for_each_worker([&](const worker& each) {
        for (std::uint32_t i = 0; i < before; ++i) {
            const run_counts& own = each.counts[i];
            const taken_counts& taken = each.overtaken[i];
            finished += own.completed.value() + own.failed.value() + own.killed.value();
            finished += taken.completed.value() + taken.failed.value();
        }
    });
    for (std::uint32_t i = 0; i < before; ++i) {
        const outside_counts& outside = crew_.outside[i];
        finished += outside.killed.value() + outside.timed_out.value() + outside.failed.value();
    }
    return gate_.accepted(operation_count_.load(std::memory_order_acquire)) == finished;
}

std::uint64_t runtime_core::killed_so_far() const noexcept {
    std::uint64_t sum = 0;
    const std::uint32_t count = operation_count_.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i) {
        crew_.for_each_worker([&](const worker& each) { sum += each.counts[i].killed.value(); });
        sum += crew_.outside[i].killed.value();
    }
    return sum;
}

// Those of these numbers. What has finished comes before what was accepted, so that no difference
// is negative.
void runtime_core::count(std::uint32_t first, std::span<operation_stats> operations,
                         std::span<domain_stats> domains) const {
    for (std::size_t i = 0; i < operations.size(); ++i) {
        const operation_core& operation = *by_number_[first + i];
        const outside_counts& outside = crew_.outside[first + i];
        operations[i].name = operation.label->name;
        operations[i].weight_class = operation.weight_class;
        operations[i].counts.killed = outside.killed.value();
        operations[i].counts.timed_out = outside.timed_out.value();
        operations[i].without_inputs = outside.failed.value();
        operations[i].counts.failed = operations[i].without_inputs;
        operations[i].set_aside = operation.aside->size();
        supervisor& watching = *operation.supervised_by;
        operations[i].retries = watching.retries();
        operations[i].dropped = watching.dropped();
        operations[i].coalesced = watching.coalesced();
        health_monitor* const health = watching.health();
        // After fork() somebody who is not here may have its locks.
        if (health != nullptr && health->timed() && !forked()) {
            health->fill_in(operations[i]);
            operations[i].oldest_wait = watching.oldest_wait();
        }
    }
    crew_.for_each_worker([&](const worker& each) {
        for (std::size_t i = 0; i < operations.size(); ++i) {
            const run_counts& own = each.counts[first + i];
            const taken_counts& taken = each.overtaken[first + i];
            const std::uint64_t done = taken.completed.value();
            const std::uint64_t thrown = taken.failed.value();
            token_counts& counts = operations[i].counts;
            counts.completed += own.completed.value() + done;
            counts.failed += own.failed.value() + thrown;
            counts.killed += own.killed.value();
            // Read once, so that both sums are of the same callables: one that was killed may
            // return meanwhile.
            const std::uint64_t ran = own.executed.value() + done + thrown;
            operations[i].executions += ran;
            if (domains.empty()) continue;
            domains[each.domain_index()].executed[index_of(operations[i].weight_class)] += ran;
        }
    });
    gate_.count(first, operations);
}

operation_stats runtime_core::stats_of(const operation_core& operation) const {
    operation_stats one;
    count(operation.number, {&one, 1}, {});
    return one;
}

runtime_stats runtime_core::stats() const {
    runtime_stats snapshot;
    // Acquire: pairs with the release in adopt().
    snapshot.operations.resize(operation_count_.load(std::memory_order_acquire));
    snapshot.domains.resize(settings_.cores);
    crew_.for_each_worker([&](worker& each) {
        domain_stats& home = snapshot.domains[each.domain_index()];
        home.queued += each.queued();
        each.executing.inspect([&](const token_node&) { ++home.executing; });
        home.stolen += each.stolen.value();
        home.parked += each.parked.value();
        home.anchored += each.anchored.value();
        home.escapes += each.escapes.value();
        ++home.workers;
    });
    for (unsigned d = 0; d < settings_.cores; ++d) {
        snapshot.domains[d].queued += crew_.at(d).box.size();
    }
    count(0, snapshot.operations, snapshot.domains);
    for (const operation_stats& each : snapshot.operations) {
        snapshot.by_weight[index_of(each.weight_class)] += each.counts;
    }
    const auto keys = crew_.sticky_keys.count();
    snapshot.locality = {
        .pinned_keys = keys.pinned_slots,
        .pinned_tokens = keys.pins,
        .serial_keys = crew_.strands.count(),
        .open_chains = count_open_chains(this),
        .redirected = gate_.redirected(),
        .short_of_reserves = crew_.short_of_reserves.load(std::memory_order_relaxed)};
    snapshot.memory_bytes = memory_.held();
    for (const crew::bind_failure& each : crew_.bind_failures()) {
        ++snapshot.domains[each.domain].bind_failures;
        snapshot.bind_errors.push_back(each.error);
    }
    return snapshot;
}

supervisor::prospect runtime_core::outlook(const operation_core* operation) const noexcept {
    supervisor::prospect sum;
    const auto look = [&](const operation_core& each) {
        if (each.aside->size() != 0) sum.backing_off = true;
        const supervisor::prospect one = each.supervised_by->outlook();
        sum.waiting = sum.waiting || one.waiting;
        sum.backing_off = sum.backing_off || one.backing_off;
    };
    if (operation != nullptr) {
        look(*operation);
    } else {
        for_each_operation(look);
    }
    return sum;
}

operation_stats stats_of(const operation_core& operation) {
    return operation.runtime->stats_of(operation);
}

}  // namespace tokengate::detail
