// SPDX-License-Identifier: Apache-2.0
/// @file
/// Threads of oneTBB's while they help a token. Protocol: arenas.md.
#pragma once

#include <memory>
#include <mutex>

#include <tokengate/detail/node.hpp>

namespace tokengate::detail {

class crew;

/// What such a thread must know of the arena that it helps in: whose worker may be waiting for it.
/// Shared by the arena and the threads in it, which may be there for longer.
/// Thread safety: any thread.
class guest_post {
  public:
    /// @param owner  null: nobody can stand in
    /// @param concurrency  how many threads the arena has for an algorithm
    guest_post(crew* owner, unsigned domain, unsigned concurrency) noexcept
        : owner_(owner), domain_(domain), concurrency_(concurrency) {}

    /// That of the calling thread, if it is a guest; otherwise null.
    [[nodiscard]] static const std::shared_ptr<guest_post>& of_this_thread() noexcept;

    /// The calling thread comes or goes; null: it is no guest any more.
    static void enter(std::shared_ptr<guest_post> post) noexcept;

    /// The arena goes, and its crew may: nobody stands in any more.
    void close() noexcept;

    /// The calling thread is about to block. If it is a guest, a worker may wait inside oneTBB for
    /// what it does, and cannot run tokens meanwhile: a reserve stands in for that worker.
    static void begin_blocking(blocked_by cause) noexcept;
    static void end_blocking(blocked_by cause) noexcept;

    [[nodiscard]] unsigned concurrency() const noexcept { return concurrency_; }

  private:
    std::mutex lock_;
    crew* owner_;  ///< under lock_
    const unsigned domain_;
    const unsigned concurrency_;
};

}  // namespace tokengate::detail
