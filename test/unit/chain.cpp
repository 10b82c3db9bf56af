// SPDX-License-Identifier: Apache-2.0
// The records of chains: counts, nesting, reuse and snapshots.
#include "locality/chain.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "child.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using detail::chain;
using detail::chain_usage;
using detail::lead_traits;
using detail::lead_traits_for;
using detail::open_chain;
using detail::open_chains;
using detail::operation_label;
using detail::runtime_core;
using detail::seed_of;
using detail::usage_of_chains;

/// The address of a runtime; chains only compare it.
struct fake_runtime {
    alignas(std::max_align_t) char place = 0;
    [[nodiscard]] const runtime_core* core() const {
        return reinterpret_cast<const runtime_core*>(&place);
    }
};

const operation_label& solve_label() {
    static operation_label label;
    label.name = "solve";
    return label;
}

const lead_traits& solve_traits() {
    static const lead_traits& traits = lead_traits_for({"refine"}, digest_policy::full);
    return traits;
}

chain& open(const fake_runtime& rt, unsigned domain, std::uint64_t lead, chain* parent = nullptr) {
    return open_chain(rt.core(), domain, parent, lead, solve_label(), solve_traits());
}

bool is_open(const fake_runtime& rt, std::uint64_t lead) {
    const auto all = open_chains(rt.core());
    return std::any_of(all.begin(), all.end(),
                       [&](const chain_info& each) { return each.lead_id == lead; });
}

/// How members of chains end. The broken one counts some of them twice.
struct ends_once {
    static void leave(chain& which) { which.leave(); }
};
struct ends_twice {
    static void leave(chain& which) {
        which.leave();
        if (which.counts().pending() > 1) which.leave();
    }
};

/// One chain, as it should be.
struct expected_chain {
    chain* record = nullptr;
    expected_chain* parent = nullptr;
    std::uint64_t lead = 0;
    std::uint64_t pending = 1;
    std::uint64_t ended = 0;  ///< members that have left and still hold a reference

    void left() {
        if (--pending == 0 && parent != nullptr) parent->left();
    }
};

/// Opens chains, enters, leaves and releases them at random; true if after each step exactly those
/// chains are open that should be, with the right counts, and none is in use in the end.
template <class How>
bool random_chains_count_right(unsigned steps) {
    seeded random;
    const fake_runtime rt;
    const std::size_t in_use = usage_of_chains().in_use;
    std::vector<std::unique_ptr<expected_chain>> chains;
    std::uint64_t next_lead = 1;
    const auto as_expected = [&] {
        std::set<std::pair<std::uint64_t, std::uint64_t>> wanted;
        for (const auto& each : chains) {
            if (each->pending > 0) wanted.emplace(each->lead, each->pending);
        }
        std::set<std::pair<std::uint64_t, std::uint64_t>> found;
        for (const chain_info& each : open_chains(rt.core())) {
            found.emplace(each.lead_id, each.pending);
        }
        return found == wanted;
    };
    const auto nested_in = [&](const expected_chain& outer) {
        return std::count_if(chains.begin(), chains.end(), [&](const auto& each) {
            return each->parent == &outer && each->pending > 0;
        });
    };
    for (unsigned step = 0; step < steps || !chains.empty(); ++step) {
        if (chains.empty() || (step < steps && random.one_in(4))) {
            expected_chain* outer =
                chains.empty() ? nullptr : chains[random.below(chains.size())].get();
            if (outer != nullptr && (outer->pending == 0 || random.one_in(2))) outer = nullptr;
            auto made = std::make_unique<expected_chain>();
            made->lead = next_lead++;
            made->parent = outer;
            made->record = &open(rt, 3, made->lead, outer == nullptr ? nullptr : outer->record);
            if (outer != nullptr) ++outer->pending;
            chains.push_back(std::move(made));
        }
        const std::size_t chosen = random.below(chains.size());
        expected_chain& one = *chains[chosen];
        const bool has_own = one.pending > static_cast<std::uint64_t>(nested_in(one));
        if (one.pending > 0 && step < steps && random.one_in(2)) {
            one.record->enter();
            ++one.pending;
        } else if (has_own) {
            How::leave(*one.record);
            ++one.ended;
            one.left();
        }
        if (!as_expected()) return false;
        if (one.ended > 0 && random.one_in(2)) {
            one.record->release();
            --one.ended;
        }
        if (one.pending == 0 && one.ended == 0) {
            chains.erase(chains.begin() + static_cast<std::ptrdiff_t>(chosen));
        }
    }
    return usage_of_chains().in_use == in_use;
}

}  // namespace

