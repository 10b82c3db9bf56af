// SPDX-License-Identifier: Apache-2.0
/// @file
/// What scheduled atomics ask of the schedule that runs. Outside of one, memory is just memory.
#pragma once

#include <atomic>
#include <cstddef>

namespace tokengate::detail::interleave {

/// Before each access: another thread may go on here, and stores of others may arrive.
void step() noexcept;

/// What this thread sees: its own latest store there, if that is still on its way, or what is
/// there.
void load(const void* from, void* to, std::size_t size) noexcept;

/// Stores at once, if sequentially consistent. Otherwise the store is on its way for a while; one
/// with release order arrives after all that this thread stored before.
void store(void* to, const void* from, std::size_t size, std::memory_order order) noexcept;

/// Before a read-modify-write: what this thread stored there before arrives, and with release
/// order all that it stored.
void settle(const void* where, std::memory_order order) noexcept;

/// All that this thread has stored arrives.
void fence() noexcept;

/// All that anybody has stored arrives.
void fence_everywhere() noexcept;

/// Now and then: a weak compare-exchange may.
[[nodiscard]] bool fails_for_no_reason() noexcept;

/// The object is no more, and nothing may be on its way to it.
void forget(const void* where) noexcept;

}  // namespace tokengate::detail::interleave
