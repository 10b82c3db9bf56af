// SPDX-License-Identifier: Apache-2.0
// What threads that submit keep in a runtime.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "gate/submitter.hpp"
#include "hold.hpp"

namespace tokengate::test {

using detail::submitter;
using detail::submitter_registry;

namespace {

std::uint64_t counted_in(const submitter_registry& all) {
    std::uint64_t sum = 0;
    all.for_each([&](const submitter& each) { sum += each.counts[0].accepted.value(); });
    return sum;
}

}  // namespace

TEST_CASE("a_thread_that_ends_leaves_its_record_with_its_counts_to_the_next") {
    submitter_registry all(2, 8);
    for (std::uint64_t i = 1; i <= 100; ++i) {
        std::thread([&] { all.mine().counts[0].accepted.add(); }).join();
        REQUIRE(all.size() == 1);
        REQUIRE(counted_in(all) == i);
    }
}

TEST_CASE("there_are_as_many_records_as_threads_have_lived_at_once") {
    submitter_registry all(2, 8);
    for (int round = 0; round < 10; ++round) {
        hold gate;
        std::vector<std::thread> crowd;
        for (int i = 0; i < 5; ++i) {
            crowd.emplace_back([&] {
                all.mine().counts[0].accepted.add();
                gate.pass();
                // The same one as before.
                all.mine().counts[0].accepted.add();
            });
        }
        REQUIRE(gate.await(5));
        CHECK(all.size() == 5);
        gate.release();
        for (std::thread& each : crowd) each.join();
    }
    CHECK(counted_in(all) == 100);
}

TEST_CASE("a_thread_may_outlive_those_whose_records_it_has_had") {
    submitter_registry stays(1, 8);
    std::thread([&] {
        for (int i = 0; i < 10; ++i) {
            std::optional<submitter_registry> goes;
            goes.emplace(1, 8);
            goes->mine().counts[0].accepted.add();
            stays.mine().counts[0].accepted.add();
            CHECK(counted_in(*goes) == 1);
        }
    }).join();
    CHECK(stays.size() == 1);
    CHECK(counted_in(stays) == 10);
}

}  // namespace tokengate::test
