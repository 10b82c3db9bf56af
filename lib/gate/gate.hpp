// SPDX-License-Identifier: Apache-2.0
/// @file
/// The admission gate: whether, where and in which order a token enters a mailbox. Protocol:
/// README.md.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>

#include <tokengate/detail/bulk_frame.hpp>
#include <tokengate/detail/frame.hpp>
#include <tokengate/stats.hpp>

#include "domain/backlog.hpp"
#include "domain/crew.hpp"
#include "gate/placement.hpp"
#include "gate/submitter.hpp"
#include "resilience/call_limits.hpp"

namespace tokengate::detail {

enum class deque_kind : std::uint8_t;
class inputs;
class worker;

/// Runs on the caller's thread, without a lock except where it blocks.
class gate {
  public:
    gate(crew& workers, const settings& chosen);

    /// Anchors a call, reserves room for it, numbers and places it. Null if refused.
    /// @throws runtime_stopped, std::bad_alloc
    [[gnu::always_inline, nodiscard]] inline token_node* begin(operation_core& operation,
                                                               const frame_type& type,
                                                               admission how, call_key key);

    /// Puts a begun token into its mailbox.
    /// @throws runtime_stopped if the runtime was stopped since begin(); the token is gone then
    [[gnu::always_inline]] inline void commit(token_node& node, holders held_by);

    /// begin() for a call with limits of its own.
    [[nodiscard]] token_node* begin_limited(operation_core& operation, const frame_type& type,
                                            admission how, call_key key, std::size_t bytes,
                                            const time_limits& limits);

    /// The same two for watched calls (limiting.cpp): begin() counts bytes of arguments, commit()
    /// may find that an equal call is in flight, and gives the token of that.
    [[nodiscard]] token_node* begin_watched(operation_core& operation, const frame_type& type,
                                            admission how, call_key key, std::size_t bytes);
    [[nodiscard]] token_node* commit_watched(token_node& node, holders held_by,
                                             std::unique_ptr<call_value> value);

    /// The same two for calls that wait for other tokens (dependents.cpp).
    [[nodiscard]] token_node* begin_dependent(operation_core& operation, const frame_type& type,
                                              admission how, std::size_t bytes);
    void commit_dependent(token_node& node, holders held_by, std::unique_ptr<inputs> waits_for);

    /// The inputs of a token are there, and nobody else touches it: gives it its arguments and a
    /// place.
    void place_dependent(token_node& node, inputs& record) noexcept;

    /// Gives a begun token's room and node back.
    void abandon(token_node& node) noexcept;

    /// Submits a bulk (bulk.cpp).
    /// @throws runtime_stopped, std::bad_alloc; what was admitted before is, then
    void submit(bulk_core& bulk);

    /// Holds a key without a token.
    /// @throws operation_error, runtime_stopped, std::bad_alloc
    [[nodiscard]] held_key hold(operation_core& operation, call_key key);

    /// Which tokens were accepted before now.
    /// @throws std::bad_alloc
    [[nodiscard]] id_horizon horizon() const;

    /// Tokens accepted of the first so many operations; exact for tokens that happened before.
    [[nodiscard]] std::uint64_t accepted(std::uint32_t operations) const;

    /// Adds up what all submitters have counted of the operations from `first` on.
    void count(std::uint32_t first, std::span<operation_stats> operations) const;

    /// Tokens that a key drew to another domain than that of their turn.
    [[nodiscard]] std::uint64_t redirected() const;

  private:
    /// Who calls.
    struct caller {
        submitter& mine;
        worker* self;  ///< null if the thread is no worker of this runtime
        chain* outer;  ///< the chain of the token that it executes; null if there is none
    };

    /// What a call holds that anchors it, until its node holds it.
    class anchorage {
      public:
        explicit anchorage(crew& owner) noexcept : crew_(owner) {}
        ~anchorage();
        anchorage(const anchorage&) = delete;
        anchorage& operator=(const anchorage&) = delete;

        /// Enters the strand or pins the key of a sticky call.
        /// @return where its tokens are; `candidate` if there are none yet
        /// @throws std::bad_alloc
        [[nodiscard]] unsigned take(const operation_core& operation, call_key key,
                                    unsigned candidate, bool in_chain);

        /// Hands what it holds over to the node.
        void move_into(token_node& node) noexcept;

