// SPDX-License-Identifier: Apache-2.0
/// @file
/// Trees of tokens: a lead with children, whose children have children, some of them killed, some
/// throwing, some waiting for others.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "chain_check.hpp"

namespace tokengate::app {

/// A place in the forest: trees of `size` places each, the lead first, the children of place k of
/// a tree at 4k + 1 to 4k + 4.
struct tree_shape {
    static constexpr std::uint32_t children = 4;
    static constexpr std::uint32_t inner = 1 + 4 + 16;  ///< places with children
    static constexpr std::uint32_t size = inner + 64;
};

/// The forest. Lives longer than the runtime whose tokens grow it.
class forest {
  public:
    forest(std::uint32_t leads, std::uint64_t seed)
        : seed_(seed), places_(leads * std::size_t{tree_shape::size}) {}

    /// Declares the operations. With `broken` leads open no chains.
    void declare(runtime& rt, bool broken);

    /// Makes the lead of a tree. One thread.
    void plant(std::uint32_t tree);

    /// How many leads have been made; their tokens can be asked for.
    [[nodiscard]] std::uint32_t planted() const noexcept {
        // Acquire: pairs with the release of plant().
        return planted_.load(std::memory_order_acquire);
    }
    [[nodiscard]] const token<std::uint64_t>& lead(std::uint32_t tree) const {
        return places_[tree * std::size_t{tree_shape::size}].made;
    }

    /// Kills a token, and counts it.
    void kill(const detail::token_handle& which);

    /// Kills those that are to be killed later, and have been made by now. False if there was none.
    bool kill_some();

    /// Waits for a token inside of another one that is not its creator, whatever its outcome.
    /// An isolated wait keeps a worker from its domain's other tokens, and these may be what the
    /// awaited one waits for. So there are fewer of them at a time than a domain has reserve
    /// workers; the others help.
    void visit(const detail::token_handle& other, bool isolated_visit);

    /// Callables that have begun and not returned; a killed token's callable may run on.
    [[nodiscard]] bool quiet() const noexcept {
        // Acquire: pairs with the release of those that end.
        return inside_.load(std::memory_order_acquire) == 0;
    }

    /// Checks all tokens. Everything has ended.
    void check(chain_checker& checks, chain_phase& phase) const;

    [[nodiscard]] std::uint64_t waits() const noexcept { return waits_.load(); }
    [[nodiscard]] std::uint64_t refused_waits() const noexcept { return refused_waits_.load(); }
    [[nodiscard]] std::uint64_t refused_parents() const noexcept { return refused_parents_.load(); }
    [[nodiscard]] std::uint64_t kills() const noexcept { return kills_.load(); }

  private:
    using grow_operation = operation<std::uint64_t(std::uint32_t)>;

    struct place {
        token<std::uint64_t> made;  ///< written by who creates it
        unsigned thread = 0;        ///< written by who runs it
        bool ran = false;           ///< the same
    };

    /// What the token of a place does: one and the same for one seed.
    struct plan {
        bool nested;        ///< opens a chain of its own inside the other
        bool throws;        ///< after everything else
        bool dies_at_once;  ///< is killed by its creator
        bool dies_later;    ///< is killed by another thread
        bool waits;         ///< for its children
        bool visits;        ///< waits for an earlier lead
        bool isolated_visit;
    };
    [[nodiscard]] plan plan_of(std::uint32_t number) const noexcept;
    [[nodiscard]] const grow_operation& operation_of(std::uint32_t number) const;

    std::uint64_t grow(std::uint32_t number);
    void make_child(std::uint32_t number);
    void wait_for(const detail::token_handle& other, bool isolated_wait,
                  std::atomic<std::uint64_t>& refused);

    std::uint64_t seed_;
    std::vector<place> places_;
    std::atomic<std::uint32_t> planted_{0};
    std::optional<grow_operation> lead_;
    std::optional<grow_operation> nested_;
    std::optional<grow_operation> branch_;
    std::optional<grow_operation> leaf_;

    std::mutex doomed_lock_;
    std::vector<token<std::uint64_t>> doomed_;

    unsigned most_isolated_ = 0;  ///< half as many as a domain has reserve workers
    std::atomic<unsigned> isolated_{0};
    std::atomic<std::uint64_t> inside_{0};
    std::atomic<std::uint64_t> waits_{0};
    std::atomic<std::uint64_t> refused_waits_{0};
    std::atomic<std::uint64_t> refused_parents_{0};
    std::atomic<std::uint64_t> kills_{0};
};

}  // namespace tokengate::app
