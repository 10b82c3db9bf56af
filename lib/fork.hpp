// SPDX-License-Identifier: Apache-2.0
/// @file
/// The runtimes of this process, so that a child process can be told that it has none.
#pragma once

#include <mutex>

namespace tokengate::detail {

class runtime_core;

/// Installs the fork handlers, if they are not there. To be called before hold_over_fork() of a
/// lock that is taken while hold_runtimes() is held.
void survive_forks();

/// Makes a runtime known to the fork handlers.
void enlist_runtime(runtime_core& runtime);

/// Takes it off the list.
void delist_runtime(runtime_core& runtime) noexcept;

/// While this lock is held, no runtime of this process ends.
[[nodiscard]] std::unique_lock<std::mutex> hold_runtimes();

/// The runtime at this address, if there is one still. The caller has hold_runtimes().
[[nodiscard]] runtime_core* find_runtime(const runtime_core* wanted) noexcept;

/// True if this runtime belongs to the parent process.
[[nodiscard]] bool left_behind_by_fork(const runtime_core* runtime) noexcept;

}  // namespace tokengate::detail