        /// The same to a dependent, which others may look at already.
        /// @param position  if nothing anchors it
        void settle(token_node& node, std::uint64_t position) noexcept;

        /// Hands it over to a hold of the key.
        [[nodiscard]] held_key move_into_hold(runtime_core& runtime, unsigned domain) noexcept;

        [[nodiscard]] bool first() const noexcept { return first_; }
        [[nodiscard]] bool pinned() const noexcept { return pin_.has_value(); }
        [[nodiscard]] strand* line() const noexcept { return line_; }

      private:
        crew& crew_;
        strand* line_ = nullptr;
        std::optional<tokengate::detail::pin> pin_;
        bool first_ = false;  ///< no other token with the key is in flight
    };

    /// Where a dependent goes when its inputs are there.
    struct landing {
        unsigned domain = 0;
        lane which = lane::medium;
        bool on_deque = false;  ///< of this worker
        std::uint64_t position = no_position;
    };

    /// When a call gets its place.
    enum class placing : std::uint8_t { at_once, by_its_inputs };

    /// Room for one token.
    struct reservation {
        place where = {};
        lane which = lane::medium;
        route way = route::mailbox;
        bool fixed = false;            ///< no other domain will do
        const strand* line = nullptr;  ///< where it has to wait for its turn; null if nowhere
    };

    /// What ties a token to its domain.
    struct ties {
        bool chained = false;
        bool serial = false;
        bool pinned = false;
    };

    /// Sets everything in a node but its state word, its id and what `bound` stands for; it may
    /// have been another token before.
    [[gnu::always_inline]] static void describe(token_node& node, operation_core& operation,
                                                const operation_label& label, unsigned domain,
                                                route way, ties bound) noexcept {
        // Relaxed: published with the node.
        node.domain.store(static_cast<std::uint16_t>(domain), std::memory_order_relaxed);
        node.weight_class = operation.weight_class;
        node.mark(way, bound.chained, bound.serial, bound.pinned);
        node.operation = &operation;
        node.label = &label;
        node.position = no_position;
    }

