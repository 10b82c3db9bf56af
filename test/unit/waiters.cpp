// SPDX-License-Identifier: Apache-2.0
// Who finds a cycle of waits.
#include "domain/waiters.hpp"

#include <doctest/doctest.h>

#include "sleep/event_count.hpp"

namespace tokengate::test {

using detail::event_count;
using detail::execution_stack;
using detail::token_node;
using detail::waiting_workers;

namespace {

/// A worker that executes one token.
struct busy {
    busy() { stack.push(frame); }

    token_node node;
    execution_stack::frame frame{&node};
    execution_stack stack;
};

}  // namespace

TEST_CASE("the_worker_that_closes_a_cycle_of_waits_finds_it") {
    event_count wake;
    busy a;
    busy b;
    busy c;
    const waiting_workers::entry first(b.node, wake, a.stack, false);
    const waiting_workers::entry second(c.node, wake, b.stack, false);
    const waiting_workers::entry third(a.node, wake, c.stack, false);
    CHECK_FALSE(first.closes_a_cycle());
    CHECK_FALSE(second.closes_a_cycle());
    CHECK(third.closes_a_cycle());
}

TEST_CASE("a_worker_that_waits_for_a_cycle_without_being_in_it_is_not_held_up_by_it") {
    event_count wake;
    busy a;
    busy b;
    busy outside;
    const waiting_workers::entry first(b.node, wake, a.stack, false);
    const waiting_workers::entry second(a.node, wake, b.stack, false);
    const waiting_workers::entry third(a.node, wake, outside.stack, false);
    CHECK_FALSE(first.closes_a_cycle());
    CHECK(second.closes_a_cycle());
    CHECK_FALSE(third.closes_a_cycle());
}

TEST_CASE("a_cycle_is_found_by_way_of_any_worker_that_runs_the_same_share_of_a_bulk") {
    event_count wake;
    busy a;
    busy b;
    busy c;
    busy elsewhere;
    // a and b run stretches of one share.
    execution_stack::frame same(&a.node);
    b.stack.push(same);
    // What b waits for leads back to c, what a waits for does not, whichever of them is listed
    // first.
    for (const bool turned : {false, true}) {
        const waiting_workers::entry first(turned ? c.node : elsewhere.node, wake,
                                           turned ? b.stack : a.stack, false);
        const waiting_workers::entry second(turned ? elsewhere.node : c.node, wake,
                                            turned ? a.stack : b.stack, false);
        const waiting_workers::entry third(a.node, wake, c.stack, false);
        CHECK_FALSE(first.closes_a_cycle());
        CHECK_FALSE(second.closes_a_cycle());
        CHECK(third.closes_a_cycle());
    }
}

TEST_CASE("a_wait_with_a_deadline_is_no_part_of_a_cycle") {
    event_count wake;
    busy a;
    busy b;
    const waiting_workers::entry first(b.node, wake, a.stack, true);
    const waiting_workers::entry second(a.node, wake, b.stack, false);
    CHECK_FALSE(first.closes_a_cycle());
    CHECK_FALSE(second.closes_a_cycle());
}

}  // namespace tokengate::test
