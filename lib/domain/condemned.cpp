// SPDX-License-Identifier: Apache-2.0
// How tokens end that were set aside. Protocol: backlog.md, "Husks" and "Kill by operation".
#include <algorithm>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "domain/backlog.hpp"
#include "domain/crew.hpp"
#include "domain/ending.hpp"
#include "domain/share.hpp"
#include "locality/strands.hpp"

namespace tokengate::detail {

void backlog::note_death() noexcept {
    live(-1);
    // In a child process the lock may be held for ever.
    if (crew_.current_phase() != phase::forked) tidy_up();
}

void backlog::write_off(share& used_up) noexcept {
    if (crew_.current_phase() == phase::forked) return;
    {
        const std::scoped_lock guard(lock_);
        forget_entries(used_up);
    }
    tidy_up();
}

void backlog::forget_entries(share& of) noexcept {
    if (!std::exchange(of.written_off, true)) live(-std::ptrdiff_t{of.aside});
}

// Then it is worth a look at all: each husk pays for itself and for one that waits. If nothing
// waits, they would be all that this still attends for.
bool backlog::mostly_husks() const noexcept {
    constexpr std::size_t few = 64;
    const std::size_t waiting = size();
    const std::size_t most = waiting == 0 ? 0 : waiting + std::max(few, waiting);
    return entries_.load(std::memory_order_relaxed) > most;
}

void backlog::tidy_up() noexcept {
    if (!mostly_husks()) return;
    token_node* husks = nullptr;
    {
        const std::scoped_lock guard(lock_);
        // Somebody else may have done it.
        collect_husks(husks);
        settle();
    }
    drop_all(husks);
}

void backlog::collect_husks(token_node*& husks) noexcept {
    if (!mostly_husks()) return;
    for_each_line([&](line& each) { sweep(each, husks); });
    sweep(kept_, husks);
}

// Those that were killed since.
void backlog::sweep(line& which, token_node*& husks) noexcept {
    token_node* each = which.take_all();
    while (each != nullptr) {
        token_node& node = *std::exchange(each, strand_link(*each));
        const bool over = is_share(node) ? !share_of(node).has_unclaimed()
                                         : node.state.phase() != token_state::waiting;
        if (over) {
            strike_off(which, node);
            chain_up(husks, node);
        } else {
            which.append(node);
        }
    }
}

// With all its entries, if it is a share.
void backlog::strike_off(line& from, token_node& node) noexcept {
    if (is_share(node)) forget_entries(share_of(node));
    discount(from, is_share(node) ? share_of(node).aside : 1);
}

void backlog::chain_up(token_node*& list, token_node& node) noexcept {
    strand_link(node) = list;
    list = &node;
}

void backlog::drop_all(token_node* husks) noexcept {
    while (husks != nullptr) {
        token_node& each = *std::exchange(husks, strand_link(*husks));
        if (!is_share(each)) {
            drop_husk(each);
            continue;
        }
        // No more of its entries are set aside. The last one may be the last reference.
        for (auto entries = std::exchange(share_of(each).aside, 0U); entries > 0; --entries) {
            drop_reference(each);
        }
    }
}

void backlog::condemn(id_horizon before, std::string_view reason) {
    std::string why(reason);
    const std::scoped_lock guard(condemned_lock_);
    condemned_ = std::move(before);
    reason_ = std::move(why);
    // Release: pairs with the acquire in condemns(). Attention is paid from the first time on.
    if (next_condemned_.exchange(condemned_.next, std::memory_order_acq_rel) == 0) crew_.attend();
}

bool backlog::condemns(const token_node& node) const noexcept {
    // Acquire: pairs with the release in condemn().
    if (node.id >= next_condemned_.load(std::memory_order_acquire)) return false;
    const std::scoped_lock guard(condemned_lock_);
    return condemned_.includes(node.id);
}

std::string backlog::reason() const noexcept {
    const std::scoped_lock guard(condemned_lock_);
    try {
        return reason_;
    } catch (const std::bad_alloc&) {
        // Then the error says less.
        return {};
    }
}

std::size_t backlog::kill_waiting(bool all, std::string_view reason) noexcept {
    token_node* dying = nullptr;
    token_node* husks = nullptr;
    {
        const std::scoped_lock guard(lock_);
        const auto kill_in = [&](line& each) {
            token_node* next = each.take_all();
            while (next != nullptr) {
                token_node& node = *std::exchange(next, strand_link(*next));
                if (!all && !condemns(node)) {
                    each.append(node);
                    continue;
                }
                strike_off(each, node);
                // Those of a share are killed with the share.
                bool dies = is_share(node);
                while (!dies && node.state.phase() == token_state::waiting) {
                    static_cast<void>(node.state.resume());
                    dies = node.state.begin_aside();
                    if (dies) live(-1);
                }
                if (dies && node.serial) node.line->hold_up(false);
                chain_up(dies ? dying : husks, node);
            }
        };
        for_each_line(kill_in);
        kill_in(kept_);
        collect_husks(husks);
        tell_claimants();
        settle();
    }
    drop_all(husks);
    std::size_t killed = 0;
    while (dying != nullptr) {
        token_node& node = *std::exchange(dying, strand_link(*dying));
        if (is_share(node)) {
            for (auto entries = std::exchange(share_of(node).aside, 0U); entries > 1; --entries) {
                drop_reference(node);
            }
            killed += kill_unclaimed(crew_, node, reason);
            drop_reference(node);
            continue;
        }
        auto why = prepare_reason(node, reason);
        if (kill_begun(crew_, node, true, true, why ? &*why : nullptr)) ++killed;
    }
    return killed;
}

}  // namespace tokengate::detail
