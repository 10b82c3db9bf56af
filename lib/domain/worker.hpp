// SPDX-License-Identifier: Apache-2.0
/// @file
/// One worker: a pinned thread that runs tokens.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <semaphore>
#include <string_view>
#include <thread>
#include <vector>

#include <tokengate/detail/frame.hpp>

#include "domain/counters.hpp"
#include "domain/crew.hpp"
#include "domain/deque.hpp"
#include "domain/execution_stack.hpp"
#include "domain/mailbox.hpp"
#include "locality/membership.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"

namespace tokengate::detail {

class permit_use;

/// How the workers of a crew report that they have started.
struct muster {
    std::counting_semaphore<> arrived{0};  ///< once for each thread, whether it will work or not
    std::atomic<bool> failed{false};       ///< one of them has run out of memory on its way
};

/// The deques of a worker: for each weight class one for free tokens, which other domains may steal
/// from, and one for anchored tokens, which only workers of the same domain may.
/// In the order in which a worker looks at its own.
enum class deque_kind : std::uint8_t { anchored, heavy, medium, light };

inline constexpr std::array all_deques{deque_kind::anchored, deque_kind::heavy, deque_kind::medium,
                                       deque_kind::light};

[[nodiscard]] constexpr deque_kind kind_of(weight value) noexcept {
    return static_cast<deque_kind>(index_of(value) + 1);
}
[[nodiscard]] inline deque_kind kind_of(const token_node& node) noexcept {
    return node.anchored() ? deque_kind::anchored : kind_of(node.weight_class);
}
[[nodiscard]] inline deque_kind kind_of(const token_node& node, token_node::ties seen) noexcept {
    return seen.anchored ? deque_kind::anchored : kind_of(node.weight_class);
}

/// The lane from which the same workers may take as from such a deque.
[[nodiscard]] constexpr lane lane_like(deque_kind kind) noexcept {
    return kind == deque_kind::anchored ? lane::anchored_heavy
                                        : static_cast<lane>(static_cast<unsigned>(kind) - 1);
}

/// A set of deques, one bit each.
using deque_mask = std::uint8_t;

[[nodiscard]] constexpr deque_mask bit_of(deque_kind kind) noexcept {
    return static_cast<deque_mask>(1U << static_cast<unsigned>(kind));
}

inline constexpr deque_mask all_deques_mask = (1U << all_deques.size()) - 1;

/// How a worker holds a token that it runs.
enum class grip : std::uint8_t {
    entry,  ///< it has taken its entry out of a mailbox or deque
    husk,   ///< its entry is still there, as a husk
    alone,  ///< it has its entry, and nobody else could reach it when it was begun
};

/// How a worker's wait for a token ended.
enum class wait_end : std::uint8_t {
    terminal,  ///< the token is terminal
    late,      ///< the deadline passed
    deadlock,  ///< the token cannot end before this wait does
};

/// Where the deques of a worker were: what lies above was created since.
struct deque_marks {
    std::array<std::int64_t, all_deques.size()> of{};
};

/// A worker of one domain. The loop: own deques, own mailbox, the deques of the other workers of
/// its domain, then other domains by distance, then a short pause, then announce itself idle, spin,
/// and park. A reserve worker does the same while it stands in for one that is blocked, but looks
/// at those deques before the mailbox, and rests otherwise.
///
/// Members without a comment on threads belong to the worker's own thread.
class alignas(64) worker {
  public:
    /// @param index  among the workers of its domain; those from `workers_per_core` up are reserves
    worker(crew& owner, domain& home, unsigned index, const settings& chosen);

    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    /// Starts the thread, which reports to `present` once it is pinned and in its arena, or has
    /// failed to get there. The owner's thread only.
    /// @throws std::system_error or std::bad_alloc if the system has no thread to give
    void start(muster& present);

    /// Waits for the thread's end. The owner's thread only.
    void join() noexcept;

