// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a token of a supervised operation carries behind its frame. Protocol: supervision.md.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include <tokengate/detail/node.hpp>

#include "resilience/alarm.hpp"
#include "resilience/call_limits.hpp"
#include "resilience/observation.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

/// The record of one token: as long as its node. All but the atomics is under the lock of its
/// supervisor, or set before the token is committed.
class supervision final : public alarm {
  public:
    /// Where it is, for its supervisor.
    enum class place : std::uint8_t {
        unlisted,  ///< the call that makes it has not come back from the gate
        listed,    ///< it waits, the first time or between two attempts
        running,
        gone,  ///< its supervisor is through with it
    };

    explicit supervision(token_node& which) noexcept;

    /// What is to happen when the alarm rings. While it is not armed.
    using alarm::become;

    token_node& node;
    std::chrono::nanoseconds queue_timeout{};  ///< 0: it waits for as long as it takes
    std::chrono::nanoseconds run_timeout{};    ///< 0: it runs for as long as it takes
    /// Since when it waits for its first attempt, or the next; 0: nobody wants to know.
    steady_ns called_at = 0;
    observation seen;
    supervision* previous = nullptr;
    supervision* next = nullptr;
    limit_share limits;                      ///< what its end gives back
    std::uint64_t value_hash = 0;            ///< of its arguments, if `is_unique`
    std::atomic<std::uint32_t> attempts{0};  ///< begun; any thread may read
    place where = place::unlisted;
    bool is_unique = false;  ///< the table of duplicates has it
    bool backs_off = false;  ///< its alarm is the end of that, and owns its entry
    bool suspends = false;   ///< its callable is a coroutine that waits
};

/// A frame type of supervised tokens: that of the callable, with a record behind it, and with the
/// supervisor's steps around its functions. Lives as long as the process. A lock, unless it is one.
/// @throws std::bad_alloc
[[nodiscard]] const frame_type& supervised_frame(const frame_type& type);

/// The frame type of the callable itself.
[[nodiscard]] const frame_type& plain_frame(const frame_type& supervised) noexcept;

/// The record of a token whose frame type is one of these.
[[nodiscard]] supervision& supervision_of(token_node& node) noexcept;
[[nodiscard]] const supervision& supervision_of(const token_node& node) noexcept;

}  // namespace tokengate::detail
