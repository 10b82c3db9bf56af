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
#include <vector>

#include <tokengate/config.hpp>
#include <tokengate/detail/node.hpp>
#include <tokengate/topology.hpp>

#include "domain/arena.hpp"
#include "domain/counters.hpp"
#include "domain/credits.hpp"
#include "domain/mailbox.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"
#include "sleep/idle_set.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

class worker;

/// How far a runtime is on its way from start to stop.
enum class phase : std::uint8_t {
    open,      ///< calls are admitted
    draining,  ///< calls are admitted from inside tokens only
    closing,   ///< the same; stop() looks a last time whether everything has finished
    killing,   ///< tokens that wait are killed instead of run
    stopped,   ///< the workers have gone or are going
    forked,    ///< this is a child process, in which the workers do not exist
};

/// One domain: its mailbox, its arena and where its neighbours are.
struct domain {
    domain(unsigned number, const settings& chosen, const topology& machine);

    const domain_info& info;
    mailbox box;
    domain_arena arena;
    std::vector<unsigned> neighbours;  ///< the other domains, nearest first
    lane_mask stealable = 0;           ///< lanes that its workers may take from other domains
};

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

    /// Puts a token, which holds a credit of its lane, into a domain's mailbox, and wakes a worker
    /// if one that may run it is idle.
    void post(token_node& node, lane which, unsigned home, unsigned worker_hint) noexcept;

    /// Wakes an idle worker that may run tokens of this class out of that domain's mailbox: of
    /// the domain itself, else the nearest.
    void wake_for(weight weight_class, unsigned home, unsigned worker_hint) noexcept;

    /// Pays what a worker of this domain owes: wakes a worker for each lane that it may take from
    /// and that holds a token (lib/sleep/README.md).
    void pass_on(unsigned domain_index) noexcept;

    /// Takes every token out of every mailbox and kills it. One thread at a time.
    void kill_waiting() noexcept;

    /// Kills every token that executes now: waiters are released at once, its late result is
    /// dropped by its worker.
    void kill_executing() noexcept;

    /// The lowest domain from `first` up that has an idle worker.
    [[nodiscard]] std::optional<unsigned> lowest_free(unsigned first) const noexcept;

    /// Gives room back to a pool and wakes blocked submitters when enough has gathered.
    void give_back(credit_pool& pool, std::int64_t count) noexcept {
        if (pool.give(count) && room.has_waiters()) room.notify_all();
    }

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

    /// Moves to a phase, unless that is where it is not expected to come from; wakes everybody
    /// who must know. Ends with a full fence.
    void advance(phase expected, phase next) noexcept;

    /// Moves to a phase from whatever it is now. Only under the runtime's stop lock.
    void enter(phase next) noexcept;

    /// In a child process: nothing works from now on. Wakes nobody, there is nobody.
    void abandon_after_fork() noexcept { phase_.store(phase::forked, std::memory_order_release); }

    [[nodiscard]] phase current_phase() const noexcept {
        // Seq_cst, which costs a load no more: a submitter has announced its token before it looks,
        // and enter() is followed by a fence and a count of the announced (lib/gate/README.md).
        return phase_.load(std::memory_order_seq_cst);
    }

    [[nodiscard]] domain& at(unsigned index) noexcept { return *domains_[index]; }
    [[nodiscard]] const std::vector<std::unique_ptr<worker>>& workers() const noexcept {
        return workers_;
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

    credit_pool in_flight;  ///< room for tokens accepted and not yet finished
    event_count room;       ///< blocked submitters
    event_count quiet;      ///< threads that wait until nothing is in flight
    idle_set idle;          ///< workers with nothing to do
    /// Tokens killed by threads that are not workers; several may write.
    std::array<std::atomic<std::uint64_t>, weight_count> killed_outside{};

  private:
    void wake_sibling(unsigned domain_index) noexcept;
    void wake_everybody() noexcept;

    const runtime_core* const runtime_;  ///< whose tokens these are; only ever compared
    const settings settings_;
    bool pins_;
    std::array<unsigned, weight_count> first_allowed_{};  ///< lowest domain that may run a class
    std::vector<std::unique_ptr<domain>> domains_;
    std::vector<std::unique_ptr<worker>> workers_;
    mutable std::mutex bind_lock_;
    std::vector<bind_failure> bind_failures_;  ///< under bind_lock_
    alignas(64) std::atomic<phase> phase_{phase::stopped};
};

}  // namespace tokengate::detail
