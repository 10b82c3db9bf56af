// SPDX-License-Identifier: Apache-2.0
/// @file
/// One worker: a pinned thread that runs tokens.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <semaphore>
#include <thread>

#include <tokengate/detail/node.hpp>

#include "domain/counters.hpp"
#include "domain/crew.hpp"
#include "domain/execution_stack.hpp"
#include "domain/mailbox.hpp"
#include "sleep/event_count.hpp"

namespace tokengate::detail {

/// How the workers of a crew report that they have started.
struct muster {
    std::counting_semaphore<> arrived{0};  ///< once for each thread, whether it will work or not
    std::atomic<bool> failed{false};       ///< one of them has run out of memory on its way
};

/// A worker of one domain. The loop: own mailbox, then the mailboxes of other domains by distance,
/// then a short pause, then announce itself idle, spin, and park.
///
/// Members without a comment on threads belong to the worker's own thread.
class alignas(64) worker {
  public:
    /// @param number  in its crew; domain by domain
    worker(crew& owner, unsigned domain_index, std::size_t number);

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

    /// Runs one token, if there is one that it may run. False if not.
    bool run_one() noexcept;

    /// True if this token is on its stack; its own thread only.
    [[nodiscard]] bool is_executing(const token_node& node) const noexcept;

    /// How many tokens are on its stack; its own thread only.
    [[nodiscard]] unsigned depth() const noexcept { return depth_; }

    /// Gives all credits back that it has collected; before it sleeps.
    void settle_all() noexcept;

    /// Runs other tokens until `awaited` is terminal or the deadline has passed; sleeps when there
    /// is nothing to run. True if the token is terminal.
    bool wait_for(token_node& awaited, std::optional<steady_ns> deadline) noexcept;

    /// Where a token that this worker executes came from, and so what is given back at its end.
    enum class origin : std::uint8_t {
        mailbox,   ///< popped: the runtime's reference and an in-flight credit
        awaited,   ///< begun by the worker that waits for it: the credit; its husk keeps the rest
        overflow,  ///< run at once because there was no room: the reference; it held no credit
    };

    /// Runs a token that this worker has just begun.
    void execute(token_node& node, origin from) noexcept;

    /// True if a token of this class in that domain's mailbox may run on this worker.
    [[nodiscard]] bool may_run(weight weight_class, unsigned home) const noexcept;

    /// True if it may run a free token of this class, wherever that is placed.
    [[nodiscard]] bool may_run_class(weight weight_class) const noexcept;

    /// True if it may run one more token on top of those that wait on its stack.
    [[nodiscard]] bool may_nest() const noexcept;

    /// The runtime of this worker, to compare tokens with.
    [[nodiscard]] const runtime_core* runtime() const noexcept { return crew_.runtime(); }

    [[nodiscard]] crew& owner() const noexcept { return crew_; }
    [[nodiscard]] unsigned domain_index() const noexcept { return domain_index_; }

    event_count wake;             ///< any thread: notified by whoever claims this worker
    execution_stack executing;    ///< any thread may inspect
    counters_by_weight executed;  ///< tokens whose callable it ran
    counters_by_weight completed;
    counters_by_weight failed;
    counters_by_weight killed;
    own_counter stolen;  ///< tokens taken out of other domains' mailboxes
    own_counter parked;  ///< times it went to sleep

  private:
    void loop() noexcept;
    [[nodiscard]] token_node* find() noexcept;
    [[nodiscard]] token_node* take_from(domain& source, lane_mask allowed,
                                        lane_rota& rota) noexcept;
    [[nodiscard]] token_node* poll_briefly() noexcept;
    void run(token_node& node) noexcept;
    void rest() noexcept;
    void withdraw() noexcept;
    void pay() noexcept;
    [[nodiscard]] bool spin_until_woken(event_count::ticket taken) const noexcept;
    void settle(credit_pool& lane_credits) noexcept;
    void settle_taken() noexcept;
    void settle_finished() noexcept;

    crew& crew_;
    const unsigned domain_index_;
    const std::size_t number_;
    domain& home_;
    lane_rota rota_;
    lane_rota steal_rota_;
    bool owes_ = false;                    ///< a wake-up: see pay()
    unsigned depth_ = 0;                   ///< tokens on its stack
    std::int64_t finished_ = 0;            ///< in-flight credits not yet given back
    credit_pool* lane_credits_ = nullptr;  ///< the lane of `taken_`
    std::int64_t taken_ = 0;               ///< its credits not yet given back
    std::thread thread_;
};

}  // namespace tokengate::detail
