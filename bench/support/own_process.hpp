// SPDX-License-Identifier: Apache-2.0
/// @file
/// Measures what concerns a whole process, such as its memory, in one that nobody else has used.
#pragma once

#include <functional>

namespace tokengate::bench {

/// Calls `measure` in a child process, and returns what it returned. Blocks until the child has
/// ended. To be called while this process has one thread: a child gets no other, but would get the
/// locks that others hold.
/// @throws wrong_result if `measure` throws or the child does not survive it; std::system_error
[[nodiscard]] double in_own_process(const std::function<double()>& measure);

}  // namespace tokengate::bench
