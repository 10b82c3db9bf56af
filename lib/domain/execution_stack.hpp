// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a worker is executing, readable by others.
#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

#include <tokengate/detail/node.hpp>

#include "sleep/fence.hpp"

namespace tokengate::detail {

/// The tokens that one worker executes: the outermost one, and those that it runs while that one
/// waits. The worker pushes and pops; others may look in, and while one does, the worker does not
/// come back from pop(), so that the tokens cannot be recycled under the onlooker's eyes. That
/// costs the worker nothing, and who looks a heavy fence.
class execution_stack {
  public:
    /// One executing token, on the stack of its worker.
    struct frame {
        explicit frame(token_node* which) noexcept : node(which) {}
        ~frame() {
            // Relaxed: its own thread, and nobody looks at it any more.
            if (const std::stop_source* made = stop.load(std::memory_order_relaxed)) [[unlikely]]
                delete made;
        }
        frame(const frame&) = delete;
        frame& operator=(const frame&) = delete;

        token_node* const node;
        frame* outer = nullptr;
        /// What stops the callable if the token is killed; null until the callable asks for it.
        std::atomic<std::stop_source*> stop{nullptr};
    };

    /// Worker only.
    void push(frame& inner) noexcept {
        inner.outer = own_;
        own_ = &inner;
        // Release: publishes the frame to inspect().
        top_.store(&inner, std::memory_order_release);
    }

    /// Worker only.
    void pop() noexcept {
        own_ = own_->outer;
        // Release: who finds it empty finds all done that was done inside.
        top_.store(own_, std::memory_order_release);
        // Between the store and the look for onlookers; pairs with the heavy fence in inspect():
        // either an onlooker sees that the frame has gone, or it is seen here.
        wait_for_onlookers();
    }

    /// Between something that onlookers look at and what comes next. Worker only.
    void wait_for_onlookers() noexcept {
        light_fence();
        // Acquire: pairs with the release in inspect(); what the onlooker did comes before.
        while (onlookers_.load(std::memory_order_acquire) != 0)
            [[unlikely]] std::this_thread::yield();
    }

    /// How many look at this stack now.
    [[nodiscard]] const std::atomic<unsigned>& onlookers() const noexcept { return onlookers_; }

    /// True if anything executes. Any thread.
    [[nodiscard]] bool busy() const noexcept {
        return top_.load(std::memory_order_acquire) != nullptr;
    }

    /// The token that executes on top of all others; null if none does. Worker only.
    [[nodiscard]] token_node* innermost() const noexcept {
        return own_ == nullptr ? nullptr : own_->node;
    }

    /// Its frame. Worker only.
    [[nodiscard]] frame* innermost_frame() const noexcept { return own_; }

    /// True if this token executes, on top or beneath others. Worker only.
    [[nodiscard]] bool holds(const token_node& wanted) const noexcept {
        for (const frame* each = own_; each != nullptr; each = each->outer) {
            if (each->node == &wanted) return true;
        }
        return false;
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
        // In this order: a dependent that waits in a strand by now is seen there. One whose inputs
        // are missing waits, too, and may get its place while we look.
        const bool waits = waiting.state.phase() == token_state::waiting;
        const strand* const line = waits ? waiting.line_at_a_glance() : nullptr;
        for (const frame* each = own_; each != nullptr; each = each->outer) {
            if (each->node == &waiting) return true;
            // The strand of a token that executes is alive, so that equal addresses are one strand.
            if (line != nullptr && each->node->serial && each->node->line == line) return true;
        }
        return false;
    }

    /// Calls visit(token_node&) for each executing token, innermost first. Any thread. `visit` must
    /// be short: the worker may wait for it. What a worker with nothing else on its stack has just
    /// pushed may not be seen, unless the caller has made a heavy_fence() before.
    template <class Visit>
    void inspect(Visit&& visit) {
        inspect_frames([&](frame& each) { visit(*each.node); });
    }

    /// The same with the frames.
    template <class Visit>
    void inspect_frames(Visit&& visit) {
        // Acquire: pairs with the release in push() and pop(). Without a fence: see inspect().
        if (top_.load(std::memory_order_acquire) == nullptr) return;
        onlookers_.fetch_add(1, std::memory_order_relaxed);
        // Whatever `visit` throws, the worker goes on afterwards.
        const struct release {
            std::atomic<unsigned>& onlookers;
            // Release: pairs with the acquire in pop().
            ~release() { onlookers.fetch_sub(1, std::memory_order_release); }
        } at_end{onlookers_};
        // Pairs with the light fence in pop().
        heavy_fence();
        for (frame* each = top_.load(std::memory_order_acquire); each != nullptr;
             each = each->outer) {
            visit(*each);
        }
    }

  private:
    frame* own_ = nullptr;  ///< the worker's own copy of the top
    alignas(64) std::atomic<frame*> top_{nullptr};
    std::atomic<unsigned> onlookers_{0};
};

}  // namespace tokengate::detail
