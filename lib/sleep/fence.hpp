// SPDX-License-Identifier: Apache-2.0
/// @file
/// The full fence between publishing something and looking for sleepers.
#pragma once

#include <atomic>

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
    static std::atomic<int> shared{0};
    shared.fetch_add(0, std::memory_order_seq_cst);
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace tokengate::detail
