// SPDX-License-Identifier: Apache-2.0
// Bulks: one reservation of numbers, a share for each domain, and room for as many elements as
// there is room for, again and again.
#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>

#include "domain/share.hpp"
#include "domain/worker.hpp"
#include "gate/calling.hpp"
#include "token/labels.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// So many stretches for each worker, if that makes them neither too short nor too long: short ones
// at the end of a bulk keep all workers busy to the end, long ones cost less.
constexpr std::size_t stretches_for_each_worker = 8;
constexpr std::size_t longest_stretch = 64;
// A stretch that runs for so long has cost little besides (some 500 instructions). Seen with bench
// P3 and P13.
constexpr std::size_t worth_in_nanoseconds = 4000;

std::size_t length_of_stretches(const bulk_core& bulk, std::size_t workers) noexcept {
    // Relaxed: a number to decide by.
    const std::size_t pace = bulk.paced ? bulk.operation->pace.load(std::memory_order_relaxed) : 0;
    const std::size_t worth_while = pace == 0 ? 1 : worth_in_nanoseconds / pace;
    const std::size_t fair = bulk.count / (stretches_for_each_worker * workers);
    return std::clamp<std::size_t>(std::max(fair, worth_while), 1, longest_stretch);
}

constexpr std::size_t in_stretches(std::size_t elements, std::size_t length) noexcept {
    return (elements + length - 1) / length;
}

}  // namespace

void gate::submit(bulk_core& bulk) {
    operation_core& operation = *bulk.operation;
    if (crew_.current_phase() != phase::open) [[unlikely]]
        open_or_throw(operation);
    const caller who = calling();
    submitter& mine = who.mine;
    const weight weight_class = operation.weight_class;
    const settings& chosen = crew_.chosen();
    bulk.stretch_length =
        length_of_stretches(bulk, std::size_t{chosen.cores} * chosen.workers_per_core);
    bulk.first_id = take_ids(mine, bulk.count);
    reservation room{.which = lane_of(weight_class, who.outer != nullptr)};
    if (who.outer != nullptr) {
        room.where.domain = who.outer->domain();
        room.fixed = true;
        if (room.where.domain == who.self->domain_index() &&
            has_room_for(*who.self, deque_kind::anchored, bulk)) {
            room.way = route::deque;
        }
        submit_part(bulk, bulk.count, who, room);
        return;
    }
    if (who.self != nullptr && !operation.staggered &&
        placement_.contains(weight_class, who.self->domain_index()) &&
        has_room_for(*who.self, kind_of(weight_class), bulk)) {
        room.where.domain = who.self->domain_index();
        room.way = route::deque;
        submit_part(bulk, bulk.count, who, room);
        return;
    }
    // To each domain what its positions are, next to each other.
    const std::uint64_t first = take_positions(mine, weight_class, bulk.count);
    const std::size_t domains =
        std::min<std::size_t>(placement_.range(weight_class).size(), bulk.count);
    room.where = placement_.of(weight_class, first);
    for (std::size_t i = 0; i < domains; ++i) {
        submit_part(bulk, (bulk.count - i + domains - 1) / domains, who, room);
        room.where = placement_.after(weight_class, room.where);
    }
}

// The next `count` elements, to one domain as long as there is room.
void gate::submit_part(bulk_core& bulk, std::size_t count, const caller& who,
                       const reservation& wanted) {
    while (count > 0) count -= submit_share(bulk, count, who, wanted);
}

