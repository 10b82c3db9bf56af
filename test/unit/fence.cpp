// SPDX-License-Identifier: Apache-2.0
// A light fence on one side and a heavy one on the other: one of the two sees the other's store.
// That nothing less would do is in test/model/stop.pml, since a machine shows it when it likes.
#include "sleep/fence.hpp"

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

/// What both sides write and read in one round.
struct alignas(64) round {
    std::atomic<int> light{0};
    alignas(64) std::atomic<int> heavy{0};
    int seen_by_light = -1;
    alignas(64) int seen_by_heavy = -1;
};

/// Plays the rounds on two threads, side by side. The number of those in which neither saw the
/// other.
template <class LightFence, class HeavyFence>
std::size_t missed(std::size_t count, LightFence&& light, HeavyFence&& heavy) {
    std::vector<round> rounds(count);
    std::atomic<std::size_t> here{0};
    std::atomic<std::size_t> there{0};
    // Begins a round when both are there.
    const auto meet = [](std::atomic<std::size_t>& mine, const std::atomic<std::size_t>& other,
                         std::size_t number) {
        mine.store(number);
        for (int looks = 0; other.load() < number; ++looks) {
            if (looks > 200) std::this_thread::yield();
        }
    };
    std::thread other([&] {
        for (std::size_t i = 0; i < count; ++i) {
            meet(there, here, i + 1);
            rounds[i].light.store(1, std::memory_order_relaxed);
            light();
            rounds[i].seen_by_light = rounds[i].heavy.load(std::memory_order_relaxed);
        }
    });
    for (std::size_t i = 0; i < count; ++i) {
        meet(here, there, i + 1);
        rounds[i].heavy.store(1, std::memory_order_relaxed);
        heavy();
        rounds[i].seen_by_heavy = rounds[i].light.load(std::memory_order_relaxed);
    }
    other.join();
    std::size_t both_missed = 0;
    for (const round& each : rounds) {
        both_missed += each.seen_by_light == 0 && each.seen_by_heavy == 0 ? 1U : 0U;
    }
    return both_missed;
}

constexpr std::size_t count = 20'000;

}  // namespace

TEST_CASE("of_a_light_and_a_heavy_fence_one_side_sees_the_other") {
    detail::prepare_heavy_fences();
    CHECK(missed(count, detail::light_fence, detail::heavy_fence) == 0);
}

TEST_CASE("two_heavy_fences_do_as_well") {
    detail::prepare_heavy_fences();
    CHECK(missed(count, detail::heavy_fence, detail::heavy_fence) == 0);
}

TEST_CASE("of_two_full_fences_one_side_sees_the_other") {
    CHECK(missed(count, detail::full_fence, detail::full_fence) == 0);
}

}  // namespace tokengate::test
