// SPDX-License-Identifier: Apache-2.0
/// @file
/// The atomics of the protocols: those of the standard. test/interleave has a header of the same
/// name, which it puts in front of this one: there each access goes through a scheduler that
/// decides who makes the next step.
#pragma once

#include <atomic>

namespace tokengate::detail {

template <class T>
using atomic = std::atomic<T>;

template <class T>
using atomic_ref = std::atomic_ref<T>;

using std::atomic_thread_fence;

}  // namespace tokengate::detail
