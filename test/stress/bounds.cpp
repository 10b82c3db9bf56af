// SPDX-License-Identifier: Apache-2.0
// Far more calls than there is room for: what they take stays within the limit, and those beyond it
// wait, are refused, or take the place of others.
//
// Metered is the process: what malloc() has given out, which operator new takes it from, and the
// slabs of the pool, beyond what there was when the runtime had begun. So arguments, nodes,
// records, outboxes and pages of queues are in it. What is not: rooms of lanes that a runtime
// reserves when it begins, so that nothing can fail later, stacks of threads, and what malloc()
// keeps for later.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "hold.hpp"
#include "limited.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20U;
constexpr std::size_t submitters = 3;
constexpr std::size_t calls = 60'000;

void raise(std::atomic<std::size_t>& most, std::size_t now) {
    std::size_t before = most.load();
    while (now > before && !most.compare_exchange_weak(before, now)) {}
}

/// Bytes of arguments that exist, and the most that ever did.
struct meter {
    static inline std::atomic<std::size_t> alive{0};
    static inline std::atomic<std::size_t> most{0};

    static void add(std::size_t bytes) { raise(most, alive.fetch_add(bytes) + bytes); }
    static void take(std::size_t bytes) { alive.fetch_sub(bytes); }
};

/// Memory that is metered.
template <class T>
struct metered {
    using value_type = T;
    metered() = default;
    template <class U>
    explicit metered(const metered<U>& /*other*/) {}
    T* allocate(std::size_t count) {
        meter::add(count * sizeof(T));
        return static_cast<T*>(::operator new(count * sizeof(T)));
    }
    void deallocate(T* memory, std::size_t count) {
        meter::take(count * sizeof(T));
        ::operator delete(memory);
    }
    friend bool operator==(const metered&, const metered&) { return true; }
};

using load = std::vector<std::byte, metered<std::byte>>;

/// What malloc() has given out and the pool of nodes has of the system, in the whole process.
/// Sanitizers have a malloc() of their own, which says nothing.
std::size_t bytes_in_use() {
    const struct mallinfo2 seen = mallinfo2();
    return seen.uordblks + seen.hblkhd + detail::usage_of_pool().slab_bytes;
}

/// What becomes of many calls at a limit.
struct outcome {
    std::uint64_t tried = 0;
    std::uint64_t refused = 0;
    std::size_t reported = 0;   ///< the most that the runtime has ever said to hold
    std::size_t arguments = 0;  ///< the most that arguments took
    std::size_t taken = 0;      ///< the most that the process took beyond what it had before
};

/// Calls with arguments of up to `largest` bytes from several threads; the worker begins when
/// is_full(stats) says so, or all calls have been made.
template <class Full>
outcome call_often(const config& shape, std::size_t count, std::size_t largest, Full&& is_full) {
    const std::size_t nodes_before = detail::usage_of_pool().slab_bytes;
    meter::most = meter::alive.load();
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> called{0};
    std::atomic<std::size_t> reported{0};
    std::atomic<std::size_t> in_use{0};
    const auto note = [&](const runtime_stats& now) {
        raise(reported, now.memory_bytes);
        raise(in_use, bytes_in_use());
    };
    outcome seen;
    {
        runtime rt(shape);
        hold gate;
        const auto held = rt.operation("held", {.weight = weight::heavy}, [&] { gate.pass(); });
        const auto op = rt.operation("op", [](const load&) {});
        held.post();
        REQUIRE(gate.await(1));
        const std::size_t before = bytes_in_use();
        in_use = before;
        const seeded parent;
        std::atomic<bool> over{false};
        std::thread opener([&] {
            CHECK(eventually([&] {
                const runtime_stats now = rt.stats();
                note(now);
                return over || is_full(now);
            }));
            gate.release();
        });
        from_threads(static_cast<int>(submitters), [&](int thread) {
            seeded random(parent, static_cast<std::uint64_t>(thread));
            for (std::size_t i = 0; i < count / submitters; ++i) {
                // An argument in the hands of its caller is not in flight: so one at a time.
                try {
                    op.post(load(random.below(largest)));
                } catch (const call_refused&) {
                    ++refused;
                }
                ++called;
                if (i % 64 != 0) continue;
                note(rt.stats());
            }
        });
        over = true;
        opener.join();
        settle_locality(rt);
        const token_counts books = rt.stats().total();
        CHECK(books.accepted - 1 + refused == called);
        CHECK(books.completed + op.stats().dropped == books.accepted);
        CHECK(rt.stats().memory_bytes == 0);
        const std::size_t nodes = detail::usage_of_pool().slab_bytes;
        seen.arguments = meter::most;
        // The second: where malloc() says nothing.
        seen.taken =
            std::max(in_use - before, seen.arguments + nodes - std::min(nodes, nodes_before));
    }
    CHECK(meter::alive == 0);
    seen.tried = called;
    seen.refused = refused;
    seen.reported = reported;
    return seen;
}

