// SPDX-License-Identifier: Apache-2.0
/// @file
/// How the OpenMP contenders get their threads. They exist only where the compiler has OpenMP.
#pragma once

#include <vector>

#include "support/work.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace tokengate::bench {

#ifdef _OPENMP

inline constexpr bool has_openmp = true;

/// A team of OpenMP threads. By default they spin after their work, for up to 200 ms, and would
/// take the cores from the contenders that follow; so between the turns they rest.
class openmp_team {
  public:
    explicit openmp_team(const setting& given) : threads_(static_cast<int>(given.threads)) {
#ifdef __clang__
        // LLVM's threads may spin for 5 ms: they are asleep when the next turn begins.
        kmp_set_blocktime(5);
#endif
    }

    /// Has the threads ready. Not to be timed.
    void start() {
#pragma omp parallel num_threads(threads_)
        {}
    }

    /// Lets the threads rest. Not to be timed.
    static void rest() {
#ifndef __clang__
        // Ends them. LLVM 14 cannot start its threads again after that.
        omp_pause_resource_all(omp_pause_hard);
#endif
    }

    /// Runs `body` as one thread of the team, while the others run the tasks that it creates.
    /// Returns when all of them, and theirs, are done.
    template <class Body>
    void run(const Body& body) {
#pragma omp parallel num_threads(threads_)
#pragma omp single
        body();
    }

    /// Creates a task; only inside run().
    template <class Body>
    static void task(Body body) {
#pragma omp task firstprivate(body)
        body();
    }

    /// Waits for the tasks that the calling task has created itself.
    static void wait() {
#pragma omp taskwait
    }

  private:
    int threads_;
};

#else

inline constexpr bool has_openmp = false;

/// Nothing: contenders made of it are never entered.
class openmp_team {
  public:
    explicit openmp_team(const setting&) {}
    void start() {}
    static void rest() {}
    template <class Body>
    void run(const Body&) {}
    template <class Body>
    static void task(const Body&) {}
    static void wait() {}
};

#endif

/// The base of OpenMP contenders of a work whose contenders have the base `Base`.
template <class Base>
class with_team : public Base {
  public:
    /// @param more  what the constructor of `Base` gets besides the setting
    template <class... A>
    explicit with_team(const setting& given, const A&... more)
        : Base(given, more...), team_(given) {}

    void prepare() override {
        Base::prepare();
        team_.start();
    }

    void verify() override {
        openmp_team::rest();
        Base::verify();
    }

  protected:
    [[nodiscard]] openmp_team& team() noexcept { return team_; }

  private:
    openmp_team team_;
};

/// These entries, and that of an OpenMP contender where there is OpenMP.
template <class C>
[[nodiscard]] std::vector<entry> with_openmp(std::vector<entry> contenders) {
    if constexpr (has_openmp) contenders.push_back(enter<C>("OpenMP", family::other));
    return contenders;
}

}  // namespace tokengate::bench
