// SPDX-License-Identifier: Apache-2.0
// Whom a new token wakes. Protocol: lib/sleep/README.md.

#include "domain/backlog.hpp"
#include "domain/crew.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

void crew::post(token_node& node) noexcept {
    // Before it is pushed: it may be gone as soon as that. Relaxed: nobody writes it meanwhile.
    const unsigned home = node.domain.load(std::memory_order_relaxed);
    const lane which = lane_of(node.weight_class, node.anchored());
    at(home).box.push(which, node);
    wake(which, home);
}

void crew::readmit(token_node& node) noexcept {
    // Credits that are there or not: it had some before. Relaxed: as above.
    const unsigned home = node.domain.load(std::memory_order_relaxed);
    const bool counted = node.way != route::here;
    if (counted) in_flight.take_beyond(1);
    const auto turn = node.state.admit();
    if (!turn.done) {
        if (counted) give_back(in_flight, 1);
        if (turn.aside) {
            keep(node);
        } else {
            drop_husk(node);
        }
        return;
    }
    at(home).box.credits(lane::retry).take_beyond(1);
    at(home).box.push(lane::retry, node);
    wake(lane::retry, home);
    // Only compared: it may be gone. Who waits for it may be the only one who can run it.
    if (turn.helper) waiting_workers::notify(&node);
}

void crew::keep(token_node& node) noexcept {
    if (node.operation->aside->keep(node)) return;
    // Paused or not.
    static_cast<void>(node.state.resume());
    readmit(node);
}

void crew::post_share(token_node& node, mailbox::source& from, std::uint32_t entries,
                      unsigned worker_hint) noexcept {
    const lane which = lane_of(node.weight_class, node.anchored());
    const unsigned home = share_of(node).home;
    at(home).box.push_many(which, from, node, entries);
    // One for all: whoever takes an entry passes on that there are more.
    wake(which, home, worker_hint);
}

worker* crew::claim_in(unsigned home, unsigned worker_hint) noexcept {
    const std::size_t width = settings_.workers_per_core;
    const std::size_t first = home * width;
    auto claimed = idle.claim(first + worker_hint, first + width);
    if (!claimed && worker_hint > 0) claimed = idle.claim(first, first + worker_hint);
    if (claimed) return &at(home).worker_at(*claimed - first);
    // Seq_cst: as in anybody_idle().
    if (standing_in_.load(std::memory_order_seq_cst) == 0) return nullptr;
    return claim_reserve(at(home));
}

void crew::wake_one(lane which, unsigned home, unsigned worker_hint) noexcept {
    worker* claimed = claim_in(home, worker_hint);
    if (!is_anchored(which)) {
        const unsigned first = first_allowed_[index_of(class_of(which))];
        for (const unsigned d : at(home).neighbours) {
            if (claimed != nullptr) break;
            if (d >= first) claimed = claim_in(d, 0);
        }
    }
    if (claimed != nullptr) claimed->wake.notify_one();
}

void crew::pass_on(unsigned domain_index) noexcept {
    // Each lane and deque, not only the first: those that sleep differ in what they may take.
    const auto wake_for_free = [&](domain& source, lane_mask allowed) {
        for (const weight each : all_weights) {
            const lane which = lane_of(each, false);
            if ((allowed & bit_of(which)) == 0) continue;
            bool waits = source.box.holds(which);
            for (unsigned w = 0; !waits && w < source.worker_count(); ++w) {
                waits = source.worker_at(w).offers(kind_of(each));
            }
            if (waits) wake(which, source.number);
        }
    };
    domain& home = at(domain_index);
    wake_for_free(home, free_lanes);
    bool anchored_waits = home.box.holds(lane::retry);
    for (const weight each : all_weights) {
        anchored_waits = anchored_waits || home.box.holds(lane_of(each, true));
    }
    for (unsigned w = 0; !anchored_waits && w < home.worker_count(); ++w) {
        anchored_waits = home.worker_at(w).offers(deque_kind::anchored);
    }
    if (anchored_waits) wake(lane_like(deque_kind::anchored), domain_index);
    for (const unsigned d : home.neighbours) wake_for_free(at(d), home.stealable);
}

std::optional<unsigned> crew::lowest_free(unsigned first) const noexcept {
    const std::size_t width = settings_.workers_per_core;
    const auto found = idle.lowest(first * width, settings_.cores * width);
    if (!found) return std::nullopt;
    return static_cast<unsigned>(*found / width);
}

}  // namespace tokengate::detail
