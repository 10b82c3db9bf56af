// SPDX-License-Identifier: Apache-2.0
// Retries and fresh tokens of one worker: a retry after every retry_stride fresh tokens, no more,
// and no less while one waits.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t rounds = 150;

/// What a worker has run, in order.
enum class step : std::uint8_t {
    fresh,        ///< and that was it
    fresh_fails,  ///< it is to be retried
    retry,        ///< and that was it
    retry_fails,  ///< it is to be retried once more
};

/// What is wrong with an order in which `fresh` tokens were there from the beginning; nothing if
/// there is a retry after every `stride` fresh tokens.
std::string fault_of(const std::vector<step>& order, std::size_t stride) {
    const auto is_fresh = [](step each) {
        return each == step::fresh || each == step::fresh_fails;
    };
    const auto last_fresh = static_cast<std::size_t>(
        std::find_if(order.rbegin(), order.rend(), is_fresh).base() - order.begin());
    std::size_t waiting = 0;     // retries
    std::size_t since = stride;  // fresh tokens since the last retry
    std::size_t passed_by = 0;   // of these, while a retry waited
    for (std::size_t i = 0; i < last_fresh; ++i) {
        if (is_fresh(order[i])) {
            ++since;
            if (waiting > 0 && ++passed_by > stride + 1) return "retries starve";
        } else {
            if (since < stride) return "a retry comes too early";
            if (waiting == 0) return "a retry that nobody waits for";
            --waiting;
            since = 0;
            passed_by = 0;
        }
        if (order[i] == step::fresh_fails || order[i] == step::retry_fails) ++waiting;
    }
    // From here on nothing fresh waits, and retries follow each other.
    return "";
}

}  // namespace

TEST_CASE("one_retry_is_served_after_every_stride_of_fresh_tokens_in_any_mixture") {
    seeded random;
    std::uint64_t fresh_ones = 0;
    std::uint64_t retries = 0;
    for (std::size_t round = 0; round < scaled(rounds); ++round) {
        const std::size_t stride = 1 + random.below(9);
        INFO("stride ", stride);
        runtime rt({.cores = 1, .retry_stride = static_cast<int>(stride)});
        hold gate;
        std::vector<step> order;  // of the one worker
        const auto held = rt.operation("held", [&] { gate.pass(); });
        std::vector<operation<void(unsigned)>> ops;
        for (const weight each : all_weights) {
            ops.push_back(rt.operation(
                to_string(each), {.weight = each, .retry = {.attempts = 3}}, [&](unsigned runs) {
                    const unsigned attempt = this_token::attempt();
                    const bool fails = attempt < runs;
                    order.push_back(attempt == 1 ? (fails ? step::fresh_fails : step::fresh)
                                                 : (fails ? step::retry_fails : step::retry));
                    if (fails) throw std::runtime_error("not yet");
                }));
        }
        held();
        REQUIRE(gate.await(1));
        const std::size_t count = 100 + random.below(500);
        const std::uint64_t one_fails_in = 1 + random.below(20);
        std::size_t expected = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const auto runs =
                random.one_in(one_fails_in) ? 2 + static_cast<unsigned>(random.below(2)) : 1U;
            expected += runs;
            ops[random.below(ops.size())].post(runs);
        }
        gate.release();
        settle_locality(rt);
        REQUIRE(order.size() == expected);
        REQUIRE(fault_of(order, stride) == "");
        fresh_ones += count;
        retries += expected - count;
    }
    figure("fresh tokens between retries", fresh_ones);
    figure("retries in their turn", retries);
}

TEST_CASE("the_check_of_turns_catches_retries_that_come_early_or_starve") {
    using enum step;
    const std::vector<step> fine{fresh_fails, retry_fails, fresh, fresh, retry, fresh};
    CHECK(fault_of(fine, 2) == "");
    CHECK(fault_of(fine, 3) == "a retry comes too early");
    CHECK(fault_of({fresh_fails, fresh_fails, retry, retry, fresh}, 2) ==
          "a retry comes too early");
    CHECK(fault_of({fresh_fails, fresh, fresh, fresh, fresh, retry}, 2) == "retries starve");
    CHECK(fault_of({fresh_fails, fresh, fresh, fresh, retry, fresh}, 2) == "");
    CHECK(fault_of({fresh, retry, fresh}, 1) == "a retry that nobody waits for");
}

}  // namespace tokengate::test
