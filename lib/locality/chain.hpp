// SPDX-License-Identifier: Apache-2.0
/// @file
/// Chain records: what a lead and everything that it has created share. See chains.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <tokengate/detail/atomic.hpp>
#include <tokengate/detail/node.hpp>
#include <tokengate/locality.hpp>

#include "locality/seed.hpp"
#include "sleep/futex.hpp"

namespace tokengate::detail {

/// The two counts of a chain in one word, so that both change in one step.
class chain_counts {
  public:
    /// One member that has not ended.
    static constexpr std::uint64_t one_pending = std::uint64_t{1} << 32U;
    /// One holder of the record.
    static constexpr std::uint64_t one_reference = 1;

    explicit chain_counts(std::uint64_t word) noexcept : word_(word) {}

    /// Members that have not ended; a nested chain counts as one.
    [[nodiscard]] std::uint32_t pending() const noexcept {
        return static_cast<std::uint32_t>(word_ >> 32U);
    }
    /// Members whose node is in use, nested chains that are open, and snapshots that look.
    [[nodiscard]] std::uint32_t references() const noexcept {
        return static_cast<std::uint32_t>(word_);
    }

  private:
    std::uint64_t word_;
};

/// One chain: a record of the process-wide pool, which is reused but never freed.
///
/// Thread safety: whoever holds a reference may ask all questions.
class alignas(64) chain {
  public:
    chain() = default;
    chain(const chain&) = delete;
    chain& operator=(const chain&) = delete;

    /// Where all its tokens run.
    [[nodiscard]] unsigned domain() const noexcept { return domain_; }

    /// Whose it is; only ever compared.
    [[nodiscard]] const runtime_core* runtime() const noexcept { return runtime_; }

    /// The id of the token that opened it.
    [[nodiscard]] std::uint64_t lead_id() const noexcept { return lead_id_; }

    /// The label of that token's operation.
    [[nodiscard]] const operation_label& label() const noexcept { return *label_; }

    /// Its seed, computed at each call.
    /// @throws std::bad_alloc
    [[nodiscard]] std::string seed() const { return seed_of(lead_id_, *traits_); }

    /// Its counts at some moment.
    [[nodiscard]] chain_counts counts() const noexcept {
        // Relaxed: a number for reports.
        return chain_counts(counts_.load(std::memory_order_relaxed));
    }

    /// Which record of the process it is.
    [[nodiscard]] std::uint32_t number() const noexcept { return number_; }

    /// Children are created. The caller is inside: the token that it runs is pending. If a creation
    /// fails after all: leave_and_release().
    void enter(std::uint32_t members = 1) noexcept;

    /// A member has ended, once. The last one closes the chain, which then leaves its parent, and
    /// so on. The caller's reference stays.
    void leave() noexcept { give_up(this, chain_counts::one_pending); }

    /// A member's node is recycled. The last reference gives the record back.
    void release() noexcept { give_up(this, chain_counts::one_reference); }

    /// Both in one step, for one or several members.
    void leave_and_release(std::uint32_t members = 1) noexcept {
        give_up(this, one_member * members);
    }

  private:
    friend class chain_pool;

    static constexpr std::uint64_t one_member =
        chain_counts::one_pending + chain_counts::one_reference;

    static void give_up(chain* which, std::uint64_t amount) noexcept;

    atomic<std::uint64_t> counts_{0};  ///< see chain_counts; 0: in the pool
    // Written by open_chain() before the counts, read by holders of a reference.
    const runtime_core* runtime_ = nullptr;
    chain* parent_ = nullptr;  ///< the chain that the lead is in; valid until this one is closed
    std::uint64_t lead_id_ = 0;
    const operation_label* label_ = nullptr;
    const lead_traits* traits_ = nullptr;
    steady_ns opened_at_ = 0;
    unsigned domain_ = 0;
    std::uint32_t number_ = 0;  ///< of the record in the pool; never changes
};

static_assert(sizeof(chain) == 64, "a chain fits one cache line");

/// Opens a chain for a lead: one pending and one reference, both the lead's. With a parent, of
/// which the caller must be a pending member, it holds one of each there until it is closed. Cost:
/// lock-free, no memory from the system while the pool has a record; reads the clock.
/// @throws std::bad_alloc; nothing has changed then
[[nodiscard]] chain& open_chain(const runtime_core* runtime, unsigned domain, chain* parent,
                                std::uint64_t lead_id, const operation_label& label,
                                const lead_traits& traits);

/// How many of a chain's members, by the chain's number, belong to no token; null: none.
using spare_members = std::function<std::uint32_t(std::uint32_t number)>;

/// The chains of a runtime that are open, each as it was during the call. Any thread;
/// takes no lock and holds nobody up. Cost: proportional to the most chains that the process has
/// ever had at a time.
/// @throws std::bad_alloc
[[nodiscard]] std::vector<chain_info> open_chains(const runtime_core* runtime,
                                                  const spare_members& spare = nullptr);

/// How many there are.
[[nodiscard]] std::size_t count_open_chains(const runtime_core* runtime) noexcept;

/// What the pool of the process holds; for tests and reports. Exact while nothing moves.
struct chain_usage {
    std::size_t records = 0;  ///< ever made
    std::size_t in_use = 0;   ///< of those, not in the pool
    std::size_t open = 0;     ///< of those, with a member that has not ended
};
[[nodiscard]] chain_usage usage_of_chains() noexcept;

}  // namespace tokengate::detail
