// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a worker is executing, readable by others.
#pragma once

#include <atomic>
#include <cstdint>

#include <tokengate/detail/node.hpp>

#include "sleep/futex.hpp"

namespace tokengate::detail {

/// The tokens that one worker executes: the outermost one, and those that it runs while that one
/// waits. The worker pushes and pops; others may look in, and while one does, the worker cannot
/// push or pop, so that the tokens cannot be recycled under the onlooker's eyes.
///
/// The word `top_` is the innermost frame's address, with its lowest bit set while somebody looks.
class execution_stack {
  public:
    /// One executing token, on the stack of its worker.
    struct frame {
        token_node* node = nullptr;
        frame* outer = nullptr;
    };

    /// Worker only.
    void push(frame& inner) noexcept {
        inner.outer = own_;
        own_ = &inner;
        if (inner.outer == nullptr) {
            // Onlookers turn away from an empty stack, so nobody else writes the word now.
            // Release: publishes the frame to inspect().
            top_.store(reinterpret_cast<std::uintptr_t>(&inner), std::memory_order_release);
        } else {
            swap_top(inner.outer, &inner);
        }
    }

    /// Worker only.
    void pop() noexcept {
        frame* inner = own_;
        own_ = inner->outer;
        swap_top(inner, inner->outer);
    }

    /// True if anything executes. Any thread.
    [[nodiscard]] bool busy() const noexcept { return top_.load(std::memory_order_acquire) != 0; }

    /// The token that executes on top of all others; null if none does. Worker only.
    [[nodiscard]] token_node* innermost() const noexcept {
        return own_ == nullptr ? nullptr : own_->node;
    }

    /// True if a token of this strand executes, on top or beneath others. Worker only.
    [[nodiscard]] bool holds_turn_of(const strand& line) const noexcept {
        for (const frame* each = own_; each != nullptr; each = each->outer) {
            if (each->node->serial && each->node->line == &line) return true;
        }
        return false;
    }

    /// True if this token, which is not terminal, cannot go on before the innermost one of this
    /// stack returns: it is on the stack, or waits in a strand for one that is. The worker only, or
    /// whoever knows that it is not pushing or popping.
    [[nodiscard]] bool holds_up(const token_node& waiting) const noexcept {
        for (const frame* each = own_; each != nullptr; each = each->outer) {
            if (each->node == &waiting) return true;
            // The strand of a token that executes is alive, so that equal addresses are one strand.
            if (waiting.serial && each->node->serial && each->node->line == waiting.line &&
                waiting.state.phase() == token_state::waiting) {
                return true;
            }
        }
        return false;
    }

    /// Calls visit(token_node&) for each executing token, innermost first. Any thread; onlookers
    /// take turns. `visit` must be short: the worker may wait for it.
    template <class Visit>
    void inspect(Visit&& visit) {
        std::uintptr_t top = top_.load(std::memory_order_relaxed);
        for (;;) {
            if (top == 0) return;
            if ((top & looking) != 0) {
                cpu_pause();
                top = top_.load(std::memory_order_relaxed);
                // Acquire: pairs with the release in swap_top(), which publishes the frames.
            } else if (top_.compare_exchange_weak(top, top | looking, std::memory_order_acquire,
                                                  std::memory_order_relaxed)) {
                break;
            }
        }
        // Whatever `visit` throws, the worker goes on afterwards.
        const struct release {
            std::atomic<std::uintptr_t>& word;
            std::uintptr_t value;
            // Release: what the onlooker did comes before the worker's next push or pop.
            ~release() { word.store(value, std::memory_order_release); }
        } at_end{top_, top};
        for (auto* each = reinterpret_cast<frame*>(top); each != nullptr; each = each->outer) {
            visit(*each->node);
        }
    }

  private:
    static constexpr std::uintptr_t looking = 1;

    void swap_top(frame* from, frame* to) noexcept {
        const auto old_top = reinterpret_cast<std::uintptr_t>(from);
        const auto new_top = reinterpret_cast<std::uintptr_t>(to);
        std::uintptr_t expected = old_top;
        // Acquire and release: pair with inspect(), in both directions.
        while (!top_.compare_exchange_weak(expected, new_top, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
            expected = old_top;
            cpu_pause();
        }
    }

    frame* own_ = nullptr;  ///< the worker's own copy of the top
    alignas(64) std::atomic<std::uintptr_t> top_{0};
};

}  // namespace tokengate::detail