TEST_CASE("a_chain_is_open_until_its_last_member_has_ended") {
    const fake_runtime rt;
    const chain_usage before = usage_of_chains();
    chain& solve = open(rt, 5, 42);
    CHECK(solve.domain() == 5);
    CHECK(solve.runtime() == rt.core());
    CHECK(solve.lead_id() == 42);
    CHECK(solve.seed() == seed_of(42, solve_traits()));
    solve.enter();
    solve.enter();
    solve.leave();  // the lead goes first
    solve.release();
    const auto seen = open_chains(rt.core());
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].lead_id == 42);
    CHECK(seen[0].domain == 5);
    CHECK(seen[0].pending == 2);
    CHECK(seen[0].operation == "solve");
    CHECK(seen[0].seed_prefix == seed_of(42, solve_traits()).substr(0, 8));
    CHECK(seen[0].age.count() >= 0);
    solve.leave_and_release();
    CHECK(is_open(rt, 42));
    solve.leave();
    CHECK_FALSE(is_open(rt, 42));
    CHECK(usage_of_chains().open == before.open);
    // A handle may ask for the seed when all is over.
    CHECK(usage_of_chains().in_use == before.in_use + 1);
    CHECK(solve.seed() == seed_of(42, solve_traits()));
    solve.release();
    CHECK(usage_of_chains().in_use == before.in_use);
}

TEST_CASE("an_outer_chain_stays_open_until_the_nested_one_is_closed") {
    const fake_runtime rt;
    const std::size_t in_use = usage_of_chains().in_use;
    chain& outer = open(rt, 1, 1);
    chain& inner = open(rt, 1, 2, &outer);
    CHECK(outer.counts().pending() == 2);
    outer.leave_and_release();
    CHECK(is_open(rt, 1));
    inner.enter();
    inner.leave();
    CHECK(is_open(rt, 1));
    inner.leave();
    CHECK(open_chains(rt.core()).empty());
    // Nothing of the outer one is left, although the inner one's handles live on.
    CHECK(usage_of_chains().in_use == in_use + 1);
    inner.release();
    inner.release();
    CHECK(usage_of_chains().in_use == in_use);
}

TEST_CASE("chains_nested_a_hundred_thousand_deep_close_at_once") {
    const fake_runtime rt;
    const std::size_t in_use = usage_of_chains().in_use;
    const std::size_t depth = scaled(100'000);
    chain* innermost = nullptr;
    for (std::size_t i = 0; i < depth; ++i) {
        chain& next = open(rt, 0, i, innermost);
        if (innermost != nullptr) innermost->leave_and_release();
        innermost = &next;
    }
    CHECK(usage_of_chains().open >= depth);
    innermost->leave_and_release();
    CHECK(open_chains(rt.core()).empty());
    CHECK(usage_of_chains().in_use == in_use);
}

TEST_CASE("records_are_reused_and_never_while_somebody_holds_one") {
    const fake_runtime rt;
    chain& held = open(rt, 0, 1);
    held.leave();
    for (std::uint64_t i = 0; i < 1000; ++i) {
        chain& next = open(rt, 0, i);
        CHECK(&next != &held);
        next.leave_and_release();
    }
    const std::size_t records = usage_of_chains().records;
    for (std::uint64_t i = 0; i < 1000; ++i) {
        chain& next = open(rt, 0, i);
        if (i % 2 == 0) {
            next.leave_and_release();
        } else {
            next.leave();
            next.release();  // by a handle, which goes last
        }
    }
    CHECK(usage_of_chains().records == records);
    held.release();
}

TEST_CASE("a_snapshot_shows_the_chains_of_one_runtime") {
    const std::array<fake_runtime, 2> runtimes;
    chain& first = open(runtimes[0], 0, 1);
    chain& second = open(runtimes[1], 0, 2);
    CHECK(is_open(runtimes[0], 1));
    CHECK_FALSE(is_open(runtimes[0], 2));
    CHECK(is_open(runtimes[1], 2));
    CHECK_FALSE(is_open(runtimes[1], 1));
    first.leave_and_release();
    second.leave_and_release();
}

TEST_CASE("random_chains_are_open_exactly_while_a_member_is_pending") {
    CHECK(random_chains_count_right<ends_once>(static_cast<unsigned>(scaled(2000))));
}

TEST_CASE("the_check_of_chains_catches_a_member_that_ends_twice") {
    // In a process of its own: the counts are wrong afterwards.
    const auto caught = [] { return random_chains_count_right<ends_twice>(2000) ? 1 : 0; };
    CHECK(in_child(caught) == "exit 0");
}

}  // namespace tokengate::test
