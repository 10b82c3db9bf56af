// SPDX-License-Identifier: Apache-2.0
/// @file
/// What one thread needs to submit to one runtime without touching shared lines.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "domain/counters.hpp"
#include "domain/mailbox.hpp"
#include "gate/placement.hpp"

namespace tokengate::detail {

/// Blocks of ids, positions and credits, and the thread's own counters. Everything but the
/// counters belongs to the thread that holds the record.
struct alignas(64) submitter {
    submitter(std::size_t domains, std::size_t operations) : desks(domains), counts(operations) {}

    struct position_block {
        std::uint64_t next = 0;
        std::uint64_t end = 0;
        place where;  ///< the place of `next`
    };

    /// What it has in one lane of one domain.
    struct desk {
        std::int64_t credits = 0;
        mailbox::source* box = nullptr;  ///< null until it has asked for room there
    };

    /// Replaces the ids in store by so many new ones.
    void renew_ids(std::atomic<std::uint64_t>& source, std::uint64_t count) noexcept {
        // An end below the next one says that new ones are on their way.
        next_id.set(1);
        end_id.set(0);
        // Unique numbers. Release: who finds them given out by reading `source` sees that, at
        // least.
        const std::uint64_t first = source.fetch_add(count, std::memory_order_release);
        next_id.set(first);
        end_id.set(first + count);
    }

    /// The ids in store, [first, last); none if they are equal. Any thread, which has read `source`
    /// before: then what it finds here and what is given out later are all that are not used yet.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> in_store() const noexcept {
        for (;;) {
            const std::uint64_t last = end_id.value();
            const std::uint64_t first = next_id.value();
            if (first <= last && end_id.value() == last) return {first, last};
            std::this_thread::yield();
        }
    }

    /// Where it stands with a lane.
    [[nodiscard]] desk& at(unsigned domain, lane which) noexcept {
        return desks[domain][static_cast<std::size_t>(which)];
    }

    own_number next_id;  ///< any thread may read: see in_store()
    own_number end_id;
    std::array<position_block, weight_count> positions;
    std::int64_t in_flight_credits = 0;
    std::vector<std::array<desk, lane_count>> desks;  ///< by domain and lane

    zeroed_table<call_counts> counts;  ///< by operation; any thread may read
    own_counter redirected;  ///< tokens that a key drew to another domain; any thread may read
};

/// The records of one runtime. A thread keeps its record until it ends; then the next new thread
/// takes it over, so that their number is bounded by the threads that live at the same time.
class submitter_registry {
  public:
    /// @param operations  how many there can be
    submitter_registry(std::size_t domains, std::size_t operations);
    ~submitter_registry();
    submitter_registry(const submitter_registry&) = delete;
    submitter_registry& operator=(const submitter_registry&) = delete;

    /// The calling thread's record. One comparison, except for a thread's first call.
    /// @throws std::bad_alloc
    [[nodiscard]] submitter& mine() {
        if (cached.owner == serial_) [[likely]]
            return *cached.record;
        return look_up();
    }

    /// Number of records: threads that submit, at most.
    [[nodiscard]] std::int64_t size() const noexcept {
        // Relaxed: it only chooses the size of credit blocks.
        return count_.load(std::memory_order_relaxed);
    }

    /// Calls visit(const submitter&) for each record, also of threads that have ended.
    template <class Visit>
    void for_each(Visit&& visit) const {
        const std::scoped_lock guard(lock_);
        for (const auto& each : records_) visit(*each);
    }

  private:
    friend struct thread_records;
    struct cache {
        std::uint64_t owner = 0;  ///< serial of the registry, 0 for none
        submitter* record = nullptr;
    };
    static constinit thread_local cache cached;

    [[nodiscard]] submitter& look_up();
    [[nodiscard]] submitter& obtain();
    void give_up(submitter& record);

    const std::uint64_t serial_;  ///< never used twice in a process
    const std::size_t domains_;
    const std::size_t operations_;
    std::atomic<std::int64_t> count_{0};
    mutable std::mutex lock_;
    std::vector<std::unique_ptr<submitter>> records_;
    std::vector<submitter*> unused_;
};

}  // namespace tokengate::detail
