// SPDX-License-Identifier: Apache-2.0
/// @file
/// The pooled object behind a token, and the functions through which the templates reach the
/// library.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <new>
#include <string>
#include <string_view>

#include <tokengate/detail/state_word.hpp>
#include <tokengate/weight.hpp>

namespace tokengate::detail {

class chain;
class runtime_core;
class strand;
class worker;
struct bulk_type;
struct operation_core;
struct token_node;

/// What the runtime must know of the frames of one callable; one constant for each.
struct frame_type {
    /// Runs the callable and keeps its result or its exception: completed or failed; or waiting: it
    /// has done neither, and is to be put back.
    token_state (*run)(token_node&) noexcept;
    /// Destroys the arguments of a token that will not run.
    void (*drop_arguments)(token_node&) noexcept;
    /// Destroys the result (of a completed token) or the exception (of a failed one).
    void (*drop_outcome)(token_node&, token_state outcome) noexcept;
    /// Size of node and frame together, in bytes.
    std::size_t size;
    /// The class of nodes that this fits.
    std::uint8_t size_class;
    /// There is nothing to destroy in a result.
    bool trivial_result;
    /// The same for bulks; null: there are none.
    const bulk_type* bulk = nullptr;
    /// Runs the callable once, with copies of the arguments where a parameter is no reference to a
    /// const object, so that they remain for another attempt. `completed` or `failed`: the token
    /// has ended as after run(). `executing`: the callable, or a copy, threw what is in `thrown`;
    /// the arguments are as they were, and the next is another attempt or
    /// drop_arguments(). Null if the operation has no traits that could ask for retries
    /// (repeatable_frame), or an argument cannot be copied (tokengate::copied_for_retry).
    token_state (*attempt)(token_node&, std::exception_ptr& thrown) noexcept = nullptr;
    /// Where the outcome is, in bytes from the beginning of the node.
    std::size_t outcome_offset = 0;
    /// How many bytes the arguments take, with what they hold (tokengate/argument.hpp); while they
    /// are there.
    std::size_t (*argument_bytes)(const token_node&) noexcept = nullptr;
    /// Takes over a token whose run() has said waiting, when the worker has taken it off its stack,
    /// with its entry's reference, if that is in hand; else its entry is still where it was. False:
    /// it has been ended meanwhile.
    bool (*put_back)(token_node&, bool entry_in_hand) noexcept = nullptr;
    /// Calls can be compared by their arguments (tokengate/detail/duplicate.hpp).
    bool coalescible = false;
    /// Makes a node ready for a callable that is a coroutine; null: it is none. Before the
    /// arguments are built.
    void (*prepare)(token_node&) noexcept = nullptr;
    /// Where the suspension of that is, in bytes from the beginning of the node; 0: there is none.
    std::size_t suspension_offset = 0;
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

/// Which way a token goes from the gate to a worker.
enum class route : std::uint8_t {
    mailbox,  ///< through a lane of its domain's mailbox; it holds a credit of that lane
    deque,    ///< onto the deque of the worker that creates it
    here,     ///< run at once by the worker that creates it, beyond all limits
    bulk,     ///< it is no token, but a share of a bulk (lib/domain/bulk.md), which says the way
};

/// A pin of a sticky key: the slot that counts it, and the domain that it holds.
struct pinned_place {
    std::uint32_t slot;
    std::uint16_t domain;
};

/// The head of every token: 48 bytes, so that a token with one argument and a result, neither
/// larger than a pointer, fits one cache line. Nodes are aligned to cache lines by the pool; the
/// frame (outcome, arguments) follows the node.
///
/// Who may write what: the submitting thread everything until the token is pushed; then the worker
/// that popped it, until the token is terminal; then the last holder. The state word and the domain
/// are atomic and may be read by anyone who holds a reference.
///
/// A token is **anchored** if it is in a chain, serial or pinned: it runs in one domain only. Such
/// a token has no position; what anchors it takes its place.
struct token_node {
    state_word state;
    std::atomic<std::uint16_t> domain{0};  ///< where the gate placed it, then where it runs
    weight weight_class = weight::medium;
    route way : 2 = route::mailbox;  ///< how it left the gate
    bool chained : 1 = false;        ///< `calls` holds; its domain is that of the chain
    bool serial : 1 = false;         ///< `line` holds; it waits for its turn there
    bool pinned : 1 = false;         ///< `pin` holds
    bool supervised : 1 = false;     ///< a record lies behind its frame (lib/resilience)
    bool dependent : 1 = false;      ///< it has inputs in place of arguments (lib/dataflow)
    bool resumable : 1 = false;      ///< its callable is a coroutine (lib/coroutine)
    union {
        token_node* next = nullptr;   ///< link in free lists
        const runtime_core* runtime;  ///< of a token without a chain: whose it is; only compared
        chain* calls;                 ///< of a token in a chain, which knows the runtime
    };
    operation_core* operation = nullptr;  ///< valid while the token is not terminal
    const operation_label* label = nullptr;
    std::uint64_t id = 0;
    union {
        std::uint64_t position = no_position;  ///< of a free token
        strand* line;
        pinned_place pin;
    };

