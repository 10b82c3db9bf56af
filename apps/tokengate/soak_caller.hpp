// SPDX-License-Identifier: Apache-2.0
/// @file
/// A thread of a soak that calls operations, and keeps some of what they return.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "soak_field.hpp"

namespace tokengate::app {

/// What a caller has counted.
struct soak_calls {
    std::uint64_t calls = 0;        ///< of any kind; a bulk is one
    std::uint64_t resolved = 0;     ///< tokens that it has kept and looked at after their end
    std::uint64_t unresolved = 0;   ///< of these, those that had not ended when a wait said so
    std::uint64_t kills = 0;        ///< tokens that it has killed
    std::uint64_t holds = 0;        ///< of keys
    std::uint64_t turned_away = 0;  ///< calls while the runtime was stopped

    soak_calls& operator+=(const soak_calls& other) noexcept;
};

/// How many tokens are in each state; by token_state.
using soak_states = std::array<std::uint64_t, 8>;

class soak_caller {
  public:
    /// @param number  1 to most_soak_threads
    soak_caller(soak_field& field, std::uint64_t seed, std::uint32_t number)
        : field_(field), random_(seed * (most_soak_threads + 1) + number), number_(number) {}

    /// Calls until it is over, then waits for all that it has kept.
    void run(const std::atomic<bool>& over);

    /// After run().
    [[nodiscard]] const soak_calls& found() const noexcept { return found_; }

    /// The states of the tokens of an operation that it keeps now. Any thread.
    [[nodiscard]] soak_states states_of(std::size_t which);

  private:
    struct kept_token {
        std::size_t which;
        soak_order order;
        soak_token made;
    };
    struct kept_bulk {
        std::size_t which;
        std::vector<soak_order> orders;
        soak_bulk made;
    };

    void act();
    void call(std::size_t which);
    void call_bulk(std::size_t which);
    void hold_key(std::size_t which);
    void kill_one();
    void check_oldest();
    void check_oldest_bulk();
    void wait_for(const soak_token& token);
    soak_order next_order();

    soak_field& field_;
    soak_random random_;
    std::uint32_t number_;
    std::uint64_t orders_ = 0;
    soak_calls found_;
    std::vector<key_hold> holds_;

    std::mutex
        lock_;  ///< of the two, for who looks from outside; their owner changes them under it
    std::deque<kept_token> kept_;
    std::deque<kept_bulk> bulks_;
};

}  // namespace tokengate::app
