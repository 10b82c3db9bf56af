// SPDX-License-Identifier: Apache-2.0
// How a worker that waits where nobody can stand in gets its token out of a backlog, or out of a
// lane that it may not look into. Protocol: backlog.md, "Isolated waits".
#include <optional>
#include <utility>

#include "domain/backlog.hpp"
#include "domain/crew.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "domain/tier.hpp"
#include "domain/worker.hpp"

namespace tokengate::detail {

backlog::claimant::claimant(backlog& of, event_count& wake) noexcept : backlog_(of), wake_(wake) {
    const std::scoped_lock guard(backlog_.lock_);
    next_ = std::exchange(backlog_.claimants_, this);
}

backlog::claimant::~claimant() {
    const std::scoped_lock guard(backlog_.lock_);
    claimant** link = &backlog_.claimants_;
    while (*link != this) link = &(*link)->next_;
    *link = next_;
}

void backlog::tell_claimants() noexcept {
    for (claimant* each = claimants_; each != nullptr; each = each->next_) each->wake_.notify_all();
}

bool backlog::can_claim(token_node& node) noexcept {
    const std::scoped_lock guard(lock_);
    if (!may_begin(node)) return false;
    if (is_share(node)) return true;
    if (node.state.phase() == token_state::waiting && !find(line_of(node), node)) return false;
    return tier_ == nullptr || tier_->can_claim();
}

backlog::claimed backlog::claim(token_node& node) noexcept {
    const claimed result = claim_there(node);
    // It may have been the last one that was alive.
    if (result == claimed::entry) tidy_up();
    return result;
}

backlog::claimed backlog::claim_there(token_node& node) noexcept {
    const std::scoped_lock guard(lock_);
    if (!may_begin(node)) return claimed::nothing;
    if (is_share(node)) return claimed::share;
    const bool aside = node.state.phase() == token_state::waiting;
    const std::optional<place> where = aside ? find(line_of(node), node) : std::nullopt;
    // It waits for its turn, or between two attempts.
    if (aside && !where) return claimed::nothing;
    if (tier_ != nullptr && !tier_->claim()) return claimed::nothing;
    claimed result = claimed::nothing;
    if (!where) {
        if (node.state.begin_execution_leaving_husk()) result = claimed::husk;
    } else if (bring_back(node)) {
        unlink(*where, node);
        result = claimed::entry;
    }
    if (tier_ != nullptr && result == claimed::nothing) {
        tier_->put_back();
        tier_->deal();
    }
    settle();
    return result;
}

// Somebody has put it where it can be taken from, and nothing but a permit is lacking.
bool backlog::may_begin(token_node& node) noexcept {
    if (paused_ || is_doomed(node)) return false;
    if (is_share(node)) return share_of(node).has_unclaimed();
    if (pauses_end()) static_cast<void>(node.state.resume());
    const token_state now = node.state.phase();
    return !node.state.paused() && (now == token_state::admitted || now == token_state::waiting);
}

std::optional<backlog::place> backlog::find(line& in, const token_node& node) noexcept {
    place found{.of = in};
    token_node* each = found.of.first;
    while (each != nullptr && each != &node) {
        found.before = each;
        each = strand_link(*each);
    }
    return each != nullptr ? std::optional(found) : std::nullopt;
}

void backlog::unlink(const place& where, token_node& node) noexcept {
    line& of = where.of;
    (where.before != nullptr ? strand_link(*where.before) : of.first) = strand_link(node);
    if (of.last == &node) of.last = where.before;
    discount(of, 1);
}

// It is not to run: somebody has killed the tokens of its operation, and who would take it out may
// be waiting, too. True if it is terminal.
bool worker::kill_condemned(token_node& awaited) noexcept {
    backlog& aside = *awaited.operation->aside;
    if (!aside.condemns(awaited)) return false;
    if (is_share(awaited)) {
        crew_.outside[awaited.operation->number].killed.add(
            kill_unclaimed(crew_, awaited, aside.reason()));
    } else {
        auto why = prepare_reason(awaited, aside.reason());
        static_cast<void>(kill_if_waiting(awaited, why ? &*why : nullptr));
    }
    return is_terminal(awaited.state.phase());
}

bool worker::run_claimed(token_node& awaited, bool alone,
                         std::optional<steady_ns> deadline) noexcept {
    if (kill_condemned(awaited)) return true;
    if (!alone) return false;
    switch (awaited.operation->aside->claim(awaited)) {
        case backlog::claimed::nothing: return false;
        case backlog::claimed::husk: execute(awaited, grip::husk); break;
        case backlog::claimed::entry: execute(awaited, grip::entry); break;
        case backlog::claimed::share: return run_share(awaited, deadline);
    }
    return is_terminal(awaited.state.phase());
}

// For a wait that is about to sleep: true if it need not. Else whoever changes that tells it.
bool worker::may_go_on(token_node& awaited, bool alone) noexcept {
    const bool is_there = is_share(awaited) ? share_of(awaited).has_unclaimed()
                                            : awaited.state.phase() < token_state::executing;
    if (is_there && awaited.operation->aside->condemns(awaited)) return true;
    return alone && may_run(awaited) && awaited.operation->aside->can_claim(awaited);
}

}  // namespace tokengate::detail
