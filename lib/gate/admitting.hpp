// SPDX-License-Identifier: Apache-2.0
/// @file
/// Places, room and nodes for calls: in a header, since each way through the gate has these steps
/// inlined.
#pragma once

#include <new>

#include "domain/worker.hpp"
#include "gate/gate.hpp"
#include "locality/chain.hpp"
#include "token/labels.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

// Ids and positions are taken from the shared counters in blocks of this size, so that threads
// meet there once in so many tokens.
inline constexpr std::uint64_t number_block = 64;

// With credits that the thread has already: no shared line is touched.
[[gnu::always_inline]] inline bool gate::reserve_at_hand(submitter& mine, unsigned domain,
                                                         lane which, route way) noexcept {
    if (mine.in_flight_credits <= 0) [[unlikely]]
        return false;
    if (way == route::mailbox) {
        std::int64_t& credits = mine.at(domain, which).credits;
        if (credits <= 0) [[unlikely]]
            return false;
        --credits;
    }
    --mine.in_flight_credits;
    return true;
}

[[gnu::always_inline]] inline place gate::next_turn(submitter& mine, weight weight_class) noexcept {
    submitter::position_block& positions = mine.positions[index_of(weight_class)];
    if (positions.next == positions.end) [[unlikely]]
        renew_positions(mine, weight_class);
    return positions.where;
}

[[gnu::always_inline]] inline place gate::next_place(submitter& mine,
                                                     weight weight_class) noexcept {
    place wanted = next_turn(mine, weight_class);
    if (weight_class == weight::heavy) {
        // Front-back fill: the lowest domain that has a free worker; the position if none has.
        if (const auto free = crew_.lowest_free(placement_.range(weight_class).first)) {
            wanted.domain = *free;
        }
    }
    return wanted;
}

[[gnu::always_inline]] inline std::uint64_t gate::use_up_position(submitter& mine,
                                                                  weight weight_class) noexcept {
    submitter::position_block& positions = mine.positions[index_of(weight_class)];
    if (positions.next == positions.end) [[unlikely]]
        renew_positions(mine, weight_class);
    positions.where = placement_.after(weight_class, positions.where);
    return positions.next++;
}

// What is the same for all calls: room, a node, its number, and where it goes. Null if refused.
[[gnu::always_inline]] inline token_node* gate::admit(operation_core& operation,
                                                      const frame_type& type, admission how,
                                                      submitter& mine, const reservation& wanted,
                                                      ties bound) {
    const operation_label* label = find_label(*operation.label, type);
    unsigned domain = wanted.where.domain;
    route way = wanted.way;
    if (!reserve_at_hand(mine, domain, wanted.which, way)) [[unlikely]] {
        reservation room = wanted;
        if (!reserve_slowly(operation, room, how)) {
            mine.counts[operation.number].refused.add();
            return nullptr;
        }
        domain = room.where.domain;
        way = room.way;
    }
    token_node* node = nullptr;
    try {
        node = allocate_node(type.size_class);
    } catch (const std::bad_alloc&) {
        release(domain, wanted.which, way);
        throw;
    }
    if (mine.next_id.value() == mine.end_id.value()) [[unlikely]]
        mine.renew_ids(next_id_, number_block);
    describe(*node, operation, *label, domain, way, bound);
    node->id = mine.next_id.value();
    mine.next_id.set(node->id + 1);
    return node;
}

// A lead opens its chain; any other token is in that of the token that calls, if there is one.
[[gnu::always_inline]] inline void gate::join_chain(token_node& node, operation_core& operation,
                                                    const caller& who, const reservation& room,
                                                    std::uint8_t size_class) {
    if (operation.lead == nullptr && who.outer == nullptr) {
        node.runtime = operation.runtime;
        return;
    }
    const unsigned home = node.domain.load(std::memory_order_relaxed);
    try {
        if (operation.lead != nullptr) {
            node.calls = &open_chain(operation.runtime, home, who.outer, node.id, *node.label,
                                     *operation.lead);
        } else {
            who.self->memberships.take(*who.outer);
            node.calls = who.outer;
        }
    } catch (const std::bad_alloc&) {
        release(home, room.which, node.way);
        free_node(node, size_class);
        throw;
    }
}

}  // namespace tokengate::detail
