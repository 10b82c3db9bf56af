// SPDX-License-Identifier: Apache-2.0
/// @file
/// Process-wide locks that survive fork().
#pragma once

#include <mutex>

namespace tokengate::detail {

/// Makes fork() take this lock first and release it in parent and child, so that the child never
/// finds it held by a thread that does not exist there. For locks that live as long as the process
/// and are never held together, except in the order in which they were given here.
/// @throws std::bad_alloc
void hold_over_fork(std::mutex& lock);

}  // namespace tokengate::detail
