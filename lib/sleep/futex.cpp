// SPDX-License-Identifier: Apache-2.0
#include "sleep/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <chrono>
#include <climits>
#include <ctime>

namespace tokengate::detail {

namespace {

constexpr std::int64_t nanoseconds_in_second = 1'000'000'000;

// The address alone reaches the kernel, which does the load itself.
std::uint32_t* address_of(atomic<std::uint32_t>& word) noexcept {
    static_assert(sizeof(word) == sizeof(std::uint32_t));
    return reinterpret_cast<std::uint32_t*>(&word);
}

void wake(atomic<std::uint32_t>& word, int count) noexcept {
    syscall(SYS_futex, address_of(word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr,
            0);
}

}  // namespace

void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected,
                std::optional<steady_ns> deadline) noexcept {
    timespec until{};
    if (deadline) {
        until.tv_sec = *deadline / nanoseconds_in_second;
        until.tv_nsec = *deadline % nanoseconds_in_second;
    }
    // WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, which is what steady_clock reads.
    syscall(SYS_futex, address_of(word), FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
            deadline ? &until : nullptr, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void futex_wake_one(atomic<std::uint32_t>& word) noexcept { wake(word, 1); }

void futex_wake_all(atomic<std::uint32_t>& word) noexcept { wake(word, INT_MAX); }

steady_ns steady_now() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

}  // namespace tokengate::detail
