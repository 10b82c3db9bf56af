// SPDX-License-Identifier: Apache-2.0
/// @file
/// Workers that sleep until a token is terminal.
#pragma once

#include <mutex>

#include <tokengate/detail/node.hpp>

#include "domain/execution_stack.hpp"
#include "sleep/event_count.hpp"

namespace tokengate::detail {

/// The workers, of all runtimes, that wait for a token and have found nothing else to run. They
/// sleep on their own event counts, so that new work wakes them too; the token's last step looks
/// them up here, if its state word says that there is one.
///
/// Under a lock: a worker that comes here is about to sleep.
class waiting_workers {
  public:
    /// One waiting worker, on its stack.
    class entry {
      public:
        /// @param stack  what the worker executes; it neither pushes nor pops while it is listed
        /// @param timed  the wait ends by itself
        entry(const token_node& awaited, event_count& wake, const execution_stack& stack,
              bool timed) noexcept;
        ~entry();
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;

        /// True if the awaited token cannot end before this wait does: it lies on the stack of a
        /// worker that waits, without a deadline, for a token that lies ..., until one lies on the
        /// stack of this worker. Such a cycle would stay for ever: stacks unwind from the top. The
        /// worker that would close one is not listed, so that the list never holds any.
        [[nodiscard]] bool closes_a_cycle() const noexcept { return closes_a_cycle_; }

      private:
        friend class waiting_workers;
        [[nodiscard]] bool leads_back() const noexcept;
        [[nodiscard]] bool leads_back(const token_node& wanted) const noexcept;

        const token_node* awaited_;
        event_count* wake_;
        const execution_stack* stack_;
        bool timed_;
        bool closes_a_cycle_;
        bool walked_ = false;  ///< by the walk that goes on now
        entry* previous_ = nullptr;
        entry* next_ = nullptr;
    };

    /// Wakes all workers that wait for this token. Its memory may be gone: it is only compared.
    static void notify(const token_node* finished) noexcept;

    /// Their lock, for fork().
    [[nodiscard]] static std::mutex& shared_lock() noexcept { return lock; }

  private:
    static constinit std::mutex lock;
    static constinit entry* first;
};

}  // namespace tokengate::detail
