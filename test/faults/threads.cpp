// SPDX-License-Identifier: Apache-2.0
// Threads that cannot be had.
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

int one_more(int n) { return n + 1; }

template <class Body>
ending attempt_without_threads(const fault& which, Body&& body) {
    return attempt_with<refused_threads>(which, std::forward<Body>(body));
}

}  // namespace

TEST_CASE("a_worker_that_cannot_be_started_is_named_and_the_others_end") {
    const clean_hwloc_environment clean;
    config wanted = small_machine();
    wanted.workers_per_core = 2;
    for_each_fault(true, [&](const fault& which) {
        std::optional<runtime> rt;
        const ending how = attempt_without_threads(which, [&] { rt.emplace(wanted); });
        CHECK(rt.has_value() == how.done);
        if (!how.done) {
            const std::string named = "worker thread " + std::to_string(which.number) + " of 4";
            CHECK(contains(how.error, named.c_str()));
            CHECK(contains(how.error, "ulimit -u"));
            rt.emplace(wanted);
        }
        check_it_works(*rt, rt->operation("op", one_more));
        return how;
    });
}

TEST_CASE("a_worker_that_cannot_be_started_again_leaves_the_runtime_stopped") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation("op", one_more);
    for_each_fault(true, [&](const fault& which) {
        CHECK(rt.stop().drained);
        const ending how = attempt_without_threads(which, [&] { rt.start(); });
        CHECK(rt.running() == how.done);
        rt.start();
        check_it_works(rt, op);
        return how;
    });
}

TEST_CASE("the_error_for_a_worker_that_cannot_be_started_needs_no_memory_that_is_not_there") {
    const clean_hwloc_environment clean;
    const config wanted = small_machine();
    for (std::uint64_t thread = 1; thread <= 2; ++thread) {
        for_each_fault(false, [&](const fault& which) {
            std::optional<runtime> rt;
            const ending how = attempt(which, [&] {
                const refused_threads none({.number = thread, .lasting = true});
                try {
                    rt.emplace(wanted);
                } catch (const resource_error&) {
                    // What comes if there is memory.
                }
            });
            CHECK_FALSE(rt.has_value());
            rt.emplace(wanted);
            check_it_works(*rt, rt->operation("op", one_more));
            return how;
        });
    }
}

TEST_CASE("a_stand_in_that_cannot_be_started_is_counted_and_the_worker_blocks_all_the_same") {
    const clean_hwloc_environment clean;
    config wanted = small_machine();
    wanted.cores = 1;
    runtime rt(wanted);
    const auto op = rt.operation("op", one_more);
    const auto blocks = rt.operation("blocks", [] { return blocking([] { return 1; }); });
    for (int round = 1; round <= 3; ++round) {
        int result = 0;
        const ending how = attempt_without_threads({.lasting = true, .all_threads = true},
                                                   [&] { result = result_of(blocks()); });
        CHECK(result == 1);
        CHECK(how.done);
        CHECK(how.refused);
        settle_locality(rt);
        CHECK(rt.stats().locality.short_of_reserves == static_cast<std::uint64_t>(round));
    }
    // As soon as there is a thread, it stands in.
    hold gate;
    const auto held = rt.operation("held", [&] { blocking([&] { gate.pass(); }); });
    const token<void> t = held();
    REQUIRE(gate.await(1));
    CHECK(result_of(op(1)) == 2);
    gate.release();
    REQUIRE(ends(t));
    CHECK(rt.stats().locality.short_of_reserves == 3);
    settle_locality(rt);
}

TEST_CASE("a_run_timeout_without_a_thread_to_keep_it_is_refused_and_can_be_declared_later") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const ending how = attempt_without_threads({.lasting = true, .all_threads = true}, [&] {
        static_cast<void>(rt.operation("timed", {.run_timeout = 1h}, one_more));
    });
    CHECK(how.refused);
    CHECK(contains(how.error, "run_timeout"));
    CHECK(contains(how.error, "ulimit -u"));
    check_it_works(rt, rt.operation("timed", {.run_timeout = 1h}, one_more));
}

}  // namespace tokengate::test