    /// The worker that runs on the calling thread; null on other threads.
    [[nodiscard]] static worker* current() noexcept;

    /// The same if it is one of this crew's, else null.
    [[nodiscard]] static worker* current_of(const crew& owner) noexcept {
        worker* const self = current();
        return self != nullptr && &self->crew_ == &owner ? self : nullptr;
    }

    /// Runs what it has taken out, if that may run now.
    void run(token_node& node) noexcept;

    /// Runs one token, if there is one that it may run. False if not.
    bool run_one() noexcept;

    /// Runs one token, if there is one that may run on top of what waits on this stack.
    bool help() noexcept;

    /// True if the token that it executes is not terminal, that is, was not killed meanwhile.
    [[nodiscard]] bool executes_live() const noexcept;

    /// True if the token that it executes is serial: nothing foreign may run on top of it, or those
    /// that call for the same turn there would wait for themselves.
    [[nodiscard]] bool has_turn() const noexcept;

    /// The chain of the token that it executes; null if there is none.
    [[nodiscard]] chain* current_chain() const noexcept {
        const token_node* node = executing.innermost();
        return node != nullptr && node->chained ? node->calls : nullptr;
    }

    /// Makes a reserve stand in for a blocked worker. False if the system has no thread to give.
    /// Under the domain's reserve_lock.
    [[nodiscard]] bool stand_up() noexcept;

    /// The reserve rests from now on. Under the domain's reserve_lock.
    void lie_down() noexcept { standing_.store(false, std::memory_order_seq_cst); }

    /// How many tokens are on its stack; its own thread only.
    [[nodiscard]] unsigned depth() const noexcept { return depth_; }

    /// Gives all credits back that it has collected; before it sleeps.
    void settle_all() noexcept;

    /// Runs the awaited token itself, if it has not begun and may run here: at any depth, since a
    /// plain call would be as deep. True if it is terminal now.
    /// Of a share of a bulk it runs all that nobody has begun.
    /// @param alone  nobody can stand in for this worker: better in place than never
    bool run_awaited(token_node& awaited, bool alone = false) noexcept;

    /// Runs the awaited token if it is the newest that this worker has created, as in fork and
    /// join, and nothing keeps it from running whatever it may. True if it is terminal now.
    /// @param alone  nobody else can use the handle of who waits
    bool run_newest(token_node& awaited, bool alone) noexcept;
    /// Runs a stretch of the share whose entry it has taken; nothing if none is left, or if what it
    /// has taken is a husk. Gives up the entry's reference.
    void run_entry(token_node& node) noexcept;

    /// Runs other tokens until `awaited` is terminal or the deadline has passed; sleeps when there
    /// is nothing to run.
    [[nodiscard]] wait_end wait_for(token_node& awaited,
                                    std::optional<steady_ns> deadline) noexcept;

    /// Waits for anything else, until done(what): whoever brings that about notifies `wake`. Runs
    /// what was created since it began; other tokens only if nobody can be had who stands in.
    void help_until(bool (*done)(const void*), const void* what, const deque_marks& begun) noexcept;

    /// Where its deques are.
    [[nodiscard]] deque_marks marks() noexcept;

    /// Runs a token that this worker has just begun. It gives up the runtime's reference at its
    /// end, unless its husk keeps that.
    void execute(token_node& node, grip held) noexcept;

    /// True if it may run free tokens of this class, and has room for one that it creates.
    [[nodiscard]] bool keeps(weight weight_class) const noexcept {
        return may_run_class(weight_class) && has_room(kind_of(weight_class));
    }

    /// True if this deque has room for a token.
    [[nodiscard]] bool has_room(deque_kind kind) const noexcept {
        return deques_[static_cast<std::size_t>(kind)].has_room();
    }