/// True if tokens took no more than this, and a tenth, and the process no more than that and what
/// is allowed beyond.
bool holds(const outcome& seen, std::size_t limit, std::size_t beyond = 0) {
    const std::size_t most = limit + limit / 10;
    return seen.reported <= limit && seen.arguments <= most && seen.taken <= most + beyond;
}

}  // namespace

TEST_CASE("calls_without_end_take_no_more_memory_than_the_limit_and_a_tenth") {
    constexpr std::size_t limit = 48 * mebibyte;
    std::uint64_t tried = 0;
    for (const when_full policy : all_policies) {
        INFO(std::string(to_string(policy)));
        // What was dropped does not count, but stays where it was until a worker comes by: half a
        // KiB for each place of the lane.
        const bool drops = policy == when_full::drop_oldest;
        const std::int64_t places = drops ? 50'000 : 1'000'000;
        const std::size_t dropped = drops ? 50'000 * 512 : 0;
        // One worker: it cannot keep up.
        const outcome seen = call_often(
            {.cores = 1,
             .mailbox_capacity = places,
             .memory_limit = limit,
             .memory_policy = policy},
            std::max(scaled(calls), calls), 4000,
            [](const runtime_stats& now) { return now.memory_bytes > limit - limit / 20; });
        CHECK(holds(seen, limit, dropped));
        // It was full, or this has shown nothing.
        CHECK(seen.reported > limit - limit / 10);
        if (policy == when_full::block) CHECK(seen.refused == 0);
        tried += seen.tried;
        figure("bytes at most of " + std::to_string(limit) + (drops ? " and what was dropped" : ""),
               seen.taken);
    }
    figure("calls at a memory limit", tried);
}

TEST_CASE("calls_without_end_at_a_small_capacity_take_no_more_than_so_many_tokens_do") {
    struct bounds {
        std::int64_t mailbox;
        std::int64_t in_flight;
    };
    std::uint64_t tried = 0;
    std::size_t most = 0;
    for (const bounds& each : {bounds{100, 1'000'000}, bounds{100'000, 300}, bounds{64, 64}}) {
        INFO("mailbox ", each.mailbox, ", in flight ", each.in_flight);
        const auto room = static_cast<std::size_t>(std::min(each.mailbox, each.in_flight));
        const outcome seen = call_often(
            {.cores = 1, .mailbox_capacity = each.mailbox, .in_flight_limit = each.in_flight},
            scaled(calls), 1000,
            [room](const runtime_stats& now) { return now.total().in_flight() >= room; });
        // Besides, each submitter holds one, and the worker has taken a row of them.
        const std::size_t tokens = room + submitters + 32;
        CHECK(seen.arguments <= tokens * 1000);
        // And some slabs, and what malloc() has given out to threads and counts as taken.
        CHECK(holds(seen, tokens * 1000, 8 * mebibyte));
        most = std::max(most, seen.taken);
        CHECK(seen.refused == 0);
        tried += seen.tried;
    }
    figure("calls at a small capacity", tried);
    figure("bytes at most at a small capacity", most);
}

TEST_CASE("the_check_of_bounds_catches_a_runtime_without_any") {
    constexpr std::size_t limit = 8 * mebibyte;
    const outcome seen = call_often({.cores = 1, .mailbox_capacity = 1'000'000}, 30'000, 4000,
                                    [](const runtime_stats&) { return false; });
    CHECK_FALSE(holds(seen, limit));
    CHECK(holds(seen, 1024 * mebibyte));
}

}  // namespace tokengate::test
