// SPDX-License-Identifier: Apache-2.0
/// @file
/// Arenas over several domains, for the tokens that ask for one. Protocol: arenas.md.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include <tokengate/topology.hpp>

#include "domain/arena.hpp"

namespace tokengate::detail {

class crew;

/// The wide arenas of a crew. Each has one user at a time: so its worker always finds a slot, and
/// none of oneTBB's waits inside it takes up what belongs to another token.
/// Thread safety: any worker of the crew.
class arena_pool {
  public:
    /// @param pin  guests are bound to the CPUs of the domains
    arena_pool(crew& owner, const topology& machine, bool pin) noexcept
        : crew_(owner), machine_(machine), pins_(pin) {}
    arena_pool(const arena_pool&) = delete;
    arena_pool& operator=(const arena_pool&) = delete;

    /// Runs `body`, which throws nothing, on the calling worker, inside an arena over so many
    /// domains around its own; in that of its domain, if they add nothing or there is no memory.
    void run(unsigned width, const std::function<void()>& body) noexcept;

    /// How many threads an algorithm can use in the wide arena that the calling thread is the user
    /// of; 0: it is in none.
    [[nodiscard]] static unsigned concurrency_here() noexcept;

  private:
    struct wide_arena {
        wide_arena(crew& owner, unsigned home, domain_info together, bool pin);

        const domain_info cpus;  ///< those of all its domains, as one
        domain_arena arena;
    };
    using arenas = std::list<wide_arena>;

    /// An arena in a list of its own; empty: there is none, or none is needed.
    [[nodiscard]] arenas take(unsigned home, unsigned width) noexcept;
    [[nodiscard]] domain_info around(unsigned home, unsigned width) const;

    crew& crew_;
    const topology& machine_;
    const bool pins_;
    mutable std::mutex lock_;
    /// Under lock_: those that nobody uses, by domain and width. As many as were used at once.
    std::map<std::pair<unsigned, unsigned>, arenas> idle_;
};

}  // namespace tokengate::detail
