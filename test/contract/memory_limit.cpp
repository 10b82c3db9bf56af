// SPDX-License-Identifier: Apache-2.0
// The memory limit of a runtime: what it counts, and what becomes of calls beyond it.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "hold.hpp"
#include "limited.hpp"
#include "locality.hpp"

namespace tokengate::test {
TEST_CASE("a_memory_limit_holds_for_all_operations_together") {
    for (const when_full policy : all_policies) {
        INFO(std::string(to_string(policy)));
        constexpr std::size_t limit = 200'000;
        runtime rt({.cores = 2, .memory_limit = limit, .memory_policy = policy});
        hold gate;
        std::atomic<std::uint64_t> refused{0};
        std::atomic<bool> over{false};
        const auto text = rt.operation("text", [](const std::string&) {});
        const auto numbers_of = rt.operation("numbers", [](const std::vector<int>&) {});
        const auto small = rt.operation("small", [](int i) { return i; });
        const auto busy = rt.operation("busy", [&] { gate.pass(); });
        for (int i = 0; i < 2; ++i) busy();
        REQUIRE(gate.await(2));
        // So many fit at the most, and each of them is counted with what it holds.
        std::uint64_t fit = 0;
        while (fit < 1000 && text.try_call(std::string(10'000, 'x')) && text.stats().dropped == 0) {
            ++fit;
        }
        CHECK(fit >= 15);
        CHECK(fit <= 20);
        CHECK(rt.stats().memory_bytes <= limit);
        CHECK(rt.stats().memory_bytes > limit - 12'000);
        gate.release();
        from_threads(4, [&](int thread) {
            for (int i = 0; i < 300; ++i) {
                try {
                    if (thread % 2 == 0)
                        text.post(std::string(static_cast<std::size_t>(i * 50), 'y'));
                    if (thread % 2 == 1) numbers_of.post(std::vector<int>(1000));
                    if (i % 10 == 0) static_cast<void>(small.bulk(numbers(0, 20)));
                } catch (const call_refused&) {
                    ++refused;
                }
                if (rt.stats().memory_bytes > limit) over = true;
            }
        });
        settle_locality(rt);
        CHECK_FALSE(over);
        CHECK(rt.stats().memory_bytes == 0);
        if (policy == when_full::block) CHECK(refused == 0);
        // What can never fit is refused whatever the policy.
        const std::string said = message_of([&] { text(std::string(limit, 'z')); });
        CHECK(contains(said, "memory_limit of its runtime of 200000 bytes"));
        CHECK_FALSE(text.try_call(std::string(limit, 'z')).has_value());
    }
}

TEST_CASE("a_dependent_counts_with_what_it_was_called_with_before_its_inputs_are_there") {
    constexpr std::size_t large = 50'000;
    runtime rt({.cores = 2, .memory_limit = 200'000});
    hold gate;
    const auto slow = rt.operation("slow", [&] {
        gate.pass();
        return std::string(large, 'y');
    });
    const auto both =
        rt.operation("both", [](const std::string& known, const std::string& awaited) {
            return known.size() + awaited.size();
        });
    const token<std::string> input = slow();
    REQUIRE(gate.await(1));
    const std::uint64_t before = rt.stats().memory_bytes;
    const token<std::size_t> waits = both(std::string(large, 'x'), input);
    CHECK(rt.stats().memory_bytes >= before + large);
    CHECK_FALSE(both.try_call(std::string(3 * large, 'x'), input));
    CHECK_THROWS_AS(both(std::string(5 * large, 'x'), input), call_refused);
    gate.release();
    CHECK(result_of(waits) == 2 * large);
    settle_locality(rt);
    CHECK(rt.stats().memory_bytes == 0);
}

TEST_CASE("recursion_at_a_memory_limit_goes_on") {
    for (const int cores : small_widths) {
        runtime rt({.cores = cores, .memory_limit = 1000});
        std::optional<operation<int(int)>> self;
        const auto body = [&](int depth) -> int {
            return depth == 0 ? 0 : 1 + (*self)(depth - 1).get();
        };
        self = rt.operation("self", body);
        CHECK(result_of((*self)(30)) == 30);
        settle_locality(rt);
        CHECK(rt.stats().memory_bytes == 0);
    }
}

}  // namespace tokengate::test
