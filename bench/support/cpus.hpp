// SPDX-License-Identifier: Apache-2.0
/// @file
/// On which CPUs the calling thread runs.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

namespace tokengate::bench {

/// Lets the calling thread run on these CPUs only, given by their OS indexes. Threads that it
/// starts inherit that.
/// @throws std::system_error
inline void bind_to(const std::vector<unsigned>& cpus) {
    if (cpus.empty()) return;
    cpu_set_t wanted;
    CPU_ZERO(&wanted);
    for (const unsigned each : cpus) CPU_SET(each, &wanted);
    if (sched_setaffinity(0, sizeof wanted, &wanted) != 0) {
        throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
    }
}

/// Moves the calling thread to one of these CPUs, if it is on none of them, and leaves it free to
/// go elsewhere.
/// @throws std::system_error
inline void move_to(const std::vector<unsigned>& cpus) {
    if (cpus.empty()) return;
    const int here = sched_getcpu();
    if (here >= 0 && std::ranges::count(cpus, static_cast<unsigned>(here)) != 0) return;
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0) {
        throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
    }
    bind_to(cpus);
    static_cast<void>(sched_setaffinity(0, sizeof before, &before));
}

}  // namespace tokengate::bench
