// SPDX-License-Identifier: Apache-2.0
/// @file
/// The pooled object behind a token, and the functions through which the templates reach the
/// library.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include <tokengate/detail/state_word.hpp>
#include <tokengate/weight.hpp>

namespace tokengate::detail {

class runtime_core;
struct operation_core;
struct token_node;

/// What the runtime must know of the frames of one callable; one constant for each.
struct frame_type {
    /// Runs the callable and keeps its result or its exception: completed or failed.
    token_state (*run)(token_node&) noexcept;
    /// Destroys the arguments of a token that will not run.
    void (*drop_arguments)(token_node&) noexcept;
    /// Destroys the result (of a completed token) or the exception (of a failed one).
    void (*drop_outcome)(token_node&, token_state outcome) noexcept;
    /// Size of node and frame together, in bytes.
    std::size_t size;
};

/// What a token must know of its operation even when its runtime is gone: the operation's name and
/// the functions of the frame. Lives as long as the process.
struct operation_label {
    std::string name;
    const frame_type* type = nullptr;
    /// The next label of the same name, in any runtime; they are only ever added.
    mutable std::atomic<const operation_label*> next{nullptr};
};

/// Position of a token that has none.
inline constexpr std::uint64_t no_position = std::numeric_limits<std::uint64_t>::max();

/// The head of every token: 48 bytes, so that a token with one argument and a result, neither
/// larger than a pointer, fits one cache line. Nodes are aligned to cache lines by the pool; the
/// frame (arguments, result) follows the node.
///
/// Who may write what: the submitting thread everything until the token is pushed; then the worker
/// that popped it, until the token is terminal; then the last holder. The state word and the domain
/// are atomic and may be read by anyone who holds a reference.
struct token_node {
    state_word state;
    std::atomic<std::uint16_t> domain{0};  ///< where the gate placed it, then where it runs
    weight weight_class = weight::medium;
    std::uint8_t size_class = 0;  ///< which of the pool's free lists it came from
    union {
        token_node* next = nullptr;   ///< link in free lists
        const runtime_core* runtime;  ///< of a token: whose it is; only ever compared
    };
    operation_core* operation = nullptr;  ///< valid while the token is not terminal
    const operation_label* label = nullptr;
    std::uint64_t id = 0;
    std::uint64_t position = no_position;

    /// The functions of its frame.
    [[nodiscard]] const frame_type& type() const noexcept { return *label->type; }
};

static_assert(sizeof(token_node) == 48, "a small token fits one cache line");

/// What the gate does with a call when there is no room.
enum class admission : std::uint8_t {
    wait,    ///< block, or on a worker run other tokens first
    refuse,  ///< give up at once
};

/// First half of a call: reserves room, takes a node from the pool, numbers and places it.
/// Null if refused. Blocks at a limit unless told to refuse.
/// @throws runtime_stopped, runtime_forked, std::bad_alloc
[[nodiscard]] token_node* begin_call(operation_core& operation, const frame_type& type,
                                     admission how);

/// Second half: the frame is built; puts the token into its mailbox and wakes a worker if one is
/// needed. The node carries two references: the runtime's and the caller's.
/// @throws runtime_stopped if the runtime has been stopped since begin_call(); frame, room and node
///         are gone then
void commit_call(token_node& node);

/// Instead of the second half, when building the frame has thrown: returns room and node.
void abandon_call(token_node& node) noexcept;

/// Destroys the outcome of a terminal token and returns its node to the pool.
void recycle(token_node& node) noexcept;

/// Waits until the token is terminal, by sleeping or, on a worker, by running other tokens.
/// @throws runtime_forked in a child process
void wait_terminal(token_node& node);

/// The same until `deadline` (std::chrono::steady_clock nanoseconds). True if terminal.
[[nodiscard]] bool wait_terminal_until(token_node& node, std::int64_t deadline);

/// Throws the error of a token that ended without a result or an exception of its own.
[[noreturn]] void throw_undelivered(const token_node& node);

/// Throws empty_token, naming the question that was asked.
[[noreturn]] void throw_empty(const char* question);

/// Throws result_shared for a move-only result that others share.
[[noreturn]] void throw_shared(const token_node& node);

}  // namespace tokengate::detail
