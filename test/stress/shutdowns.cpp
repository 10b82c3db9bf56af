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
    std::chrono::steady_clock::duration longest{};
    for (std::size_t round = 0; round < scaled(shutdowns); ++round) {
        config wanted{.cores = widths[random.below(4)], .spin_time = 0us};
        if (random.one_in(3)) wanted.in_flight_limit = 1 + std::int64_t(random.below(50));
        if (random.one_in(3)) wanted.mailbox_capacity = 1 + std::int64_t(random.below(50));
        runtime rt(wanted);
        const operation<int(int)>* self = nullptr;
        std::atomic<bool> stop_inside{false};
        std::atomic<bool> stopped_inside{false};
        const auto op = rt.operation("op", [&](int n) -> int {
            if (n % 7 == 3) throw n;
            if (n % 16 == 5) return (*self)(n + 1).get();
            if (stop_inside.exchange(false)) {
                rt.stop();
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
        std::vector<std::thread> stoppers;
        const std::uint64_t how = random.below(4);
        if (how == 0) {
            stop_inside = true;
            REQUIRE(eventually([&] { return stopped_inside.load(); }));
            ++from_workers;
        }
        const auto begun = std::chrono::steady_clock::now();
        for (std::uint64_t i = 0; i <= random.below(2); ++i) {
            const auto deadline = std::chrono::microseconds(random.below(200));
            stoppers.emplace_back([&, how, deadline] {
                if (how == 1) {
                    rt.stop(deadline);
                } else {
                    rt.stop();
                }
            });
        }
        for (std::thread& each : stoppers) each.join();
        for (std::thread& each : crowd) each.join();
        rt.stop();
        const auto took = std::chrono::steady_clock::now() - begun;
        REQUIRE(took < hang_limit);
        longest = std::max(longest, took);

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
    // Said, not checked: what it may be depends on who else uses the machine.
    figure("longest shutdown in microseconds",
           static_cast<std::uint64_t>(
               std::chrono::duration_cast<std::chrono::microseconds>(longest).count()));
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
    for (std::size_t round = 0; round < scaled(200); ++round) {
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(200)));
        if (random.one_in(2)) {
            rt.stop();
        } else {
            rt.stop(0us);
            rt.stop();
        }
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
}

TEST_CASE("destructors_drain_at_any_moment") {
    seeded random;
    for (std::size_t round = 0; round < scaled(300); ++round) {
        std::atomic<std::uint64_t> ran{0};
        const std::uint64_t accepted = random.below(200);
        {
            runtime rt({.cores = widths[random.below(4)], .spin_time = 0us});
            const auto op = rt.operation("op", [&] { ran.fetch_add(1); });
            for (std::uint64_t i = 0; i < accepted; ++i) op();
        }
        REQUIRE(ran == accepted);
    }
    figure("destructors that drained", scaled(300));
}

}  // namespace tokengate::test
