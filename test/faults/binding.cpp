// SPDX-License-Identifier: Apache-2.0
// Workers that cannot be bound where they belong: they say so, and everything else holds.
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "figure.hpp"
#include "injection.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {

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
