// SPDX-License-Identifier: Apache-2.0
/// @file
/// The two ways in which a token ends without running to its end.
#pragma once

#include <tokengate/detail/node.hpp>

#include "domain/waiters.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

/// Wakes whoever waits for a token that has just become terminal. The token may be gone already.
inline void wake_waiters(token_node& node, const state_word::finished& end) noexcept {
    if (end.wake) futex_wake_all(node.state.futex());
    if (end.helper) waiting_workers::notify(&node);
}

/// Gives up a reference; the last holder recycles.
inline void drop_reference(token_node& node) noexcept {
    if (node.state.release()) recycle(node);
}

/// Gives up a mailbox entry whose token somebody else has begun.
inline void drop_husk(token_node& node) noexcept {
    if (node.state.release_husk()) recycle(node);
}

/// Kills a token that has come out of a mailbox and gives up the mailbox's reference. False if it
/// is a husk.
inline bool kill_popped(token_node& node) noexcept {
    // Beginning it makes the arguments ours: nobody else can run or drop them from now on.
    if (!node.state.begin_execution()) {
        drop_husk(node);
        return false;
    }
    node.type().drop_arguments(node);
    wake_waiters(node, node.state.finish(token_state::killed, false));
    drop_reference(node);
    return true;
}

}  // namespace tokengate::detail