    [[nodiscard]] caller calling();
    [[gnu::noinline, nodiscard]] token_node* begin_in_chain(operation_core& operation,
                                                            const frame_type& type, admission how,
                                                            submitter& mine, worker& self,
                                                            chain& outer);
    [[gnu::always_inline, nodiscard]] inline token_node* begin_free(operation_core& operation,
                                                                    const frame_type& type,
                                                                    admission how);
    [[gnu::noinline, nodiscard]] token_node* begin_special(operation_core& operation,
                                                           const frame_type& type, admission how,
                                                           call_key key);
    [[gnu::noinline, nodiscard]] token_node* begin_supervised(operation_core& operation,
                                                              const frame_type& type, admission how,
                                                              call_key key, std::size_t bytes,
                                                              const time_limits* own,
                                                              placing when = placing::at_once);
    [[nodiscard]] token_node* begin_unplaced(operation_core& operation, const frame_type& type,
                                             admission how);
    [[nodiscard]] landing find_landing(token_node& node, const inputs& record, anchorage& anchor,
                                       anchorage& second);
    void land(token_node& node, anchorage& anchor, const landing& where) noexcept;
    void clear_away(token_node& node) noexcept;
    void give_up_placing(token_node& node, inputs& record, bool built,
                         std::exception_ptr error) noexcept;
    [[nodiscard]] bool may_come_in(const operation_core& operation, admission how);
    [[nodiscard]] bool pass_limits(const operation_core& operation, admission how,
                                   call_limits::hold& held);
    [[nodiscard]] bool nobody_else_goes_on(const operation_core& operation, limit_kind lacking,
                                           const worker& self, unsigned looks) const noexcept;
    void drop_uncommitted(token_node& node) noexcept;
    [[gnu::noinline]] void put_started(token_node& node);
    [[gnu::noinline, nodiscard]] token_node* begin_anchored(operation_core& operation,
                                                            const frame_type& type, admission how,
                                                            call_key key);
    [[nodiscard]] static bool may_stay(const worker* self, unsigned domain) noexcept;
    [[gnu::always_inline, nodiscard]] inline token_node* admit(operation_core& operation,
                                                               const frame_type& type,
                                                               admission how, submitter& mine,
                                                               const reservation& wanted,
                                                               ties bound);
    [[gnu::always_inline]] inline void join_chain(token_node& node, operation_core& operation,
                                                  const caller& who, const reservation& room,
                                                  std::uint8_t size_class);
    [[gnu::always_inline, nodiscard]] inline place next_turn(submitter& mine,
                                                             weight weight_class) noexcept;
    [[gnu::always_inline, nodiscard]] inline place next_place(submitter& mine,
                                                              weight weight_class) noexcept;
    [[nodiscard]] place next_place_with_room(submitter& mine, weight weight_class,
                                             lane which) noexcept;
    [[gnu::always_inline]] inline std::uint64_t use_up_position(submitter& mine,
                                                                weight weight_class) noexcept;
    [[gnu::always_inline, nodiscard]] static inline bool reserve_at_hand(submitter& mine,
                                                                         unsigned domain,
                                                                         lane which,
                                                                         route way) noexcept;
    [[nodiscard]] bool reserve(submitter& mine, weight weight_class, reservation& room);
    [[nodiscard]] bool reserve_lane(submitter& mine, weight weight_class, reservation& room);
    [[gnu::cold, nodiscard]] bool reserve_slowly(const operation_core& operation, reservation& room,
                                                 admission how);
    [[nodiscard]] bool is_full(const operation_core& operation) const noexcept;
    [[nodiscard]] bool fills_up(const operation_core& operation, const strand& line,
                                unsigned domain, lane which, std::int64_t taken = 0) noexcept;
    template <class Full>
    [[nodiscard]] bool wait_while(const operation_core& operation, admission how, Full&& is_so);
    [[gnu::cold, nodiscard]] bool wait_for_line(const operation_core& operation, admission how,
                                                const strand& line, unsigned domain, lane which);
    [[nodiscard]] token_node* begin_in_line(operation_core& operation, const frame_type& type,
                                            admission how, call_key key);
    [[gnu::cold, nodiscard]] bool wait_for_backlog(const operation_core& operation, admission how);
    [[nodiscard]] bool reserve_beyond(submitter& mine, weight weight_class, reservation& room,
                                      const worker& self, bool stalled);
    void release(unsigned domain, lane which, route way) noexcept;
    void open_box(submitter& mine, unsigned domain, lane which);
    [[nodiscard]] bool take_lane_credit(submitter& mine, unsigned domain, lane which);
    void submit_part(bulk_core& bulk, std::size_t count, const caller& who,
                     const reservation& wanted);
    std::size_t submit_share(bulk_core& bulk, std::size_t count, const caller& who,
                             reservation room);
    void accept(operation_core& operation, std::size_t count);
    [[nodiscard]] bool has_room_for(const worker& self, deque_kind kind,
                                    const bulk_core& bulk) const noexcept;
    [[nodiscard]] std::size_t reserve_more(const reservation& room, std::size_t wanted,
                                           std::size_t stretch_length) noexcept;
    void release_many(const reservation& room, std::size_t elements,
                      std::size_t stretch_length) noexcept;
    [[nodiscard]] std::uint64_t take_ids(submitter& mine, std::uint64_t count) noexcept;
    [[nodiscard]] std::uint64_t take_positions(submitter& mine, weight weight_class,
                                               std::uint64_t count) noexcept;
    [[nodiscard]] bool take_in_flight_credit(submitter& mine) noexcept;
    [[gnu::cold]] void commit_or_throw(token_node& node, own_counter& accepted);
    [[gnu::cold]] void stay_or_retract(const operation_core& operation, own_counter& accepted,
                                       std::uint64_t count);
    [[gnu::cold]] void retract(own_counter& accepted, std::uint64_t count) noexcept;
    [[gnu::noinline]] void commit_serial(token_node& node, std::uint32_t references);
    [[gnu::noinline]] void commit_supervised(token_node& node, holders held_by, submitter& mine);
    [[gnu::always_inline]] inline void put(token_node& node, submitter& mine);
    [[nodiscard]] bool called_from_inside() const noexcept;
    [[gnu::cold]] void called_from_inside_or_throw(const operation_core& operation) const;
    [[gnu::cold]] void open_or_throw(const operation_core& operation) const;
    [[gnu::cold]] void renew_positions(submitter& mine, weight weight_class) noexcept;

    crew& crew_;
    const placement placement_;
    submitter_registry submitters_;
    std::array<std::atomic<std::uint64_t>, weight_count> next_position_{};
    std::atomic<std::uint64_t> next_id_{1};
};

}  // namespace tokengate::detail
