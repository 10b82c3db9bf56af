// SPDX-License-Identifier: Apache-2.0
#include "locality/chain.hpp"

#include <array>
#include <bit>
#include <cassert>
#include <memory>
#include <mutex>
#include <new>
#include <optional>

#include "token/fork_lock.hpp"
#include "token/index_stack.hpp"

namespace tokengate::detail {

/// All records of the process, in blocks that double in size: a few blocks hold any number, and the
/// number of a record says where it is.
class chain_pool {
  public:
    /// A record of the pool, with no counts.
    /// @throws std::bad_alloc
    [[nodiscard]] static chain& take() {
        for (;;) {
            // Acquire: pairs with the release in grow().
            const unsigned count = block_count.load(std::memory_order_acquire);
            for (unsigned i = count; i-- > 0;) {  // the last block is as large as all others
                if (const auto free = blocks[i]->free.pop()) return blocks[i]->records[*free];
            }
            grow(count);
        }
    }

    /// Gives a record back; no counts are left.
    static void put(chain& which) noexcept {
        const unsigned block = block_of(which.number_);
        blocks[block]->free.push(which.number_ - first_of(block));
    }

    /// Calls `look` with each record.
    template <class Look>
    static void walk(Look&& look) {
        // Acquire: pairs with the release in grow().
        const unsigned count = block_count.load(std::memory_order_acquire);
        for (unsigned i = 0; i < count; ++i) {
            for (std::uint32_t each = 0; each < size_of(i); ++each) look(blocks[i]->records[each]);
        }
    }

    /// Takes a reference if the chain is open. Its counts just before, or nothing.
    [[nodiscard]] static std::optional<chain_counts> hold_if_open(chain& which) noexcept {
        // Relaxed: the exchange decides.
        std::uint64_t seen = which.counts_.load(std::memory_order_relaxed);
        while (chain_counts(seen).pending() > 0) {
            // Acquire: pairs with the release in publish(), from which all later counts of this
            // use of the record descend. Relaxed on failure: nothing is read then.
            if (which.counts_.compare_exchange_weak(seen, seen + chain_counts::one_reference,
                                                    std::memory_order_acquire,
                                                    std::memory_order_relaxed)) {
                return chain_counts(seen);
            }
        }
        return std::nullopt;
    }

    /// Fills a record that was taken and opens it.
    static void publish(chain& which, const runtime_core* runtime, unsigned domain, chain* parent,
                        std::uint64_t lead_id, const operation_label& label,
                        const lead_traits& traits) noexcept {
        which.runtime_ = runtime;
        which.domain_ = domain;
        which.parent_ = parent;
        which.lead_id_ = lead_id;
        which.label_ = &label;
        which.traits_ = &traits;
        which.opened_at_ = steady_now();
        // Release: pairs with the acquire in hold_if_open().
        which.counts_.store(chain::one_member, std::memory_order_release);
    }

    [[nodiscard]] static chain_info describe(const chain& which, std::uint64_t pending,
                                             steady_ns now) {
        constexpr std::size_t prefix = 8;
        // Opened after `now` was read: no age yet.
        const steady_ns age = now > which.opened_at_ ? now - which.opened_at_ : 0;
        return {.seed_prefix = which.seed().substr(0, prefix),
                .lead_id = which.lead_id_,
                .operation = which.label_->name,
                .domain = which.domain_,
                .pending = pending,
                .age = std::chrono::nanoseconds(age)};
    }

  private:
    struct block {
        explicit block(std::uint32_t size)
            : free(size, true), records(std::make_unique<chain[]>(size)) {}

        index_stack free;
        std::unique_ptr<chain[]> records;
    };

    static constexpr std::uint32_t smallest = 64;
    static constexpr unsigned most_blocks = 25;  ///< 2^31 records, 128 GiB

    [[nodiscard]] static constexpr std::uint32_t size_of(unsigned block) noexcept {
        return smallest << block;
    }
    [[nodiscard]] static constexpr std::uint32_t first_of(unsigned block) noexcept {
        return size_of(block) - smallest;
    }
    [[nodiscard]] static constexpr unsigned block_of(std::uint32_t number) noexcept {
        return static_cast<unsigned>(std::bit_width(number / smallest + 1)) - 1;
    }

