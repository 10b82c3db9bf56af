// SPDX-License-Identifier: Apache-2.0
// Runtimes that are stopped at any moment, from anywhere: every accepted token ends, once.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "longest.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t shutdowns = 1'000;

/// What one submitter has seen.
struct receipts {
    std::vector<token<int>> tokens;
    std::uint64_t dropped = 0;  ///< accepted, handle not kept
};

/// Submits until the runtime does not accept any more.
void submit_until_stopped(const operation<int(int)>& op, seeded& random, receipts& mine) {
    try {
        for (int i = 0;; ++i) {
            if (random.one_in(3)) {
                op(i);
                ++mine.dropped;
            } else if (mine.tokens.size() < 2000) {
                mine.tokens.push_back(op(i));
            } else if (!op.try_call(i)) {
                std::this_thread::yield();
            } else {
                ++mine.dropped;
            }
        }
    } catch (const runtime_stopped&) {
        return;
    }
}

using clock = longest::clock;

/// Each handle says how its token ended; the sums must be those in the books.
struct endings {
    std::uint64_t ended = 0;
    std::uint64_t stuck = 0;

    void add(const receipts& of) {
        for (const token<int>& each : of.tokens) (each.wait_for(20s) ? ended : stuck) += 1;
        ended += of.dropped;
    }
};

}  // namespace

TEST_CASE("every_accepted_token_ends_when_the_runtime_is_stopped_at_a_random_moment") {
    seeded random;
    std::uint64_t from_workers = 0;
    longest time;
    for (std::size_t round = 0; round < scaled(shutdowns); ++round) {
        config wanted{.cores = widths[random.below(4)], .spin_time = 0us};
        if (random.one_in(3)) wanted.in_flight_limit = 1 + std::int64_t(random.below(50));
        if (random.one_in(3)) wanted.mailbox_capacity = 1 + std::int64_t(random.below(50));
        runtime rt(wanted);
        const operation<int(int)>* self = nullptr;
        const bool in_a_hurry = random.one_in(3);
        const auto deadline = std::chrono::microseconds(random.below(200));
        std::atomic<bool> stop_inside{false};
        std::atomic<bool> stopped_inside{false};
        const auto op = rt.operation("op", [&](int n) -> int {
            if (n % 7 == 3) throw n;
            if (n % 16 == 5) return (*self)(n + 1).get();
            if (stop_inside.exchange(false)) {
                in_a_hurry ? rt.stop(deadline) : rt.stop();
                stopped_inside = true;
            }
            return n;
        });
        self = &op;

        std::vector<receipts> seen(1 + random.below(3));
        std::vector<std::thread> crowd;
        for (std::size_t t = 0; t < seen.size(); ++t) {
            crowd.emplace_back([&, t] {
                seeded mine(random, round * 8 + t);
                submit_until_stopped(op, mine, seen[t]);
            });
        }
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(300)));
        const auto begun = clock::now();
        if (random.one_in(4)) {
            stop_inside = true;
            REQUIRE(eventually([&] { return stopped_inside.load(); }));
            ++from_workers;
        }
        std::vector<std::thread> stoppers(1 + random.below(4));
        for (std::thread& each : stoppers) {
            each = std::thread([&] { in_a_hurry ? rt.stop(deadline) : rt.stop(); });
        }
        for (std::thread& each : stoppers) each.join();
        for (std::thread& each : crowd) each.join();
        rt.stop();
        REQUIRE(time.add(begun) < hang_limit);

        endings end;
        for (const receipts& each : seen) end.add(each);
        REQUIRE(end.stuck == 0);
        const token_counts books = rt.stats().total();
        REQUIRE(books.in_flight() == 0);
        // Tokens that tokens made are in the books only.
        REQUIRE(books.accepted >= end.ended);
        check_ledger(rt);
    }
    figure("shutdowns", scaled(shutdowns));
    figure("shutdowns from a worker", from_workers);
    time.say("shutdown");
}

TEST_CASE("every_accepted_token_ends_when_the_runtime_restarts_again_and_again") {
    seeded random;
    runtime rt({.cores = 3, .spin_time = 0us});
    const auto op = rt.operation("op", [](int n) { return n; });
    std::atomic<bool> over{false};
    std::vector<receipts> seen(2);
    std::vector<std::thread> crowd;
    for (std::size_t t = 0; t < seen.size(); ++t) {
        crowd.emplace_back([&, t] {
            seeded mine(random, t);
            while (!over) {
                submit_until_stopped(op, mine, seen[t]);
                std::this_thread::yield();
            }
        });
    }
    longest time;
    for (std::size_t round = 0; round < scaled(200); ++round) {
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(200)));
        const auto begun = clock::now();
        if (random.one_in(2)) rt.stop(0us);
        rt.stop();
        REQUIRE(time.add(begun) < hang_limit);
        rt.start();
    }
    over = true;
    rt.stop();
    for (std::thread& each : crowd) each.join();
    endings end;
    for (const receipts& each : seen) end.add(each);
    CHECK(end.stuck == 0);
    CHECK(rt.stats().total().accepted == end.ended);
    check_ledger(rt);
    figure("restarts", scaled(200));
    time.say("shutdown");
}

TEST_CASE("destructors_drain_at_any_moment") {
    seeded random;
    longest time;
    for (std::size_t round = 0; round < scaled(300); ++round) {
        std::atomic<std::uint64_t> ran{0};
        const std::uint64_t accepted = random.below(200);
        clock::time_point begun;
        {
            runtime rt({.cores = widths[random.below(4)], .spin_time = 0us});
            const auto op = rt.operation("op", [&] { ran.fetch_add(1); });
            for (std::uint64_t i = 0; i < accepted; ++i) op();
            begun = clock::now();
        }
        REQUIRE(time.add(begun) < hang_limit);
        REQUIRE(ran == accepted);
    }
    figure("destructors that drained", scaled(300));
    time.say("shutdown");
}

}  // namespace tokengate::test
