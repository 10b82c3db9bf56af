// SPDX-License-Identifier: Apache-2.0
// CPUs that are not there, or not any more: whoever is concerned says so, and all else holds.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "figure.hpp"
#include "injection.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {
namespace {

/// Moves a process from one CPU to another and back, all the time, until it is gone.
class mover {
  public:
    mover(pid_t whom, unsigned one, unsigned other) : child_(fork()) {
        if (child_ != 0) return;
        for (bool first = true; kill(whom, 0) == 0; first = !first) {
            cpu_set_t mask;
            CPU_ZERO(&mask);
            CPU_SET(first ? one : other, &mask);
            sched_setaffinity(whom, sizeof(mask), &mask);
            usleep(200);
        }
        _exit(0);
    }
    ~mover() {
        kill(child_, SIGKILL);
        waitpid(child_, nullptr, 0);
    }
    mover(const mover&) = delete;
    mover& operator=(const mover&) = delete;

  private:
    pid_t child_;
};

}  // namespace

TEST_CASE("a_machine_is_read_again_if_the_thread_was_moved_to_other_cpus_meanwhile") {
    const clean_hwloc_environment clean;
    const std::vector<unsigned> there = detail::this_thread_mask().cpus();
    if (there.size() < 2) {
        MESSAGE("skipped: there is one CPU only");
        return;
    }
    // In a process of one thread: hwloc looks at the masks of all.
    const std::string end = in_child([&] {
        const mover moves(getpid(), there.front(), there.back());
        for (int i = 0; i < 500; ++i) {
            const topology map = topology::discover();
            if (map.size() == 0) return 1;
        }
        return 0;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("workers_that_cannot_be_bound_are_counted_and_nothing_else_changes") {
    // A machine that claims to be this one, with CPUs that do not exist.
    const clean_hwloc_environment clean;
    const scoped_variable claim("HWLOC_THISSYSTEM", "1");
    const std::vector<unsigned> there = detail::this_thread_mask().cpus();
    seeded random;
    std::uint64_t failures = 0;
    for (std::size_t round = 0; round < scaled(40); ++round) {
        const auto cores = there.back() + 1 + static_cast<unsigned>(random.below(30));
        const int workers = 1 + static_cast<int>(random.below(2));
        INFO(cores, " cores, ", workers, " workers");
        runtime rt({.cores = static_cast<int>(cores),
                    .workers_per_core = workers,
                    .steal = random.one_in(2) ? stealing::strict : stealing::soft,
                    .synthetic = "core:" + std::to_string(cores) + " pu:1"});
        REQUIRE(rt.topology().binds());
        const auto child = rt.operation("child", [](int n) { return n + 1; });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}},
                                       [&](int n) { return child(n).get() + 1; });
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_arguments(sticky::serial)}, [](int) {});
        const auto blocks = rt.operation("blocks", [] { blocking([] {}); });
        for (int again = 0; again < 2; ++again) {
            std::vector<token<int>> kept;
            for (int i = 0; i < 100; ++i) {
                kept.push_back(lead(i));
                keyed.post(i % 7);
                if (i % 25 == 0) blocks.post();
            }
            for (int i = 0; i < 100; ++i) CHECK(result_of(kept[std::size_t(i)]) == i + 2);
            settle_locality(rt);
            check_it_works(rt, child);
            const runtime_stats seen = rt.stats();
            std::uint64_t counted = 0;
            for (const domain_stats& each : seen.domains) counted += each.bind_failures;
            // At least the usual workers of each domain whose CPU is not there.
            CHECK(counted >= (cores - there.back() - 1) * static_cast<unsigned>(workers));
            CHECK(seen.domains[there.front()].bind_failures == 0);
            CHECK_FALSE((counted > 0 && seen.bind_errors.empty()));
            failures += counted;
            if (again == 0) {
                CHECK(rt.stop().drained);
                rt.start();
            }
        }
    }
    CHECK(failures > 0);
    figure("binds that failed", failures);
}

}  // namespace tokengate::test
