// SPDX-License-Identifier: Apache-2.0
// The counts of chains (lib/locality/chains.md), under many schedules.
#include "locality/chain.hpp"

#include <cstddef>
#include <cstdint>

#include <doctest/doctest.h>

#include "locality/membership.hpp"
#include "schedule.hpp"

namespace tokengate::test {
namespace {

using detail::chain;
using detail::lead_traits;
using detail::membership_store;
using detail::open_chain;
using detail::operation_label;
using detail::runtime_core;

/// The address of a runtime; chains only compare it.
const runtime_core* this_runtime() {
    alignas(16) static const char place = 0;
    return reinterpret_cast<const runtime_core*>(&place);
}

chain& open(std::uint64_t lead, chain* parent) {
    static const operation_label* const label = [] {
        auto* made = new operation_label;  // lives as long as the process
        made->name = "solve";
        return made;
    }();
    static const lead_traits& traits = detail::lead_traits_for({"refine"}, digest_policy::minimal);
    return open_chain(this_runtime(), 0, parent, lead, *label, traits);
}

/// Nothing is left of the chains of a run.
void check_books() {
    const detail::chain_usage usage = detail::usage_of_chains();
    must(usage.open == 0, "a chain was not closed");
    must(usage.in_use == 0, "a chain's record was not given back");
}

bool is_open(chain& which) { return which.counts().pending() > 0; }

/// A lead whose children are created while it runs and end on other threads, one of them a lead
/// itself; and somebody who looks at all that are open.
struct nested {
    chain* outer = nullptr;
    chain* inner = nullptr;

    void threads(schedule& run) {
        outer = &open(1, nullptr);
        outer->enter();           // a child
        inner = &open(2, outer);  // that child is a lead
        inner->enter();           // and has a child
        run.thread([this] {       // the lead ends
            outer->leave();
            outer->release();
        });
        run.thread([this] {  // the inner lead: a member of both
            must(is_open(*outer) && is_open(*inner), "a chain was closed under a member");
            inner->leave();
            inner->release();
            outer->leave_and_release();
        });
        run.thread([this] {  // the inner lead's child creates another one
            must(is_open(*inner) && is_open(*outer), "the outer chain does not stay open");
            inner->enter();
            inner->leave();
            must(is_open(*inner) && is_open(*outer), "a chain was closed under a member");
            inner->leave_and_release();
            inner->release();
        });
        run.thread([] {
            for (const chain_info& each : detail::open_chains(this_runtime())) {
                must(each.lead_id == 1 || each.lead_id == 2, "a snapshot shows a mix");
                must(each.pending > 0, "a snapshot shows a chain that is closed");
            }
        });
    }
    void check() { check_books(); }
};

/// Records that are used again at once, while somebody looks.
struct used_again {
    void threads(schedule& run) {
        // The pool grows under a lock, which no schedule may come between.
        open(1, nullptr).leave_and_release();
        for (std::uint64_t i = 0; i < 2; ++i) {
            run.thread([i] {
                for (std::uint64_t round = 0; round < 3; ++round) {
                    chain& mine = open(10 * (i + 1) + round, nullptr);
                    pause();
                    must(mine.lead_id() == 10 * (i + 1) + round, "a chain's record has two users");
                    must(is_open(mine), "a chain was closed under its lead");
                    mine.leave_and_release();
                }
            });
        }
        run.thread([] {
            for (int round = 0; round < 2; ++round) {
                for (const chain_info& each : detail::open_chains(this_runtime())) {
                    must(each.lead_id >= 10 && each.lead_id < 23, "a snapshot shows a mix");
                }
                static_cast<void>(detail::count_open_chains(this_runtime()));
            }
        });
    }
    void check() { check_books(); }
};

/// Workers that keep memberships in store.
struct stores {
    chain* all = nullptr;
    membership_store store[2];

    void threads(schedule& run) {
        all = &open(1, nullptr);
        all->enter();
        for (auto& own : store) {
            run.thread([this, &own] {  // a member that creates two, which end here
                own.take(*all);
                own.take(*all);
                must(is_open(*all), "a chain was closed under a member");
                own.put(*all);
                own.give_up();
                must(is_open(*all), "a chain was closed under a member");
                all->leave_and_release();  // the other one
                all->leave_and_release();  // itself
                must(own.empty(), "something is left in store");
            });
        }
    }
    void check() { check_books(); }
};

}  // namespace

TEST_CASE("a_chain_closes_once_when_its_last_member_has_ended") { explore<nested>(); }

TEST_CASE("a_record_of_a_chain_has_one_user") { explore<used_again>(); }

TEST_CASE("memberships_in_store_keep_a_chain_open_until_they_are_given_up") { explore<stores>(); }

}  // namespace tokengate::test