    /// Puts a token onto its deque, and wakes a worker if one that may run it is idle. False if
    /// there is no room.
    [[nodiscard]] bool keep(token_node& node) noexcept {
        // Before the push: the token may be gone as soon as that.
        const deque_kind kind = kind_of(node);
        if (!at(kind).push(node)) [[unlikely]]
            return false;
        offer(kind);
        return true;
    }

    /// For how many tokens, or entries of a share, this deque has room.
    [[nodiscard]] std::size_t room_in(deque_kind kind) const noexcept;

    /// Puts so many entries of a share, for which there is room, onto its deque, and wakes a worker
    /// if one that may run them is idle.
    void keep_share(token_node& node, std::uint32_t entries) noexcept;

    /// Takes the oldest token of a deque; null if there is none. Any thread.
    [[nodiscard]] token_node* steal(deque_kind kind) noexcept;

    /// True if a deque holds a token at this moment. Any thread.
    [[nodiscard]] bool offers(deque_kind kind) const noexcept;

    /// How many tokens lie on its deques, roughly. Any thread.
    [[nodiscard]] std::size_t queued() const noexcept {
        std::size_t sum = 0;
        for (const work_deque& each : deques_) sum += each.size();
        return sum;
    }

    /// True if it may run a free token of this class, wherever that is placed.
    [[nodiscard]] bool may_run_class(weight weight_class) const noexcept {
        return (home_.stealable & bit_of(lane_of(weight_class, false))) != 0;
    }

    /// Asks each callable on its stack that has a stop token, and whose token was killed, to stop.
    /// Any thread.
    void pass_stop_requests_on() noexcept;

    /// While it lives, the worker does nothing but wait for others.
    class pause {
      public:
        explicit pause(worker& owner) noexcept : owner_(owner) { owner_.pausing_ = true; }
        ~pause() { owner_.pausing_ = false; }
        pause(const pause&) = delete;
        pause& operator=(const pause&) = delete;

      private:
        worker& owner_;
    };

    /// True if it runs or looks for something, or is about to. Any thread.
    [[nodiscard]] bool moves() const noexcept {
        return !pausing_ && blocked_ == 0 && (!reserve_ || standing_);
    }

    /// True if it can do nothing before somebody else does: it waits for a token or for room, or
    /// rests. Any thread.
    [[nodiscard]] bool waits() const noexcept { return pausing_ || (reserve_ && !standing_); }

    /// The worker is about to block: somebody stands in for it until end_blocking(), if anybody can
    /// be had; the answer says so. One does for sections inside each other.
    bool begin_blocking() noexcept;
    void end_blocking() noexcept;

    /// Limits what waits on this stack run to the awaited token and what is created meanwhile.
    class isolation {
      public:
        explicit isolation(worker& owner) noexcept : isolation(owner, owner.marks()) {}
        /// Also of what was created before, since then.
        isolation(worker& owner, const deque_marks& since) noexcept
            : owner_(owner), outer_(owner.isolation_), marks_(since) {
            owner.isolation_ = this;
        }
        ~isolation();
        isolation(const isolation&) = delete;
        isolation& operator=(const isolation&) = delete;

      private:
        friend class worker;
        worker& owner_;
        const isolation* outer_;
        deque_marks marks_;
    };

    /// The runtime of this worker, to compare tokens with.
    [[nodiscard]] const runtime_core* runtime() const noexcept { return crew_.runtime(); }

    [[nodiscard]] crew& owner() const noexcept { return crew_; }
    [[nodiscard]] unsigned domain_index() const noexcept { return home_.number; }

    /// Its number in its domain. Any thread.
    [[nodiscard]] unsigned index() const noexcept { return index_; }

    /// Credits that it has collected by taking tokens out of a lane; any thread may empty it.
    [[nodiscard]] purse& lane_purse(unsigned domain_index, lane which) noexcept {
        return lane_purses_[domain_index][static_cast<std::size_t>(which)];
    }
    purse in_flight_purse;  ///< those of tokens that it has finished; any thread may empty it