    /// Adds a block, unless somebody else has since `count` was read.
    static void grow(unsigned count) {
        static auto* const lock = [] {
            auto made = std::make_unique<std::mutex>();
            hold_over_fork(*made);
            return made.release();
        }();
        const std::scoped_lock guard(*lock);
        // Relaxed: only written under the lock.
        if (block_count.load(std::memory_order_relaxed) != count) return;
        if (count == most_blocks) throw std::bad_alloc();
        auto made = std::make_unique<block>(size_of(count));
        for (std::uint32_t i = 0; i < size_of(count); ++i) {
            made->records[i].number_ = first_of(count) + i;
        }
        blocks[count] = made.release();
        // Release: pairs with the acquire in take() and walk(), which then read the pointer.
        block_count.store(count + 1, std::memory_order_release);
    }

    // Blocks are never freed: nodes hold on to their chains when the runtime is gone.
    static constinit std::array<block*, most_blocks> blocks;
    static constinit atomic<unsigned> block_count;
};

constinit std::array<chain_pool::block*, chain_pool::most_blocks> chain_pool::blocks{};
constinit atomic<unsigned> chain_pool::block_count{0};

void chain::enter(std::uint32_t members) noexcept {
    // Relaxed: the caller's own membership keeps the record, and nothing is published here.
    [[maybe_unused]] const chain_counts before(
        counts_.fetch_add(one_member * members, std::memory_order_relaxed));
    assert(before.pending() > 0 && "a chain is entered from inside");
}

void chain::give_up(chain* which, std::uint64_t amount) noexcept {
    const bool leaves = chain_counts(amount).pending() > 0;
    while (which != nullptr) {
        // Read before the count goes down: afterwards the record may be somebody else's.
        chain* const parent = which->parent_;
        // Release: what this holder has read comes before the record's next use. Acquire: pairs
        // with the release of all others if this is the last.
        const std::uint64_t word = which->counts_.fetch_sub(amount, std::memory_order_acq_rel);
        const chain_counts before(word);
        const chain_counts after(word - amount);
        assert(before.references() > 0 && "a chain's reference is given up twice");
        assert((!leaves || before.pending() > 0) && "a member leaves its chain twice");
        assert(after.pending() <= after.references() && "a pending member holds a reference");
        if (after.references() == 0) chain_pool::put(*which);
        if (!leaves || after.pending() > 0) return;
        // Closed, by this call and no other: the chain leaves the one that it is in.
        which = parent;
        amount = one_member;
    }
}

chain& open_chain(const runtime_core* runtime, unsigned domain, chain* parent,
                  std::uint64_t lead_id, const operation_label& label, const lead_traits& traits) {
    chain& opened = chain_pool::take();
    if (parent != nullptr) parent->enter();
    chain_pool::publish(opened, runtime, domain, parent, lead_id, label, traits);
    return opened;
}

std::vector<chain_info> open_chains(const runtime_core* runtime, const spare_members& spare) {
    struct let_go {
        void operator()(chain* which) const noexcept { which->release(); }
    };
    std::vector<chain_info> found;
    const steady_ns now = steady_now();
    chain_pool::walk([&](chain& each) {
        const auto counts = chain_pool::hold_if_open(each);
        if (!counts) return;
        const std::unique_ptr<chain, let_go> held(&each);
        if (each.runtime() == runtime) {
            const std::uint32_t idle = spare != nullptr ? spare(each.number()) : 0;
            // Both change meanwhile; a chain that is open has a member.
            const std::uint32_t pending = counts->pending();
            found.push_back(chain_pool::describe(each, pending > idle ? pending - idle : 1, now));
        }
    });
    return found;
}

std::size_t count_open_chains(const runtime_core* runtime) noexcept {
    std::size_t sum = 0;
    chain_pool::walk([&](chain& each) {
        if (!chain_pool::hold_if_open(each)) return;
        sum += each.runtime() == runtime ? 1 : 0;
        each.release();
    });
    return sum;
}

chain_usage usage_of_chains() noexcept {
    chain_usage usage;
    chain_pool::walk([&](const chain& each) {
        const chain_counts counts = each.counts();
        ++usage.records;
        if (counts.references() > 0) ++usage.in_use;
        if (counts.pending() > 0) ++usage.open;
    });
    return usage;
}

}  // namespace tokengate::detail
