// SPDX-License-Identifier: Apache-2.0
// OpenMP regions inside tokens. Built with compilers that know OpenMP only.
#include <omp.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "guests.hpp"
#include "ledger.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

constexpr std::array<int, 4> core_counts{1, 2, 4, 8};

/// The user of the tests may have told OpenMP where its threads run. And LLVM's runtime, unlike
/// GNU's, has one pool of threads for all who start regions, so that they run where they were made.
bool openmp_binds() {
#ifdef __clang__
    const bool shares_threads = true;
#else
    const bool shares_threads = false;
#endif
    return shares_threads || omp_get_proc_bind() != omp_proc_bind_false ||
           std::getenv("GOMP_CPU_AFFINITY") != nullptr;
}

}  // namespace

TEST_CASE("threads_of_a_region_inside_a_token_are_bound_to_its_domains_cpus") {
    if (openmp_binds()) return;
    const clean_hwloc_environment clean;
    for (const int cores : core_counts) {
        for (const int threads : {1, 2, 5}) {
            INFO(cores, " domains, ", threads, " threads");
            runtime rt({.cores = cores});
            const auto run = rt.operation("run", {.weight = weight::heavy}, [&](int count) {
                const detail::cpu_mask home(rt.topology().domain(here()).cpus);
                mask_book seen;
#pragma omp parallel num_threads(count)
                seen.note();
                return seen.threads() == static_cast<std::size_t>(count) && seen.all_are(home);
            });
            std::vector<token<bool>> tokens;
            // Fewer and more again: OpenMP keeps threads that it has made.
            for (int i = 0; i < 24; ++i) tokens.push_back(run(i % 3 == 0 ? 1 : threads));
            for (const auto& each : tokens) CHECK(result_of(each));
            settle_locality(rt);
        }
    }
}

TEST_CASE("a_region_has_as_many_threads_as_the_domain_has_cpus_if_it_asks_for_that") {
    const clean_hwloc_environment clean;
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto run = rt.operation("run", {.weight = weight::heavy}, [&] {
            std::atomic<std::size_t> threads{0};
#pragma omp parallel num_threads(static_cast <int>(this_token::concurrency()))
            ++threads;
            return threads == rt.topology().domain(here()).cpus.size();
        });
        for (int i = 0; i < 8; ++i) CHECK(result_of(run()));
        settle_locality(rt);
    }
}

TEST_CASE("threads_of_a_region_in_a_blocking_section_may_wait_for_tokens") {
    const clean_hwloc_environment clean;
    for (const int cores : core_counts) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const auto key = sticky::by_anchor("here");
        std::atomic<int> ran{0};
        const auto work =
            rt.operation("work", {.weight = weight::heavy, .sticky = key}, [&] { ++ran; });
        const auto lead = rt.operation("lead", {.weight = weight::heavy, .sticky = key}, [&] {
            blocking([&] {
#pragma omp parallel num_threads(3)
                work().wait();
            });
        });
        for (int i = 0; i < 4; ++i) CHECK(ends(lead()));
        CHECK(ran == 12);
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