// The first element gets room as a call does, and may block; the others take what is there.
std::size_t gate::submit_share(bulk_core& bulk, std::size_t count, const caller& who,
                               reservation room) {
    operation_core& operation = *bulk.operation;
    submitter& mine = who.mine;
    const weight weight_class = operation.weight_class;
    const operation_label* label = find_label(*operation.label, share_frame);
    if (!reserve(mine, weight_class, room)) [[unlikely]] {
        static_cast<void>(reserve_slowly(operation, room, admission::wait));
    }
    const bool chained = who.outer != nullptr;
    // What ran meanwhile may have filled the deque: then a stretch runs at once.
    std::size_t entries = most_stretches;
    if (room.way == route::deque) {
        entries = std::min(
            entries, who.self->room_in(chained ? deque_kind::anchored : kind_of(weight_class)));
    }
    const bool at_once = room.way == route::here || entries == 0;
    const std::size_t most =
        room.way == route::here
            ? 1
            : std::min(count, std::max<std::size_t>(entries, 1) * bulk.stretch_length);
    const std::size_t taken = reserve_more(room, most, bulk.stretch_length);
    token_node* node = nullptr;
    try {
        bulk.shares.push_back(nullptr);
        node = allocate_node(share_frame.size_class);
        bulk.shares.back() = node;
    } catch (const std::bad_alloc&) {
        if (!bulk.shares.empty() && bulk.shares.back() == nullptr) bulk.shares.pop_back();
        release_many(room, taken, bulk.stretch_length);
        throw;
    }
    describe(*node, operation, *label, room.where.domain, route::bulk, {.chained = chained});
    node->id = bulk.first_id + bulk.admitted;
    if (chained) {
        who.self->memberships.take(*who.outer);
        node->calls = who.outer;
    } else {
        node->runtime = operation.runtime;
    }
    const auto stretches = static_cast<std::uint32_t>(in_stretches(taken, bulk.stretch_length));
    ::new (&share_of(*node)) share{.bulk = &bulk,
                                   .first = bulk.admitted,
                                   .count = static_cast<std::uint32_t>(taken),
                                   .length = static_cast<std::uint32_t>(bulk.stretch_length),
                                   .stretches = stretches,
                                   .home = static_cast<std::uint16_t>(room.where.domain),
                                   .way = room.way,
                                   .aside = 0,
                                   .cursor = 0,
                                   .pending = share::one_stretch * stretches + taken};
    try {
        accept(operation, taken);
    } catch (...) {
        if (chained) node->calls->leave_and_release();
        bulk.shares.pop_back();
        free_node(*node, share_frame.size_class);
        release_many(room, taken, bulk.stretch_length);
        throw;
    }
    // Relaxed: the share's own; it is published with the node.
    bulk.holders.fetch_add(1, std::memory_order_relaxed);
    bulk.admitted += taken;
    node->state.start(token_state::executing, 1 + stretches);
    if (at_once) {
        who.self->run(*node);
    } else if (room.way == route::deque) {
        who.self->keep_share(*node, stretches);
    } else {
        crew_.post_share(*node, *mine.at(room.where.domain, room.which).box, stretches,
                         room.where.worker_hint);
    }
    return taken;
}

void gate::accept(operation_core& operation, std::size_t count) {
    own_counter& accepted = submitters_.mine().counts[operation.number].accepted;
    if (!crew_.count_call(accepted, count)) [[unlikely]]
        stay_or_retract(operation, accepted, count);
}

bool gate::has_room_for(const worker& self, deque_kind kind, const bulk_core& bulk) const noexcept {
    return bulk.count <= self.room_in(kind) * bulk.stretch_length;
}

// The first element has its room already. Room in a lane is for entries, one a stretch, room in
// flight for elements.
std::size_t gate::reserve_more(const reservation& room, std::size_t wanted,
                               std::size_t stretch_length) noexcept {
    if (room.way == route::here) return 1;
    credit_pool* const in_lane =
        room.way == route::mailbox ? &crew_.at(room.where.domain).box.credits(room.which) : nullptr;
    std::size_t entries = in_stretches(wanted, stretch_length);
    // The lane first: see reserve().
    if (in_lane != nullptr && entries > 1) {
        entries =
            1 + static_cast<std::size_t>(in_lane->take(static_cast<std::int64_t>(entries) - 1));
    }
    const std::size_t fit = std::min(wanted, entries * stretch_length);
    const std::size_t taken = fit == 1 ? 1
                                       : 1 + static_cast<std::size_t>(crew_.in_flight.take(
                                                 static_cast<std::int64_t>(fit) - 1));
    const std::size_t used = in_stretches(taken, stretch_length);
    if (in_lane != nullptr && used < entries) {
        crew_.give_back(*in_lane, static_cast<std::int64_t>(entries - used));
    }
    return taken;
}

void gate::release_many(const reservation& room, std::size_t elements,
                        std::size_t stretch_length) noexcept {
    if (room.way == route::here) return;
    if (room.way == route::mailbox) {
        crew_.give_back(crew_.at(room.where.domain).box.credits(room.which),
                        static_cast<std::int64_t>(in_stretches(elements, stretch_length)));
    }
    crew_.give_back(crew_.in_flight, static_cast<std::int64_t>(elements));
}

// What is left of a block when a longer one begins is not used: numbers of a thread increase.
std::uint64_t gate::take_ids(submitter& mine, std::uint64_t count) noexcept {
    if (mine.end_id.value() - mine.next_id.value() < count) {
        mine.renew_ids(next_id_, count);
    }
    const std::uint64_t first = mine.next_id.value();
    mine.next_id.set(first + count);
    return first;
}

std::uint64_t gate::take_positions(submitter& mine, weight weight_class,
                                   std::uint64_t count) noexcept {
    submitter::position_block& block = mine.positions[index_of(weight_class)];
    if (block.end - block.next < count) {
        // Relaxed: as above.
        block.next =
            next_position_[index_of(weight_class)].fetch_add(count, std::memory_order_relaxed);
        block.end = block.next + count;
    }
    const std::uint64_t first = std::exchange(block.next, block.next + count);
    block.where = placement_.of(weight_class, block.next);
    return first;
}

}  // namespace tokengate::detail
