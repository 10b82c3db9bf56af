// SPDX-License-Identifier: Apache-2.0
/// @file
/// The CPU time that the process's cgroups allow it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace tokengate::detail {

/// A CPU bandwidth limit: `quota_us` microseconds of CPU time in every `period_us`.
struct cpu_quota {
    std::int64_t quota_us = 0;   ///< above 0
    std::int64_t period_us = 0;  ///< above 0
    std::string file;            ///< where it is written

    /// The CPUs that it keeps busy, rounded up; at least 1.
    [[nodiscard]] unsigned cpus() const noexcept;

    /// For people: "150 ms of CPU time every 100 ms, 1.50 CPUs, set in <file>".
    [[nodiscard]] std::string text() const;
};

/// Where to look. Tests point these at a fake tree; the program uses the defaults.
struct quota_paths {
    std::filesystem::path cgroup = "/proc/self/cgroup";
    std::filesystem::path mountinfo = "/proc/self/mountinfo";
    std::filesystem::path root = "/";  ///< mount points in `mountinfo` are taken from here
};

/// The tightest quota of the process's own cgroup and all its parents, over cgroup v2 (cpu.max) and
/// v1 (cpu.cfs_quota_us, cpu.cfs_period_us); nothing if there is none. What cannot be read or
/// parsed limits nothing: a missing quota costs some throttling, a wrong one would cost cores.
///
/// A container sees its cgroup as the root of the tree, so parents outside it stay hidden.
///
/// Source: Linux, Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst.
[[nodiscard]] std::optional<cpu_quota> read_cpu_quota(const quota_paths& paths = {});

}  // namespace tokengate::detail
