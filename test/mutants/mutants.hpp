// SPDX-License-Identifier: Apache-2.0
/// @file
/// The same mistakes as in lib/mutants.hpp, of which the environment variable TOKENGATE_MUTANT
/// switches one on.
#pragma once

#include <cstdlib>
#include <string_view>

namespace tokengate::detail::mutants {

[[nodiscard]] inline bool chosen(std::string_view name) noexcept {
    const char* wanted = std::getenv("TOKENGATE_MUTANT");
    return wanted != nullptr && name == wanted;
}

inline const bool pin_not_counted = chosen("pin_not_counted");
inline const bool pending_twice = chosen("pending_twice");
inline const bool parent_not_held = chosen("parent_not_held");
inline const bool strand_does_not_wait = chosen("strand_does_not_wait");
inline const bool thief_ignores_anchor = chosen("thief_ignores_anchor");
inline const bool domain_is_not_woken = chosen("domain_is_not_woken");
inline const bool overtaken_ends_twice = chosen("overtaken_ends_twice");
inline const bool terminal_is_returned = chosen("terminal_is_returned");
inline const bool stop_not_passed_on = chosen("stop_not_passed_on");
inline const bool backlog_without_passes = chosen("backlog_without_passes");
inline const bool retry_is_forgotten = chosen("retry_is_forgotten");
inline const bool ringing_is_disarmed = chosen("ringing_is_disarmed");
inline const bool timer_oversleeps = chosen("timer_oversleeps");
inline const bool place_comes_back_twice = chosen("place_comes_back_twice");
inline const bool place_is_kept = chosen("place_is_kept");
inline const bool equal_hash_is_enough = chosen("equal_hash_is_enough");
inline const bool ended_token_is_found = chosen("ended_token_is_found");
inline const bool permit_is_not_lent = chosen("permit_is_not_lent");
inline const bool promise_is_not_taken = chosen("promise_is_not_taken");
inline const bool failed_input_is_enough = chosen("failed_input_is_enough");
inline const bool continuation_is_lost = chosen("continuation_is_lost");
inline const bool wait_wakes_nobody = chosen("wait_wakes_nobody");
inline const bool task_is_not_helped = chosen("task_is_not_helped");
inline const bool visit_is_lost = chosen("visit_is_lost");
inline const bool stop_is_pleased = chosen("stop_is_pleased");
inline const bool start_is_not_over = chosen("start_is_not_over");

}  // namespace tokengate::detail::mutants
