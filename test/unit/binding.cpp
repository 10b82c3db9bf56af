// SPDX-License-Identifier: Apache-2.0
// Binding: threads run where they were put, and a refusal is seen and named.
#include "topology/binding.hpp"

#include <sched.h>

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/error.hpp>

#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

using detail::bind_result;
using detail::bind_this_thread;
using detail::cpu_mask;
using detail::set_this_thread_mask;
using detail::this_thread_mask;

/// An index that no Linux has, but that a mask can hold.
constexpr unsigned no_such_cpu = 900'000;

domain_info make_domain(std::vector<unsigned> cpus) {
    domain_info domain;
    domain.index = 5;
    domain.cpus = std::move(cpus);
    return domain;
}

/// Runs on a thread of its own, so that no binding leaks into other tests.
template <class Body>
void on_own_thread(Body body) {
    std::thread(body).join();
}

}  // namespace

TEST_CASE("a_bound_thread_runs_on_its_domain_only") {
    for (const unsigned cpu : this_thread_mask().cpus()) {
        on_own_thread([cpu] {
            const bind_result result = bind_this_thread(make_domain({cpu}));
            CHECK(result.bound);
            CHECK(result.error.empty());
            CHECK(this_thread_mask() == cpu_mask({cpu}));
            CHECK(sched_getcpu() == static_cast<int>(cpu));
        });
    }
}

TEST_CASE("every_domain_of_this_machine_can_be_bound") {
    const clean_hwloc_environment clean;
    const topology map = topology::discover();
    for (const domain_info& domain : map.domains()) {
        on_own_thread([&] {
            const bind_result result = bind_this_thread(domain);
            CHECK_MESSAGE(result.bound, result.error);
            CHECK(this_thread_mask().cpus() == domain.cpus);
        });
    }
}

TEST_CASE("binding_to_a_cpu_that_does_not_exist_fails_with_its_number") {
    on_own_thread([] {
        const cpu_mask before = this_thread_mask();
        const bind_result result = bind_this_thread(make_domain({no_such_cpu}));
        CHECK_FALSE(result.bound);
        CHECK(contains(result.error, "domain 5 (CPU list 900000)"));
        CHECK(contains(result.error, "Invalid argument (none of them exists here"));
        CHECK(this_thread_mask() == before);
    });
}

TEST_CASE("a_synthetic_core_that_does_not_exist_cannot_be_bound") {
    const clean_hwloc_environment clean;
    const scoped_variable vouched("HWLOC_THISSYSTEM", "1");
    // Linux has 8192 CPUs at most.
    const topology map = synthetic("core:2 pu:1(indexes=0,8999)");
    REQUIRE(map.binds());
    on_own_thread([&] {
        const bind_result result = bind_this_thread(map.domain(1));
        CHECK_FALSE(result.bound);
        CHECK(contains(result.error, "domain 1 (CPU list 8999)"));
    });
}

TEST_CASE("reading_back_finds_cpus_that_the_kernel_dropped") {
    const unsigned first = this_thread_mask().cpus().front();
    on_own_thread([first] {
        const bind_result result = bind_this_thread(make_domain({first, no_such_cpu}));
        CHECK_FALSE(result.bound);
        CHECK(contains(result.error, "gave only the CPU list " + std::to_string(first)));
    });
}

TEST_CASE("impossible_requests_fail_cleanly") {
    on_own_thread([] {
        const cpu_mask before = this_thread_mask();
        CHECK_FALSE(bind_this_thread(make_domain({})).bound);
        const bind_result huge = bind_this_thread(make_domain({4'000'000'000U}));
        CHECK_FALSE(huge.bound);
        CHECK(contains(huge.error, "CPU 4000000000 cannot exist"));
        CHECK(this_thread_mask() == before);
    });
}

TEST_CASE("a_mask_can_be_saved_and_put_back") {
    on_own_thread([] {
        const cpu_mask before = this_thread_mask();
        REQUIRE(set_this_thread_mask(cpu_mask({before.cpus().back()})));
        CHECK(this_thread_mask().cpus() == std::vector<unsigned>{before.cpus().back()});
        CHECK(set_this_thread_mask(before));
        CHECK(this_thread_mask() == before);
        CHECK_FALSE(set_this_thread_mask(cpu_mask{}));
        CHECK(this_thread_mask() == before);
    });
}

TEST_CASE("masks_are_sets_of_any_width") {
    const std::vector<unsigned> cpus{0, 63, 64, 1023, 1024, 8191};
    const cpu_mask mask(cpus);
    CHECK(mask.cpus() == cpus);
    CHECK(mask == cpu_mask({8191, 1024, 1023, 64, 63, 0, 0}));
    CHECK(mask != cpu_mask({0, 63, 64, 1023, 1024}));
    CHECK(mask.contains(1024));
    CHECK_FALSE(mask.contains(1025));
    CHECK_FALSE(mask.contains(no_such_cpu));
    CHECK_FALSE(mask.empty());
    CHECK(cpu_mask{}.empty());
    CHECK(cpu_mask(std::vector<unsigned>()) == cpu_mask{});
    CHECK(cpu_mask({cpu_mask::max_cpu}).contains(cpu_mask::max_cpu));
    CHECK_THROWS_AS(cpu_mask({cpu_mask::max_cpu + 1}), topology_error);
}

}  // namespace tokengate::test
