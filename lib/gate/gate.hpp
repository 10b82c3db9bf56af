// SPDX-License-Identifier: Apache-2.0
/// @file
/// The admission gate: whether, where and in which order a token enters a mailbox. Protocol:
/// README.md.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <tokengate/detail/frame.hpp>

#include "domain/crew.hpp"
#include "gate/placement.hpp"
#include "gate/submitter.hpp"

namespace tokengate::detail {

class worker;

/// Runs on the caller's thread, without a lock except where it blocks.
class gate {
  public:
    gate(crew& workers, const settings& chosen);

    /// Reserves room for a token, numbers and places it. Null if refused.
    /// @throws runtime_stopped, std::bad_alloc
    [[nodiscard]] token_node* begin(operation_core& operation, const frame_type& type,
                                    admission how);

    /// Puts a begun token into its mailbox.
    /// @throws runtime_stopped if the runtime was stopped since begin(); the token is gone then
    void commit(token_node& node);

    /// Gives a begun token's room and node back.
    void abandon(token_node& node) noexcept;

    /// Adds the counters of all submitters up; exact for tokens that happened before.
    void count(std::array<std::uint64_t, weight_count>& accepted,
               std::array<std::uint64_t, weight_count>& refused) const;

  private:
    /// Room for one token.
    struct reservation {
        place where;
        bool run_here = false;  ///< at once, on the calling worker, instead of in a mailbox
    };

    [[nodiscard]] bool reserve(submitter& mine, weight weight_class, reservation& room) noexcept;
    [[nodiscard]] bool reserve_lane(submitter& mine, weight weight_class,
                                    reservation& room) noexcept;
    [[nodiscard]] bool reserve_slowly(const operation_core& operation, submitter& mine,
                                      reservation& room, admission how);
    [[nodiscard]] bool reserve_beyond(submitter& mine, weight weight_class, reservation& room,
                                      const worker& self) noexcept;
    void release(weight weight_class, const reservation& room) noexcept;
    [[nodiscard]] bool take_lane_credit(submitter& mine, unsigned domain, lane which) noexcept;
    [[nodiscard]] bool take_in_flight_credit(submitter& mine) noexcept;
    void open_or_throw(const operation_core& operation) const;
    void renew_positions(submitter& mine, weight weight_class) noexcept;

    crew& crew_;
    const placement placement_;
    submitter_registry submitters_;
    std::array<std::atomic<std::uint64_t>, weight_count> next_position_{};
    std::atomic<std::uint64_t> next_id_{1};
};

}  // namespace tokengate::detail
