// SPDX-License-Identifier: Apache-2.0
/// @file
/// How tokens end: what each of them gives back, whichever way it ends. README.md, "How a token
/// ends".
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <tokengate/detail/node.hpp>

#include "domain/crew.hpp"
#include "domain/waiters.hpp"
#include "locality/chain.hpp"
#include "sleep/futex.hpp"
#include "token/reasons.hpp"

namespace tokengate::detail {

/// Whose a token is; only to be compared. May be asked as long as somebody holds the token.
[[nodiscard]] inline const runtime_core* runtime_of(const token_node& node) noexcept {
    return node.glance().chained ? node.calls->runtime() : node.runtime;
}

/// The domain that an anchored token must run in.
[[nodiscard]] unsigned home_of(const token_node& node) noexcept;

/// Wakes whoever waits for a token that has just become terminal, and tells its continuations. The
/// token may be gone already.
void tell_waiters(token_node& node, const state_word::finished& end) noexcept;
inline void wake_waiters(token_node& node, const state_word::finished& end) noexcept {
    if (!end.unnoticed()) tell_waiters(node, end);
}

/// Gives up a reference; the last holder recycles.
inline void drop_reference(token_node& node) noexcept {
    if (node.state.release()) recycle(node, node.state.phase());
}

/// Gives up an entry whose token somebody else has begun.
inline void drop_husk(token_node& node) noexcept {
    if (node.state.release_husk()) recycle(node, node.state.phase());
}

/// The same of what has come out of a lane and could not be begun. False: it is an entry again.
[[nodiscard]] inline bool drop_if_husk(token_node& node) noexcept {
    const state_word::given_up end = node.state.release_if_husk();
    if (end.last) recycle(node, node.state.phase());
    return end.done;
}

/// Leaves the token's chain and releases its pin. Once for each accepted token, when its callable
/// has returned or it is certain that it will not run, and before anyone can see it terminal.
inline void release_anchor(crew& owner, token_node& node) noexcept {
    if (node.chained) node.calls->leave();
    if (node.pinned) owner.sticky_keys.release(node.pin.slot);
}

/// Ends a token or a share that executes, and keeps the reason, if there is one.
[[nodiscard]] inline state_word::finished end_for_reason(token_node& node, token_state outcome,
                                                         end_reasons::prepared* why,
                                                         bool drops_reference = false) noexcept {
    const auto end = [&] { return node.state.finish(outcome, drops_reference); };
    return why != nullptr ? why->keep_if(end) : end();
}

/// The callable of a killed token has returned, or the rest of a killed stretch: whoever joins it
/// goes on. After it was taken off its execution stack.
void tell_joiners() noexcept;

/// Throws token_killed for what is called `token`.
[[noreturn]] void throw_killed(const std::string& token, std::uint64_t id, std::string reason);

/// A reason for the end of a token; nothing if it is empty, or there is no memory for it.
[[nodiscard]] std::optional<end_reasons::prepared> prepare_reason(token_node& node,
                                                                  std::string_view reason) noexcept;

/// Ends a token that the caller has begun, but will not run. It gives up the runtime's reference,
/// if it owns that, and passes the turn of a serial token on, if it had come. True if the caller is
/// to count it; false if somebody has killed it first.
/// @param why  kept as its reason
/// @param error  kept as its exception, if it fails
bool kill_begun(crew& owner, token_node& node, bool owns_reference, bool had_turn,
                end_reasons::prepared* why = nullptr, token_state outcome = token_state::killed,
                std::exception_ptr error = nullptr) noexcept;

/// Kills a token that has not begun, or was put back, and counts it. False if it executes or has
/// ended. The caller has a reference.
bool kill_if_waiting(token_node& node, end_reasons::prepared* why) noexcept;

/// Fails such a token with an exception, likewise; one that waits for its inputs.
void fail_waiting(token_node& node, std::exception_ptr error) noexcept;

/// Times such a token out, likewise.
void time_out_waiting(token_node& node, std::string_view why) noexcept;

/// Ends a token that executes, because its time is over, and asks its callable to stop; nothing if
/// it has ended. The caller has a reference, and keeps the runtime alive. True if this ended it.
bool time_out(token_node& node, std::string_view why) noexcept;

/// What came of killing a token that has come out of a mailbox or deque.
enum class kill_result : std::uint8_t {
    husk,      ///< somebody else had begun it
    too_late,  ///< it is not run, but somebody else has killed it first, and counts it
    killed,    ///< to be counted by the caller
};

/// Kills a token that has come out of a mailbox or deque and gives up its reference. Unless it was
/// a husk, the caller gives back its credit.
/// @param reason  kept as its reason; empty: none
[[nodiscard]] kill_result kill_popped(crew& owner, token_node& node,
                                      std::string_view reason = {}) noexcept;

}  // namespace tokengate::detail
