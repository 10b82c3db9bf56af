// SPDX-License-Identifier: Apache-2.0
/// @file
/// A share of a bulk: those of its tokens that went to one domain together. Protocol: bulk.md.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include <tokengate/detail/bulk_frame.hpp>

#include "domain/crew.hpp"
#include "domain/execution_stack.hpp"
#include "token/reasons.hpp"

namespace tokengate::detail {

/// The record of a share, on the line behind its node, which is no token, but has a token's state
/// word, chain and runtime. Elements [first, first + count) of the bulk, in stretches.
struct share {
    bulk_core* bulk;
    std::size_t first;
    std::uint32_t count;
    std::uint32_t length;                   ///< of each stretch but the last
    std::uint32_t stretches;                ///< and entries
    std::uint16_t home;                     ///< the domain in whose lane it was put
    route way;                              ///< mailbox, deque or here
    std::uint32_t aside = 0;                ///< entries in the backlog; under its mutex
    bool written_off = false;               ///< these do not count any more; likewise
    std::atomic<std::uint32_t> cursor{0};   ///< the next stretch to be run or killed
    std::atomic<std::uint64_t> pending{0};  ///< stretches and, below, elements that have not ended

    [[nodiscard]] std::size_t first_of(std::uint32_t number) const noexcept {
        return first + std::size_t{number} * length;
    }
    [[nodiscard]] std::size_t end_of(std::uint32_t number) const noexcept {
        return number + 1 == stretches ? first + count : first_of(number + 1);
    }

    /// Claims the next stretch, if there is one left: only the caller may run it.
    [[nodiscard]] std::optional<std::uint32_t> claim() noexcept {
        // Relaxed, both: whoever got here got the share through a lane, a deque or a handle, which
        // publish it; the cursor decides between claimants. The look keeps it from wrapping round.
        if (cursor.load(std::memory_order_relaxed) >= stretches) return std::nullopt;
        const std::uint32_t number = cursor.fetch_add(1, std::memory_order_relaxed);
        return number < stretches ? std::optional(number) : std::nullopt;
    }

    /// True if a stretch is left that nobody has claimed.
    [[nodiscard]] bool has_unclaimed() const noexcept {
        // Relaxed: as in claim(), which decides.
        return cursor.load(std::memory_order_relaxed) < stretches;
    }

    /// True if an element has not ended, so that it is not counted either.
    [[nodiscard]] bool has_unended() const noexcept {
        // Relaxed: what is decided by it is decided again.
        return static_cast<std::uint32_t>(pending.load(std::memory_order_relaxed)) != 0;
    }

    static constexpr std::uint64_t one_stretch = std::uint64_t{1} << 32U;
};

/// The most stretches of a share: each is an entry, with a reference to the node.
inline constexpr std::uint32_t most_stretches = 1U << 22U;

/// What stands for the frame of a share.
extern const frame_type share_frame;

[[nodiscard]] inline bool is_share(const token_node& node) noexcept {
    return node.glance().way == route::bulk;
}

inline constexpr std::size_t share_offset = 64;

[[nodiscard]] inline share& share_of(token_node& node) noexcept {
    return *std::launder(reinterpret_cast<share*>(at_offset(node, share_offset)));
}

/// A stretch on the stack of the worker that runs it.
struct stretch_frame : execution_stack::frame, stretch {
    using frame::frame;

    execution_stack* stack = nullptr;
};

/// The same, from either of its halves: no others exist of a share.
template <class Half>
[[nodiscard]] auto& whole_of(Half& half) noexcept {
    using whole = std::conditional_t<std::is_const_v<Half>, const stretch_frame, stretch_frame>;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): run_stretch() makes wholes.
    return static_cast<whole&>(half);
}

/// The element that a stretch is at; one that is over for as long as the worker is held in an
/// element that was killed. For onlookers.
[[nodiscard]] std::size_t current_element(const execution_stack::frame& running) noexcept;

/// Ends elements and stretches of a share; the last element makes it terminal. Whoever has claimed
/// them does so once. It may give up a reference in the same step.
void end_elements(token_node& node, std::size_t elements, std::uint32_t stretches,
                  bool drops_reference) noexcept;

/// The first step of every kill: whoever waits for the share is released, and no stretch of it is
/// begun any more. True if this made it terminal.
/// @param why  kept as its reason
bool declare_killed(token_node& node, end_reasons::prepared* why = nullptr) noexcept;

/// Kills a share, and counts those of its elements that have died of it, whose number it gives;
/// none if it was terminal already. The caller has a reference, and the share is not counted yet.
[[nodiscard]] std::optional<std::size_t> kill_share(token_node& node,
                                                    end_reasons::prepared* why) noexcept;

/// Kills the stretches of a share that nobody has claimed. How many elements these were; the caller
/// counts them.
/// @param reason  kept as its reason; empty: none
std::size_t kill_unclaimed(crew& owner, token_node& node, std::string_view reason) noexcept;

}  // namespace tokengate::detail
