// SPDX-License-Identifier: Apache-2.0
/// @file
/// Binding threads to CPUs, and proving that it worked.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <tokengate/topology.hpp>

namespace tokengate::detail {

/// A set of CPUs in the form that the kernel reads. A value: copying it allocates, comparing and
/// applying it does not. Thread safety: as for std::vector.
class cpu_mask {
  public:
    /// The empty set.
    cpu_mask() = default;

    /// The set of the given OS indexes, in any order.
    /// @throws std::bad_alloc
    /// @throws topology_error if an index is larger than `max_cpu`
    explicit cpu_mask(const std::vector<unsigned>& cpus);

    /// The largest index that a mask can hold. Linux is built for 8192 CPUs at most; the bound
    /// keeps a mistyped index in a synthetic topology from asking for gigabytes.
    static constexpr unsigned max_cpu = (1U << 20) - 1;

    [[nodiscard]] bool empty() const noexcept { return words_.empty(); }
    [[nodiscard]] bool contains(unsigned cpu) const noexcept;

    /// The OS indexes in it, ascending.
    [[nodiscard]] std::vector<unsigned> cpus() const;

    bool operator==(const cpu_mask&) const = default;

  private:
    friend cpu_mask this_thread_mask() noexcept;
    friend bool set_thread_mask(int thread, const cpu_mask& mask) noexcept;

    // Bit i of word w is CPU w * bits + i. The last word is never 0, so that == compares sets.
    std::vector<unsigned long> words_;
};

/// The CPUs that the calling thread may run on; empty if the system does not tell.
[[nodiscard]] cpu_mask this_thread_mask() noexcept;

/// Lets the calling thread run on these CPUs only. One system call, no allocation.
/// @returns false, with errno set, if the system refuses; the thread's mask is then unchanged
bool set_this_thread_mask(const cpu_mask& mask) noexcept;

/// The system's number of the calling thread.
[[nodiscard]] int this_thread_id() noexcept;

/// Lets another thread of this process run on these CPUs only. As set_this_thread_mask(); fails
/// with ESRCH if the thread has ended.
bool set_thread_mask(int thread, const cpu_mask& mask) noexcept;

/// What came of an attempt to bind.
struct bind_result {
    bool bound = false;
    std::string error;  ///< why it failed, with the CPUs that were asked for; empty if bound
};

/// Binds the calling thread to the CPUs of a domain and reads its mask back, because the kernel
/// silently drops CPUs that it cannot give.
///
/// After a refusal (`bound` is false) the thread keeps its mask, unless the kernel gave a part of
/// what was asked for; then it keeps that part, which is inside the domain.
///
/// Callers skip it when `topology::binds()` is false: the CPUs are then not of this machine.
[[nodiscard]] bind_result bind_this_thread(const domain_info& domain) noexcept;

}  // namespace tokengate::detail
