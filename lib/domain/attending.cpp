// SPDX-License-Identifier: Apache-2.0
// What a worker does with a token that may not be meant to run, or is to run once more.
#include <string_view>

#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

// Somebody looks twice at what is taken out, perhaps at this one.
void worker::run_attended(token_node& node) noexcept {
    if (crew_.current_phase() >= phase::killing) {
        run_too_late(node);
        return;
    }
    backlog& aside = *node.operation->aside;
    if (!is_pass(node) && aside.condemns(node)) {
        run_too_late(node, aside.reason());
        return;
    }
    if (aside.attends()) {
        // On top of others it stays with this one.
        const bool only_it = isolation_ != nullptr || has_turn() || !may_nest();
        const backlog::turn next = aside.exchange(node, only_it);
        if (next.node == nullptr) return;
        if (next.doomed) {
            run_too_late(node, aside.reason());
        } else if (next.begun) {
            execute(*next.node, grip::entry);
        } else {
            run_entry(*next.node);
        }
    } else if (node.state.begin_execution()) {
        execute(node, grip::entry);
    } else {
        run_entry(node);
    }
}

// The runtime is out of time, or somebody has killed the tokens of an operation.
void worker::run_too_late(token_node& node, std::string_view why) noexcept {
    run_counts& counted = counts_of(node);
    const bool has_credit = node.way != route::here;
    const kill_result came = kill_popped(crew_, node, why);
    if (came != kill_result::husk && has_credit) in_flight_purse.earn();
    if (came == kill_result::killed) counted.killed.add();
}

// It is to run once more, unless somebody has ended it meanwhile.
void worker::put_back(token_node& node, grip held) noexcept {
    const bool entry_in_hand = held != grip::husk;
    memberships.give_up();
    if (entry_in_hand && node.way != route::here) earn_in_flight();
    const frame_type& type = node.type();
    if (type.put_back(node, entry_in_hand)) return;
    // Whoever ended it has counted it.
    tell_joiners();
    type.drop_arguments(node);
    release_anchor(crew_, node);
    strand* const line = node.serial ? node.line : nullptr;
    const bool had_turn = line != nullptr && node.state.end_turn();
    if (!entry_in_hand && node.way != route::here) earn_in_flight();
    if (entry_in_hand) drop_reference(node);
    if (line == nullptr) return;
    if (had_turn) crew_.pass_turn(*line);
    crew_.strands.leave(*line);
}

}  // namespace tokengate::detail
