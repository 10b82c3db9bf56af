// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where the parallel algorithms of oneTBB run that a callable uses: on the cores of its domain, or
/// of several.
#pragma once

namespace tokengate {

/// Over how many domains oneTBB's algorithms inside a callable may spread: see domains().
struct arena_width {
    unsigned domains = 1;  ///< 1 and more; 1: the domain that the token runs in, and no other
};

/// For the trait `arena`: while the callable runs, the algorithms of oneTBB that it uses run in an
/// arena over the `count` domains nearest to the one that the token runs in, itself included. With
/// more than the machine has, all of them; domains that share their CPUs with another one of them
/// count once.
///
/// The token stays on its worker. Threads of oneTBB that come to help are bound to the CPUs of all
/// those domains; there are as many as those have CPUs, less one. They compete for the CPUs with
/// what the workers there run, as any threads do. From apps/examples/tbb_inside.cpp:
/// @code
/// auto solve = rt.operation("solve", {.weight = tg::weight::heavy, .arena = tg::domains(4)},
/// @endcode
/// What the callable waits for may run on its stack, and so in its arena, as a plain call would;
/// otherwise nothing else does, and another thread stands in for the worker while it waits.
///
/// Cost: about that of a time limit, for each token; and making an arena, the first time, and again
/// for each run that is on at the same time. Without memory for it the callable runs in the arena
/// of its domain.
[[nodiscard]] constexpr arena_width domains(unsigned count) noexcept { return {.domains = count}; }

namespace this_token {

/// How many threads an algorithm that the calling thread starts can use: as many as the token's
/// domain has CPUs, or all domains of its arena. Threads of oneTBB that help the token get the same
/// answer; outside of tokens it is std::thread::hardware_concurrency(), or 1. Cost: two
/// thread-local variables.
///
/// OpenMP knows nothing of arenas: a region has as many threads as OMP_NUM_THREADS says, or as the
/// machine has CPUs, all of them on the CPUs of the domain. So give it
/// `num_threads(static_cast<int>(tg::this_token::concurrency()))` in an operation without the trait
/// `arena`. (With GNU's runtime, libgomp. LLVM's keeps one pool of threads for the whole process,
/// which stay on the CPUs of whichever domain first had them made.) A region in which threads wait
/// for tokens belongs inside tokengate::blocking().
[[nodiscard]] unsigned concurrency() noexcept;

}  // namespace this_token

}  // namespace tokengate