    event_count wake;               ///< any thread: notified by whoever claims this worker
    event_count resumed;            ///< any thread: notified when a reserve is to stand in
    execution_stack executing;      ///< any thread may inspect
    permit_use* permits = nullptr;  ///< those of the tokens on its stack, the innermost first
    membership_store memberships;   ///< of the chain that it works on
    /// By operation; any thread may read. What others write is apart.
    zeroed_table<run_counts> counts;
    zeroed_table<taken_counts> overtaken;
    own_counter stolen;    ///< tokens taken from other domains
    own_counter parked;    ///< times it went to sleep
    own_counter anchored;  ///< anchored tokens whose callable it ran
    own_counter escapes;   ///< of those, tokens whose home is another domain: always 0

  private:
    using source_rotas = std::array<source_rota, lane_count>;

    /// How one worker goes through the lanes of others or its own: whose turn it is, and where it
    /// is in the middle of a row of tokens.
    struct round {
        explicit round(std::uint32_t retry_stride) noexcept : lanes(retry_stride) {}

        lane_rota lanes;
        source_rotas sources;
        // A row: the next tokens of one outbox of one lane, taken without looking at anything else.
        mailbox::source* row = nullptr;
        domain* row_of = nullptr;  ///< null while there is no row
        purse* row_purse = nullptr;
        credit_pool* row_pool = nullptr;
        lane row_lane = lane::medium;
        std::uint32_t row_left = 0;
        std::uint32_t row_taken = 0;  ///< not yet recorded in the rotas
    };

    /// Somebody stands in while this lives.
    class substitute {
      public:
        explicit substitute(worker& owner) noexcept
            : owner_(owner), found_(owner.begin_blocking()) {}
        ~substitute() { owner_.end_blocking(); }
        substitute(const substitute&) = delete;
        substitute& operator=(const substitute&) = delete;
        [[nodiscard]] bool found() const noexcept { return found_; }

      private:
        worker& owner_;
        const bool found_;
    };

