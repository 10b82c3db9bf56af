// SPDX-License-Identifier: Apache-2.0
/// @file
/// What is behind tokengate::runtime.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <tokengate/detail/loop.hpp>
#include <tokengate/runtime.hpp>

#include "domain/backlog.hpp"
#include "domain/counters.hpp"
#include "domain/crew.hpp"
#include "gate/gate.hpp"
#include "resilience/alerts.hpp"
#include "resilience/health.hpp"
#include "resilience/memory_budget.hpp"
#include "resilience/supervisor.hpp"
#include "resilience/timers.hpp"
#include "sleep/turn.hpp"

namespace tokengate::detail {

/// Settings, machine, workers, gate and operations of one runtime, in the order in which they
/// need each other.
class runtime_core {
  public:
    explicit runtime_core(const config& wanted);
    ~runtime_core();
    runtime_core(const runtime_core&) = delete;
    runtime_core& operator=(const runtime_core&) = delete;

    [[nodiscard]] operation_core& adopt(std::string_view name, const operation_traits& traits,
                                        std::unique_ptr<operation_core> operation);

    /// The operation whose tokens are the blocks of such loops; declared when it is first needed.
    /// @throws operation_error if there is no room for it, or its name is taken; runtime_forked
    [[nodiscard]] operation_core& loop_operation(loop_kind kind, weight weight_class, bool keyed);

    /// The same for coroutines that go on in the domain of a token.
    [[nodiscard]] operation_core& visit_operation(weight weight_class);
    /// False: this token, which has ended, was another runtime's.
    [[nodiscard]] bool may_have_run(const token_node& node) const noexcept;

    /// The same for schedulers.
    [[nodiscard]] operation_core& scheduler_operation(weight weight_class);

    /// Waits until nothing is in flight. False if the deadline passed first.
    [[nodiscard]] bool wait_idle(std::optional<steady_ns> deadline);

    [[nodiscard]] stop_report stop(std::optional<steady_ns> deadline);
    void start();
    [[nodiscard]] runtime_stats stats() const;
    [[nodiscard]] operation_stats stats_of(const operation_core& operation) const;
    [[nodiscard]] std::vector<chain_info> chains() const;

    /// @throws runtime_forked (so do the next three)
    [[nodiscard]] health_report health_of(const operation_core& operation) const;
    bool unblock(const operation_core& operation);
    [[nodiscard]] std::vector<execution> recent() const;
    void on_alert(std::function<void(const alert&)> hook);

    /// @throws runtime_forked (so do the next four)
    void pause(operation_core& operation);
    void resume(operation_core& operation);
    void pause_all();
    void resume_all();
    /// False: the deadline has passed.
    [[nodiscard]] bool drain(operation_core& operation, std::optional<steady_ns> deadline);
    [[nodiscard]] bool drain_all(std::optional<steady_ns> deadline);
    /// Kills what has not begun of what was called before, and what executes, if that is meant too.
    /// @throws std::bad_alloc
    std::size_t kill(operation_core& operation, std::string_view reason, bool executing);
    std::size_t kill_all(std::string_view reason, bool executing);

    /// Makes sure that somebody keeps the time.
    /// @throws resource_error if there is no thread to be had
    void keep_time() { timers_.start(); }

    [[nodiscard]] const settings& chosen() const noexcept { return settings_; }
    [[nodiscard]] const topology& machine() const noexcept { return *machine_; }
    [[nodiscard]] gate& entrance() noexcept { return gate_; }
    [[nodiscard]] crew& workers() noexcept { return crew_; }
    [[nodiscard]] const crew& workers() const noexcept { return crew_; }

    /// What the tokens of an operation, of all if it is null, are about to do by themselves: those
    /// that are set aside count as backing off, since a resume() may come at any time.
    [[nodiscard]] supervisor::prospect outlook(const operation_core* operation) const noexcept;

    /// True in a child process of the one that made it.
    [[nodiscard]] bool forked() const noexcept { return crew_.current_phase() == phase::forked; }

  private:
    /// An operation of the library's own; null: not declared yet.
    using own_operation = std::atomic<operation_core*>;
    struct declaration {
        std::string name;
        operation_traits traits;
        std::unique_ptr<operation_core> core;
    };
    template <class Describe>
    [[nodiscard]] operation_core& declare_once(own_operation& place, Describe&& describe) {
        // Acquire: pairs with the release of declare().
        if (operation_core* known = place.load(std::memory_order_acquire)) return *known;
        return declare(place, describe());
    }
    [[nodiscard]] operation_core& declare(own_operation& place, declaration&& what);
    [[nodiscard]] bool is_idle() const;
    [[nodiscard]] bool all_finished() const;
    void count(std::uint32_t first, std::span<operation_stats> operations,
               std::span<domain_stats> domains) const;
    [[nodiscard]] bool closed();
    void kill_at_deadline();
    void clear_away() noexcept;
    void count_killed(const operation_core& operation, std::size_t dead) noexcept;
    std::size_t kill_condemned(operation_core& operation, std::string_view reason, bool executing);
    void hold_back(operation_core& operation) noexcept;
    void open_again(operation_core& operation) noexcept;
    void end_pauses() noexcept;
    void outside_or_throw(const char* what) const;
    void in_parent_or_throw(const char* what) const;
    template <class Visit>
    void for_each_operation(Visit&& visit) const {
        // Acquire: pairs with the release in adopt().
        const std::uint32_t count = operation_count_.load(std::memory_order_acquire);
        for (std::uint32_t i = 0; i < count; ++i) visit(*by_number_[i]);
    }
    [[nodiscard]] std::uint64_t killed_so_far() const noexcept;
    [[nodiscard]] bool called_from_own_worker() const noexcept;
    [[nodiscard]] std::vector<straggler> stragglers() const;
    void display() const noexcept;

    std::optional<topology> machine_;
    const settings settings_;
    alert_hook alerts_;
    history history_;
    crew crew_;
    gate gate_;
    memory_budget memory_;
    struct declared {
        std::unique_ptr<operation_core> core;
        std::unique_ptr<backlog> aside;
        std::unique_ptr<health_monitor> health;
        std::unique_ptr<supervisor> watching;  ///< null: nothing is to be watched
    };
    std::mutex operations_lock_;
    std::map<std::string, declared, std::less<>> operations_;  ///< under operations_lock_
    std::mutex condemning_lock_;  ///< a later horizon includes all that earlier ones do
    bool paused_ = false;         ///< under operations_lock_: so is each operation from the start
    bool stopping_ = false;       ///< under operations_lock_: from stop() to start()
    std::mutex own_lock_;         ///< before operations_lock_
    /// By kind, weight and keyed. These are written under own_lock_.
    std::array<std::array<std::array<own_operation, 2>, weight_count>, 2> loops_{};
    std::array<own_operation, weight_count> visits_{};
    std::array<own_operation, weight_count> schedulers_{};
    zeroed_table<operation_core*> by_number_;  ///< written before operation_count_
    std::atomic<std::uint32_t> operation_count_{0};
    timers timers_;          ///< end before operations, and before the workers' memory does
    turn stop_lock_;         ///< one stop() or start() at a time
    bool joined_ = false;    ///< under stop_lock_: the workers have ended
    stop_report last_stop_;  ///< under stop_lock_
};

}  // namespace tokengate::detail
