// SPDX-License-Identifier: Apache-2.0
/// @file
/// The workers of a runtime and what they share.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/config.hpp>
#include <tokengate/detail/node.hpp>
#include <tokengate/topology.hpp>

#include "domain/arena_pool.hpp"
#include "domain/counters.hpp"
#include "domain/credits.hpp"
#include "domain/domain.hpp"
#include "domain/phase.hpp"
#include "locality/sticky_table.hpp"
#include "locality/strands.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"
#include "sleep/idle_set.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

/// All domains and workers of one runtime.
///
/// Thread safety: everything but start() and join() may be called from any thread.
class crew {
  public:
    /// Lays out the domains; no thread is started yet.
    /// @throws resource_error if the lanes' memory cannot be had
    crew(const runtime_core* runtime, const settings& chosen, const topology& machine);
    ~crew();
    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;

    /// Starts all workers and waits until each is pinned and in its arena.
    /// @throws resource_error if one cannot be started; none runs then
    void start();

    /// Waits until all workers have ended; the phase is `stopped`, and one thread at a time.
    void join() noexcept;

    /// Puts a token, which holds a credit of its lane, into a mailbox, by way of the calling
    /// thread's outbox in that lane, and wakes a worker if one that may run it is idle.
    void post(token_node& node, unsigned home, lane which, mailbox::source& from,
              unsigned worker_hint) noexcept {
        at(home).box.push(which, from, node);
        wake(which, home, worker_hint);
    }

    /// The same by way of the queue of its lane.
    void post(token_node& node) noexcept;

    /// Puts a token that was set aside into the retry lane of its domain, with new credits; unless
    /// it was killed. Gives its entry's reference away.
    void readmit(token_node& node) noexcept;

    /// Keeps a token that was set aside because it is paused; or readmits it, if it is to die.
    void keep(token_node& node) noexcept;

    /// The same with a share of a bulk, which holds a credit for each element, as so many entries.
    void post_share(token_node& node, mailbox::source& from, std::uint32_t entries,
                    unsigned worker_hint) noexcept;

    /// Wakes an idle worker that may take from this lane of that domain, for what was put there, or
    /// onto a deque that stands for it: one of the domain itself, else the nearest.
    void wake(lane which, unsigned home, unsigned worker_hint = 0) noexcept {
        if (anybody_idle(may_take_[static_cast<std::size_t>(which)])) [[unlikely]]
            wake_one(which, home, worker_hint);
    }

    /// Pays what a worker of this domain owes: wakes a worker for each lane and deque that it may
    /// take from and that holds a token (lib/sleep/README.md).
    void pass_on(unsigned domain_index) noexcept;

    /// Posts the next token of a strand. Once for each token whose turn it was, when its callable
    /// has returned or it is certain that nothing of this strand runs any more.
    void pass_turn(strand& line) noexcept;

    /// The turn of a serial token has come, which holds a credit of its lane: posts it, or sets it
    /// aside, if it is paused. False: it has been killed; the turn is to be passed on.
    [[nodiscard]] bool begin_turn(token_node& node) noexcept;

    /// While one lives, on a thread that is none of its workers, the runtime does not end.
    class visitor {
      public:
        explicit visitor(crew& of) noexcept : of_(of) {
            // Relaxed: by who knows that it has not ended yet, and keeps it from that.
            of_.visitors_.fetch_add(1, std::memory_order_relaxed);
        }
        // Release: pairs with the acquire in join().
        ~visitor() { of_.visitors_.fetch_sub(1, std::memory_order_release); }
        visitor(const visitor&) = delete;
        visitor& operator=(const visitor&) = delete;

      private:
        crew& of_;
    };

    /// A worker of this domain is about to block: has another thread stand in for it. False if
    /// there is none to be had. Whatever the answer, step_back() ends it.
    [[nodiscard]] bool stand_in(unsigned domain_index) noexcept;

    /// While one lives, somebody of this crew waits for a token, takes nothing out of lanes, and
    /// may need any domain to go on: none is left deserted, as long as there are threads to be had.
    /// To be made after stand_in().
    class token_wait {
      public:
        explicit token_wait(crew& owner) noexcept : owner_(owner) { owner_.begin_token_wait(); }
        ~token_wait() { owner_.end_token_wait(); }
        token_wait(const token_wait&) = delete;
        token_wait& operator=(const token_wait&) = delete;

      private:
        crew& owner_;
    };
    void begin_token_wait() noexcept;
    void end_token_wait() noexcept;

    /// Has a thread beyond `reserve_workers` stand in for each deserted domain.
    void relieve() noexcept;