    /// The functions of its frame.
    [[nodiscard]] const frame_type& type() const noexcept { return *label->type; }

    /// True if it may run in one domain only.
    [[nodiscard]] bool anchored() const noexcept { return (marks() & 0b0001'1100) != 0; }

    /// Sets all that says what it is, which is nothing else than this.
    void mark(route how, bool is_chained, bool is_serial, bool is_pinned) noexcept {
        reinterpret_cast<unsigned char*>(this)[7] = static_cast<unsigned char>(
            static_cast<unsigned>(how) | (is_chained ? 0b0000'0100U : 0U) |
            (is_serial ? 0b0000'1000U : 0U) | (is_pinned ? 0b0001'0000U : 0U));
    }

    /// What ties it, for those who may look while a dependent gets its place (lib/dataflow).
    struct ties {
        route way;
        bool chained;
        bool serial;
        bool anchored;
    };
    [[nodiscard]] ties glance() const noexcept {
        // Relaxed: whoever does more than look has seen it admitted. (std::atomic_ref takes nothing
        // that is const.)
        const unsigned now =
            __atomic_load_n(reinterpret_cast<const unsigned char*>(this) + 7, __ATOMIC_RELAXED);
        return {.way = static_cast<route>(now & 0b0000'0011U),
                .chained = (now & 0b0000'0100U) != 0,
                .serial = (now & 0b0000'1000U) != 0,
                .anchored = (now & 0b0001'1100U) != 0};
    }

    /// Its number in the order of its class; none if something anchors it. Likewise.
    [[nodiscard]] std::uint64_t number() const noexcept {
        if (glance().anchored) return no_position;
        // Relaxed: as above.
        return __atomic_load_n(&position, __ATOMIC_RELAXED);
    }

    /// Its strand, or null if it has none. Likewise; who has seen it wait in one finds it.
    [[nodiscard]] const strand* line_at_a_glance() const noexcept {
        // Relaxed: as above.
        return glance().serial ? __atomic_load_n(&line, __ATOMIC_RELAXED) : nullptr;
    }

    /// A dependent has got its place: it has arguments from now on.
    /// @param word  its number, or what the union holds instead
    void settle(bool is_serial, bool is_pinned, std::uint64_t word) noexcept {
        // Relaxed: the state word publishes them.
        std::atomic_ref(position).store(word, std::memory_order_relaxed);
        const unsigned now = (marks() & 0b1010'0111U) | (is_serial ? 0b0000'1000U : 0U) |
                             (is_pinned ? 0b0001'0000U : 0U);
        std::atomic_ref(reinterpret_cast<unsigned char*>(this)[7])
            .store(static_cast<unsigned char>(now), std::memory_order_relaxed);
    }

    /// True if nothing is to be done for it but to run it.
    [[nodiscard]] bool plain() const noexcept { return (marks() & 0b1011'1100) == 0; }

    /// True if there is more to its commit than a push.
    [[nodiscard]] bool commits_specially() const noexcept { return (marks() & 0b0010'1000) != 0; }

  private:
    // The bits from `way` on, in one load: compilers ask for each of them by itself.
    [[nodiscard]] std::uint8_t marks() const noexcept {
        return reinterpret_cast<const unsigned char*>(this)[7];
    }
};

static_assert(sizeof(token_node) == 48, "a small token fits one cache line");

/// The link of a token that waits in a strand: the first bytes behind the head, where its outcome
/// will be, which nobody builds before the token has left the strand.
[[nodiscard]] inline token_node*& strand_link(token_node& node) noexcept {
    static_assert(sizeof(token_node) % alignof(token_node*) == 0);
    return *std::launder(reinterpret_cast<token_node**>(&node + 1));
}

/// What makes a call sticky: the hash of its key, and for serial keys a second one, which together
/// tell keys apart.
struct call_key {
    std::uint64_t hash = 0;
    std::uint64_t second = 0;
};

/// A key that is held without a token.
struct held_key {
    runtime_core* runtime = nullptr;  ///< null: nothing is held
    strand* line = nullptr;           ///< of a serial key; otherwise `slot` counts it
    std::uint32_t slot = 0;
    unsigned domain = 0;
};

/// Holds the key of a call of this sticky operation.
/// @throws operation_error if it is not sticky; runtime_stopped, std::bad_alloc
[[nodiscard]] held_key hold_key(operation_core& operation, call_key key);

/// Ends a hold.
void let_go(const held_key& held) noexcept;

/// What the gate does with a call when there is no room.
enum class admission : std::uint8_t {
    wait,    ///< block, or on a worker run other tokens first
    refuse,  ///< give up at once
};

/// First half of a call: anchors and places it, reserves room, takes a node from the pool. Null if
/// refused. Blocks at a limit unless told to refuse. The key matters to sticky operations only.
/// @throws runtime_stopped, runtime_forked, std::bad_alloc
[[nodiscard]] token_node* begin_call(operation_core& operation, const frame_type& type,
                                     admission how, call_key key);

/// Who holds a token from the start.
enum class holders : std::uint8_t {
    runtime = 1,  ///< nobody else: it may be gone as soon as it is committed
    caller = 2,   ///< the caller, too
};

/// Second half: the frame is built; puts the token into its mailbox and wakes a worker if one is
/// needed.
/// @throws runtime_stopped if the runtime has been stopped since begin_call(); frame, room and node
///         are gone then
void commit_call(token_node& node, holders held_by);

/// Instead of the second half, when building the frame has thrown: returns room and node.
void abandon_call(token_node& node) noexcept;

/// Destroys the outcome of a token that nobody holds any more and returns its node to the pool.
void recycle(token_node& node, token_state outcome) noexcept;

/// What a waiting worker may run on the stack of the one who waits.
enum class helping : std::uint8_t {
    anything,  ///< whatever the worker may run, up to `help_depth` tokens inside each other
    isolated,  ///< the awaited token, and what is created on this worker while that runs
};

/// Waits until the token is terminal, by sleeping or, on a worker, by running other tokens.
/// @param alone  no other thread can use the caller's handle meanwhile
/// @throws runtime_forked in a child process; deadlock if the wait could never end
void wait_terminal(token_node& node, helping how, bool alone = false);

/// The same until `deadline` (std::chrono::steady_clock nanoseconds). True if terminal.
[[nodiscard]] bool wait_terminal_until(token_node& node, std::int64_t deadline, helping how);

/// What a thread is blocked by: whatever ends by itself, or tokens, which may need its domain.
enum class blocked_by : std::uint8_t { anything, tokens };

/// While it lives, the calling thread is taken to be blocked: if it is a worker, another thread
/// stands in for it in its domain.
class blocking_section {
  public:
    explicit blocking_section(blocked_by cause = blocked_by::anything) noexcept;
    ~blocking_section();
    blocking_section(const blocking_section&) = delete;
    blocking_section& operator=(const blocking_section&) = delete;

  private:
    worker* owner_;  ///< the worker that is blocked; null on other threads
    blocked_by cause_;
};

/// Kills a token. True if this ended it; false if it was terminal already.
bool kill(token_node& node) noexcept;

/// The same for a reason, which token_killed will tell.
/// @throws std::bad_alloc; nothing has happened then
bool kill(token_node& node, std::string_view reason);

/// Keeps a token from beginning. False: it has begun, or ended.
bool pause(token_node& node) noexcept;

/// Ends that. False: it was not paused.
bool resume(token_node& node) noexcept;

/// Waits until the token is terminal, and then until its callable has returned, if that runs still.
/// @throws as wait_terminal(); deadlock if the caller is that callable
void join(token_node& node);

/// How often its callable has been called.
[[nodiscard]] unsigned attempts_of(const token_node& node) noexcept;

/// The seed of the chain that a token belongs to; empty if it is in none.
[[nodiscard]] std::string seed_of_chain(const token_node& node);

/// Throws the error of a token that ended without a result or an exception of its own.
[[noreturn]] void throw_undelivered(const token_node& node);

/// Throws empty_token, naming the question that was asked.
[[noreturn]] void throw_empty(const char* question);

/// Throws result_shared for a move-only result that others share.
[[noreturn]] void throw_shared(const token_node& node);

}  // namespace tokengate::detail