    void count_token_wait(std::optional<crew::token_wait>& counted, bool& alone) noexcept;
    void loop() noexcept;
    void rest_as_reserve() noexcept;
    [[nodiscard]] token_node* find() noexcept;
    [[nodiscard]] token_node* find_at_home() noexcept;
    [[gnu::noinline, nodiscard]] token_node* find_as_reserve() noexcept;
    [[gnu::always_inline, nodiscard]] inline token_node* take_from_mailbox() noexcept;
    [[nodiscard]] token_node* take_from_siblings() noexcept;
    [[nodiscard]] token_node* find_elsewhere() noexcept;
    [[gnu::always_inline, nodiscard]] inline token_node* pop_own(deque_mask kinds) noexcept;
    [[nodiscard]] token_node* pop_created() noexcept;
    [[gnu::noinline, nodiscard]] token_node* take_from(domain& source, lane_mask allowed,
                                                       round& mine) noexcept;
    [[gnu::always_inline, nodiscard]] inline token_node* take_in_row(round& mine) noexcept;
    [[gnu::noinline]] static void end_row(round& mine) noexcept;
    void sleep_on_stack(event_count::ticket taken, std::optional<steady_ns> deadline) noexcept;
    [[nodiscard]] bool may_nest() const noexcept;
    [[nodiscard]] bool begins_in_place(const token_node& node, bool alone) const noexcept;
    [[nodiscard]] bool may_run(const token_node& node) const noexcept;
    [[nodiscard]] bool kill_condemned(token_node& awaited) noexcept;
    [[nodiscard]] bool run_claimed(token_node& awaited, bool alone,
                                   std::optional<steady_ns> deadline) noexcept;
    [[nodiscard]] bool may_go_on(token_node& awaited, bool alone) noexcept;
    [[nodiscard]] work_deque& at(deque_kind kind) noexcept {
        return deques_[static_cast<std::size_t>(kind)];
    }
    /// Something was pushed onto a deque: lets others know.
    void offer(deque_kind kind) noexcept {
        if ((own_offers_ & bit_of(kind)) == 0) [[unlikely]]
            mark_offered(kind);
        // Between the push and the look for sleepers; pairs with idle_set::announce().
        full_fence();
        crew_.wake(lane_like(kind), home_.number);
    }
    void mark_offered(deque_kind kind) noexcept;
    [[nodiscard]] token_node* poll_briefly() noexcept;
    void run_paused(token_node& node) noexcept;
    [[gnu::noinline]] void run_attended(token_node& node) noexcept;
    [[gnu::cold]] void run_too_late(token_node& node, std::string_view why = {}) noexcept;
    void run_stretch(token_node& node, std::uint32_t number, bool owns_reference) noexcept;
    bool run_share(token_node& awaited, std::optional<steady_ns> deadline) noexcept;
    void rest() noexcept;
    void tell_all() noexcept;
    void withdraw() noexcept;
    [[gnu::cold]] void pay() noexcept;
    [[nodiscard]] bool spin_until_woken(event_count::ticket taken) const noexcept;
    void earn(purse& credits, credit_pool& pool) noexcept {
        credits.earn();
        if (credits.count() >= pool.block()) [[unlikely]]
            crew_.give_back(pool, credits.empty());
    }
    void earn_in_flight() noexcept {
        in_flight_purse.earn();
        if (in_flight_purse.count() >= crew_.in_flight.block()) [[unlikely]]
            settle_finished();
    }
    [[nodiscard]] run_counts& counts_of(const token_node& node) noexcept {
        return counts[node.operation->number];
    }
    [[gnu::always_inline]] inline token_state run_callable(token_node& node,
                                                           run_counts& counted) noexcept;
    [[gnu::always_inline]] inline void execute_begun(token_node& node, grip held) noexcept;
    [[gnu::always_inline]] inline void execute_free(token_node& node, grip held) noexcept;
    [[gnu::noinline]] void execute_anchored(token_node& node, grip held) noexcept;
    [[gnu::noinline]] void put_back(token_node& node, grip held) noexcept;
    [[gnu::noinline, nodiscard]] bool end_execution(token_node& node, token_state outcome,
                                                    grip held) noexcept;
    void settle_taken() noexcept;
    void settle_finished() noexcept;

    crew& crew_;
    domain& home_;
    const unsigned index_;                     ///< among the workers of its domain
    const bool reserve_;                       ///< it works only while it stands in for another
    idle_seat idle_;                           ///< where it announces itself
    std::unique_ptr<domain_arena> own_arena_;  ///< of a reserve; others are in their domain's
    round at_home_;
    round elsewhere_;
    bool owes_ = false;                     ///< a wake-up: see pay()
    unsigned depth_ = 0;                    ///< tokens on its stack
    unsigned finds_ = 0;                    ///< times it has looked for something to run
    unsigned stole_at_ = 0;                 ///< at which of these it last found it elsewhere
    const isolation* isolation_ = nullptr;  ///< the innermost isolated wait on its stack
    deque_mask in_range_ = bit_of(deque_kind::anchored);  ///< and of classes that belong here
    deque_mask own_offers_ = 0;                           ///< its copy of offers_
    std::array<work_deque, all_deques.size()> deques_;
    /// Deques that may hold something; thieves look at nothing else. Written by its own thread.
    alignas(64) std::atomic<deque_mask> offers_{0};
    std::atomic<bool> pausing_{false};
    std::atomic<unsigned> blocked_{0};   ///< sections inside each other; written by its own thread
    bool replaced_ = false;              ///< somebody stands in for it
    std::atomic<bool> standing_{false};  ///< a reserve that works
    std::vector<std::array<purse, lane_count>> lane_purses_;  ///< by domain and lane
    std::uint64_t filled_ = 0;  ///< domains (modulo 64) in whose purses there may be something
    std::thread thread_;
};

}  // namespace tokengate::detail