    /// True if all workers of this domain are blocked: nobody is left who takes anything out of its
    /// lanes. Those hear when that comes about, unless somebody can be had beyond the reserves.
    [[nodiscard]] bool is_deserted(unsigned domain_index) const noexcept;

    /// The worker goes on: a thread that stands in may rest when it has finished its token.
    void step_back(unsigned domain_index) noexcept;

    /// For a reserve worker with nothing in hand: true if it is not needed any more and rests now,
    /// until it is made to stand in again.
    [[nodiscard]] bool may_rest(worker& reserve) noexcept;

    /// Takes every token out of every mailbox and deque and kills it. One thread at a time.
    void kill_waiting() noexcept;

    /// Kills every token that executes now: waiters are released at once, its late result is
    /// dropped by its worker.
    void kill_executing() noexcept;

    /// Kills every token of an operation that executes now and that its backlog condemns, and asks
    /// its callable to stop. How many died; all of them are counted.
    [[nodiscard]] std::size_t kill_executing_of(operation_core& operation,
                                                std::string_view reason) noexcept;

    /// Asks the callable of a token that was killed while it runs to stop, if it has asked for a
    /// stop token.
    void pass_stop_request_on(const token_node& node) const noexcept;

    /// True if a callable of this token or share runs on a worker.
    [[nodiscard]] bool runs(const token_node& node) const noexcept;

    /// True if all workers but this one wait for something, so that only this one can bring
    /// anything on, or threads that are not workers.
    [[nodiscard]] bool all_pause_but(const worker& self) const noexcept;

    /// True if all workers but this one wait for a token or for room, or rest. Unlike above, one
    /// that blocks for reasons of its own goes on.
    [[nodiscard]] bool all_wait_but(const worker& self) const noexcept;

    /// The lowest domain from `first` up that has an idle worker.
    [[nodiscard]] std::optional<unsigned> lowest_free(unsigned first) const noexcept;

    /// Gives room back to a pool and wakes blocked submitters when enough has gathered.
    void give_back(credit_pool& pool, std::int64_t count) noexcept {
        if (pool.give(count) && room.has_waiters()) room.notify_all();
    }

    /// Gives back to a lane what workers have collected for it. For whoever waits for room.
    void collect(unsigned domain_index, lane which) noexcept;

    /// The same for the tokens in flight.
    void collect_finished() noexcept;

    /// A worker is about to sleep: blocked submitters try again if there is any room, so that they
    /// never sleep through what only they could move on.
    void tell_room() noexcept {
        if (room.has_waiters() && in_flight.available() > 0) room.notify_all();
    }

    /// Ends the wait of those who wait for an idle runtime, so that they look again. The caller
    /// has made a seq_cst read-modify-write since it counted its last token.
    void tell_quiet() noexcept {
        if (quiet.has_waiters()) quiet.notify_all();
    }

    /// From now on workers look twice at what they have taken out: a backlog attends, or somebody
    /// is to die.
    void attend() noexcept {
        // Release: pairs with the acquire in attention().
        attention_.fetch_add(1, std::memory_order_release);
    }
    /// One reason less.
    void attend_no_more() noexcept { attention_.fetch_sub(1, std::memory_order_release); }

    /// True if a token that was taken out may not be meant to run.
    [[nodiscard]] bool attention() const noexcept {
        // Acquire: pairs with the release in attend().
        return attention_.load(std::memory_order_acquire) != 0;
    }

    /// Moves to a phase, unless that is where it is not expected to come from; wakes everybody
    /// who must know. Ends with a full fence.
    void advance(phase expected, phase next) noexcept;

    /// Moves to a phase from whatever it is now. Only under the runtime's stop lock.
    void enter(phase next) noexcept;

    /// In a child process: nothing works from now on. Wakes nobody, there is nobody.
    void abandon_after_fork() noexcept { phase_.set(phase::forked); }

    [[nodiscard]] phase current_phase() const noexcept { return phase_.now(); }

    /// phase_word::count_call().
    [[gnu::always_inline, nodiscard]] bool count_call(own_counter& accepted,
                                                      std::uint64_t calls = 1) const noexcept {
        return phase_.count_call(accepted, calls);
    }

    [[nodiscard]] domain& at(unsigned index) noexcept { return *domains_[index]; }
    [[nodiscard]] const domain& at(unsigned index) const noexcept { return *domains_[index]; }

