// SPDX-License-Identifier: Apache-2.0
/// @file
/// The futex system call: sleep on a 32-bit word, wake those who sleep on it.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>

#include <tokengate/detail/atomic.hpp>

namespace tokengate::detail {

/// A moment of std::chrono::steady_clock, in nanoseconds.
using steady_ns = std::int64_t;

/// Pauses before a thread that is no worker sleeps: a few microseconds, less than its sleep and its
/// waking would cost. Chosen by bench P2.
inline constexpr int pauses_before_sleep = 64;

/// Sleeps while `word` holds `expected`, at most until `deadline`. May return early.
/// The kernel compares and goes to sleep in one step, so a change of the word is never missed.
void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<steady_ns> deadline = std::nullopt) noexcept;

/// Wakes one sleeper. The word may be gone already: then nothing happens, or somebody wakes early.
void futex_wake_one(atomic<std::uint32_t>& word) noexcept;

/// Wakes all sleepers.
void futex_wake_all(atomic<std::uint32_t>& word) noexcept;

/// Now, by std::chrono::steady_clock.
[[nodiscard]] steady_ns steady_now() noexcept;

/// The moment so much later than now; the end of the clock if that lies beyond it.
[[nodiscard]] inline steady_ns steady_after(std::chrono::nanoseconds duration) noexcept {
    const steady_ns now = steady_now();
    constexpr steady_ns end = std::numeric_limits<steady_ns>::max();
    return duration.count() > end - now ? end : now + duration.count();
}

/// Tells the core that this is a spin loop.
inline void cpu_pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

}  // namespace tokengate::detail
