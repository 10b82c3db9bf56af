// SPDX-License-Identifier: Apache-2.0
/// @file
/// Mistakes that the library does not make, each a line somewhere in lib/. All are constants here,
/// so that no trace of them is compiled. test/mutants compiles the library with a header of the
/// same name, in which they can be switched on, and shows that the tests catch each of them.
#pragma once

namespace tokengate::detail::mutants {

inline constexpr bool pin_not_counted = false;         ///< the first token to end frees the key
inline constexpr bool pending_twice = false;           ///< a token leaves its chain twice
inline constexpr bool parent_not_held = false;         ///< a chain does not hold its outer one open
inline constexpr bool strand_does_not_wait = false;    ///< serial tokens run side by side
inline constexpr bool thief_ignores_anchor = false;    ///< anchored tokens are stolen
inline constexpr bool domain_is_not_woken = false;     ///< an anchored token wakes nobody
inline constexpr bool overtaken_ends_twice = false;    ///< a stretch that was taken over ends again
inline constexpr bool terminal_is_returned = false;    ///< join() does not wait for the callable
inline constexpr bool stop_not_passed_on = false;      ///< kill() looks for no stop token
inline constexpr bool backlog_without_passes = false;  ///< resume() pushes no passes
inline constexpr bool retry_is_forgotten = false;      ///< nothing ends a back-off
inline constexpr bool ringing_is_disarmed = false;     ///< disarm() is pleased with itself, always
inline constexpr bool timer_oversleeps = false;        ///< arming an alarm wakes nobody
inline constexpr bool place_comes_back_twice = false;  ///< a token makes room for two calls
inline constexpr bool place_is_kept = false;           ///< a token makes room for no call
inline constexpr bool equal_hash_is_enough = false;    ///< calls of one hash are equal
inline constexpr bool ended_token_is_found = false;    ///< by equal calls, while its callable runs
inline constexpr bool permit_is_not_lent = false;      ///< a token that waits keeps its own
inline constexpr bool promise_is_not_taken = false;    ///< a token goes on with a free permit only
inline constexpr bool failed_input_is_enough = false;  ///< a token takes what has no result
inline constexpr bool continuation_is_lost = false;    ///< the last input to end tells nobody
inline constexpr bool wait_wakes_nobody = false;       ///< a coroutine that waits is not readmitted
inline constexpr bool task_is_not_helped = false;      ///< a worker that waits for one just sleeps
inline constexpr bool visit_is_lost = false;           ///< a token that did not run tells nobody
inline constexpr bool stop_is_pleased = false;         ///< a sender stops what has ended, too
inline constexpr bool start_is_not_over = false;       ///< a sender completes while it starts

}  // namespace tokengate::detail::mutants
