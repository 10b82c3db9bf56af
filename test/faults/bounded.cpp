// SPDX-License-Identifier: Apache-2.0
// Statistics are bounded: what a runtime tells takes as much memory whether ten tokens are in
// flight or a hundred thousand, and what it keeps to tell does not grow while tokens come and go.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "injection.hpp"
#include "locality.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t few = 10;
constexpr std::size_t many = 100'000;
constexpr std::size_t remembered = 64;

const config roomy{.cores = 2,
                   .mailbox_capacity = 4 * many,
                   .in_flight_limit = 4 * many,
                   .history = remembered,
                   .synthetic = "core:2 pu:1"};

/// What is asked for while body() runs.
template <class Body>
memory_asked asked_by(Body&& body, bool all_threads = false) {
    const counted_memory now(all_threads);
    body();
    return counted_memory::asked();
}

/// What each question takes with so many tokens in flight, free ones and serial ones.
std::vector<memory_asked> questions_with(std::size_t count) {
    runtime rt(roomy);
    const auto op = rt.operation("op", {.timed = true}, [] {});
    const auto serial =
        rt.operation("serial", {.sticky = sticky::by_anchor("anchor", sticky::serial)}, [] {});
    for (std::size_t i = 0; i < remembered; ++i) op.post();
    settle_locality(rt);
    rt.pause();
    for (std::size_t i = 0; i < count / 2; ++i) op.post();
    for (std::size_t i = 0; i < count / 2; ++i) serial.post();
    CHECK(rt.stats().total().in_flight() == count);
    const std::vector<memory_asked> all{
        asked_by([&] { static_cast<void>(rt.stats()); }),
        asked_by([&] { static_cast<void>(op.stats()); }),
        asked_by([&] { static_cast<void>(op.health()); }),
        asked_by([&] { static_cast<void>(rt.history()); }),
        asked_by([&] { static_cast<void>(rt.open_chains()); }),
        asked_by([&] { op.pause(); }),
    };
    rt.resume();
    settle_locality(rt);
    CHECK(rt.stats().total().completed == count + remembered);
    return all;
}

}  // namespace

TEST_CASE("what_a_runtime_tells_takes_no_more_memory_for_many_tokens_than_for_few") {
    static_cast<void>(questions_with(few));  // what is asked for once in a process
    const std::vector<memory_asked> seen = questions_with(few);
    CHECK(questions_with(many) == seen);
    // Something was counted, or this has shown nothing.
    CHECK(seen[0].requests > 0);
    CHECK(seen[3].bytes >= remembered * sizeof(execution));
}

TEST_CASE("statistics_and_history_keep_no_more_while_many_tokens_live_and_end") {
    runtime rt(roomy);
    std::uint64_t ended = 0;
    const auto op =
        rt.operation("op", {.timed = true, .slow_after = std::chrono::hours(1)}, [](int) {});
    const auto run = [&](std::size_t count) {
        const memory_asked asked = asked_by(
            [&] {
                for (std::size_t i = 0; i < count; ++i) op(static_cast<int>(i)).wait();
            },
            true);
        ended += count;
        settle_locality(rt);
        CHECK(rt.history().size() == std::min<std::size_t>(remembered, ended));
        CHECK(op.stats().run->count <= ended);
        return asked.bytes;
    };
    static_cast<void>(run(few));
    static_cast<void>(run(many / 100));
    const std::size_t pooled = detail::usage_of_pool().slab_bytes;
    const std::uint64_t asked = run(many);
    figure("bytes that 100,000 tokens ask for", asked);
    // Not one for each token.
    CHECK(asked < many);
    CHECK(detail::usage_of_pool().slab_bytes == pooled);
    CHECK(rt.stats().operations.size() == 1);
    CHECK(op.stats().counts.completed == ended);
}

}  // namespace tokengate::test