    /// Calls visit(worker&) for each worker so far, reserves too.
    template <class Visit>
    void for_each_worker(Visit&& visit) const {
        for (const auto& home : domains_) {
            const unsigned count = home->worker_count();
            for (unsigned i = 0; i < count; ++i) visit(home->worker_at(i));
        }
    }
    [[nodiscard]] const settings& chosen() const noexcept { return settings_; }

    /// True if workers are to be pinned.
    [[nodiscard]] bool pins() const noexcept { return pins_; }

    /// Keeps what came of a worker's attempt to pin itself.
    void record_binding(unsigned domain_index, const bind_result& result);

    /// What went wrong for workers that are not pinned, with their domains.
    struct bind_failure {
        unsigned domain = 0;
        std::string error;
    };
    [[nodiscard]] std::vector<bind_failure> bind_failures() const;

    [[nodiscard]] const runtime_core* runtime() const noexcept { return runtime_; }

    /// The arenas over several domains.
    [[nodiscard]] arena_pool& wide_arenas() noexcept { return wide_arenas_; }

    credit_pool in_flight;                 ///< room for tokens accepted and not yet finished
    event_count room;                      ///< blocked submitters
    event_count quiet;                     ///< threads that wait until nothing is in flight
    idle_set idle;                         ///< workers with nothing to do
    idle_set idle_reserve;                 ///< reserve workers that stand in and have nothing to do
    idle_set idle_beyond;                  ///< the same of those beyond `reserve_workers`
    sticky_table sticky_keys;              ///< where the keys of colocated tokens in flight are
    strand_table strands;                  ///< the keys of serial tokens in flight
    zeroed_table<outside_counts> outside;  ///< by operation; any thread may write
    /// Times that nobody could be had to stand in for a blocked worker; several may write.
    std::atomic<std::uint64_t> short_of_reserves{0};

  private:
    /// True if a worker of those numbers may be idle, or a reserve worker.
    [[nodiscard]] bool anybody_idle(idle_set::start numbers) const noexcept {
        if (idle.holds_any(numbers)) return true;
        // Seq_cst: a reserve is counted before it announces itself, so that who does not see the
        // count has pushed its token before the reserve looks.
        return standing_in_.load(std::memory_order_seq_cst) != 0 &&
               (idle_reserve.holds_any({}) ||
                (beyond_.load(std::memory_order_seq_cst) != 0 && idle_beyond.holds_any({})));
    }
    [[gnu::noinline]] void wake_one(lane which, unsigned home, unsigned worker_hint) noexcept;
    [[nodiscard]] worker* claim_in(unsigned home, unsigned worker_hint) noexcept;
    void wake_everybody() noexcept;
    [[nodiscard]] bool find_stand_in(domain& home) noexcept;
    [[nodiscard]] bool stand_in_beyond(domain& home) noexcept;
    [[nodiscard]] bool raise_reserve(domain& home, unsigned most) noexcept;
    [[nodiscard]] std::size_t standing_in(const domain& home) const noexcept;
    void count_standing(const worker& reserve, int change) noexcept;
    [[nodiscard]] bool is_beyond(const worker& reserve) const noexcept;
    [[nodiscard]] worker* claim_reserve(domain& home) noexcept;
    void rest_all_reserves() noexcept;
    void kill_running_stretches(worker& busy) noexcept;
    [[nodiscard]] std::size_t kill_running_stretches_of(operation_core& operation,
                                                        worker& busy) noexcept;

    const runtime_core* const runtime_;  ///< whose tokens these are; only ever compared
    const settings settings_;
    bool pins_;
    arena_pool wide_arenas_;
    std::array<unsigned, weight_count> first_allowed_{};  ///< lowest domain that may run a class
    /// Who may take from a lane: for free tokens, the workers of those domains. The others do not
    /// count when somebody is to be woken: with strict ranges the worker of core 0 sleeps for as
    /// long as all tokens are medium.
    std::array<idle_set::start, lane_count> may_take_{};
    std::vector<std::unique_ptr<domain>> domains_;
    /// Reserves that stand in, of all domains: while there are none, nobody looks for idle ones.
    alignas(64) std::atomic<int> standing_in_{0};
    std::atomic<int> beyond_{0};       ///< those of them that are beyond `reserve_workers`
    std::atomic<int> token_waits_{0};  ///< see token_wait
    std::atomic<unsigned> visitors_{0};
    mutable std::mutex bind_lock_;
    std::vector<bind_failure> bind_failures_;  ///< under bind_lock_
    alignas(64) phase_word phase_;
    std::atomic<unsigned> attention_{0};  ///< reasons to look twice; `killing` is one
    bool was_out_of_time_ = false;        ///< that reason is there; under the runtime's stop lock
};

}  // namespace tokengate::detail
