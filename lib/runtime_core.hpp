// SPDX-License-Identifier: Apache-2.0
/// @file
/// What is behind tokengate::runtime.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <tokengate/runtime.hpp>

#include "domain/crew.hpp"
#include "gate/gate.hpp"
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

    /// Waits until nothing is in flight. False if the deadline passed first.
    [[nodiscard]] bool wait_idle(std::optional<steady_ns> deadline);

    [[nodiscard]] stop_report stop(std::optional<steady_ns> deadline);
    void start();
    [[nodiscard]] runtime_stats stats() const;
    [[nodiscard]] std::vector<chain_info> chains() const;

    [[nodiscard]] const settings& chosen() const noexcept { return settings_; }
    [[nodiscard]] const topology& machine() const noexcept { return *machine_; }
    [[nodiscard]] gate& entrance() noexcept { return gate_; }
    [[nodiscard]] crew& workers() noexcept { return crew_; }
    [[nodiscard]] const crew& workers() const noexcept { return crew_; }

    /// True in a child process of the one that made it.
    [[nodiscard]] bool forked() const noexcept { return crew_.current_phase() == phase::forked; }

  private:
    [[nodiscard]] bool is_idle() const;
    [[nodiscard]] bool closed();
    void kill_all();
    [[nodiscard]] std::uint64_t killed_so_far() const noexcept;
    [[nodiscard]] bool called_from_own_worker() const noexcept;
    [[nodiscard]] std::vector<straggler> stragglers() const;
    void display() const noexcept;

    std::optional<topology> machine_;
    const settings settings_;
    crew crew_;
    gate gate_;
    timers timers_;  ///< ends before the workers' memory does
    std::mutex operations_lock_;
    std::map<std::string, std::unique_ptr<operation_core>, std::less<>> operations_;
    turn stop_lock_;         ///< one stop() or start() at a time
    bool joined_ = false;    ///< under stop_lock_: the workers have ended
    stop_report last_stop_;  ///< under stop_lock_
};

}  // namespace tokengate::detail
