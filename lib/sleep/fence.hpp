// SPDX-License-Identifier: Apache-2.0
/// @file
/// The full fence between publishing something and looking for sleepers, and a pair of fences that
/// makes one side pay for both.
#pragma once

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

/// A sequentially consistent fence. The thread sanitizer does not know fences, so that builds for
/// it use a read-modify-write that all callers share, which orders the same and is visible to it.
inline void full_fence() noexcept {
#if defined(__SANITIZE_THREAD__)
#define TOKENGATE_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TOKENGATE_THREAD_SANITIZER 1
#endif
#endif
#if defined(TOKENGATE_THREAD_SANITIZER)
    static atomic<int> shared{0};
    shared.fetch_add(0, std::memory_order_seq_cst);
#else
    detail::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// Tells the system that this process will make heavy fences; before anybody makes a light one.
/// Without effect if the system has none to give (Linux before 4.14): both are full fences then.
void prepare_heavy_fences() noexcept;

/// Has every running thread of the process make a full fence (membarrier, Linux): some
/// microseconds, for what happens once in a runtime's life. Pairs with light_fence().
void heavy_fence() noexcept;

/// True if heavy fences work. Never changes back.
inline std::atomic<bool> heavy_fences_work{false};

/// Against a heavy_fence() as good as a full fence, at the price of none: whatever this thread
/// stored before it, and the other one before the heavy fence, one of the two sees in its loads
/// after it.
inline void light_fence() noexcept {
    // Relaxed: set before the runtime exists whose threads ask.
    if (heavy_fences_work.load(std::memory_order_relaxed)) [[likely]] {
        std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
        full_fence();
    }
}

}  // namespace tokengate::detail
