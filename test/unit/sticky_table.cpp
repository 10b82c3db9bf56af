// SPDX-License-Identifier: Apache-2.0
// Where sticky keys are pinned.
#include "locality/sticky_table.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using detail::pin;
using detail::sticky_table;
using usage = sticky_table::usage;

/// Memory of this process that is really there, in bytes.
std::size_t resident() {
    std::ifstream statm("/proc/self/statm");
    std::size_t pages = 0;
    statm >> pages >> pages;
    return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// A table with one mistake: whoever releases first frees the slot, as without a count.
class uncounted_table {
  public:
    pin acquire(std::uint64_t hash, unsigned candidate) {
        const std::scoped_lock guard(lock_);
        const auto slot = static_cast<std::uint32_t>(hash);
        const auto [at, first] = domains_.try_emplace(slot, candidate);
        return {.slot = slot, .domain = at->second, .first = first};
    }
    void release(std::uint32_t slot) {
        const std::scoped_lock guard(lock_);
        domains_.erase(slot);
    }

  private:
    std::mutex lock_;
    std::map<std::uint32_t, unsigned> domains_;
};

/// Another one: the last release takes count and domain away in two steps.
class two_step_table {
  public:
    pin acquire(std::uint64_t hash, unsigned candidate) {
        auto& slot = slots_[hash % slots_.size()];
        std::uint64_t seen = slot.fetch_add(1) + 1;
        while (seen >> 48U == 0) {
            if (slot.compare_exchange_weak(seen, seen | std::uint64_t{candidate + 1} << 48U)) {
                return {.slot = number(hash), .domain = candidate, .first = true};
            }
        }
        return {
            .slot = number(hash), .domain = static_cast<unsigned>(seen >> 48U) - 1, .first = false};
    }
    void release(std::uint32_t number) {
        auto& slot = slots_[number];
        const std::uint64_t left = slot.fetch_sub(1) - 1;
        if (left << 16U != 0) return;
        std::this_thread::yield();
        slot.fetch_and((std::uint64_t{1} << 48U) - 1);
    }

  private:
    std::uint32_t number(std::uint64_t hash) const {
        return static_cast<std::uint32_t>(hash % slots_.size());
    }
    std::array<std::atomic<std::uint64_t>, 16> slots_{};
};

/// Threads that pin and unpin a few keys, each with candidates of its own. False if two that hold a
/// slot at the same time disagree about its domain, or if the first one did not get its way.
template <class Table>
bool holders_agree(Table& table, std::size_t rounds, std::size_t keys) {
    struct ledger {
        std::mutex lock;
        std::size_t holders = 0;
        unsigned domain = 0;
    };
    std::vector<ledger> slots(1U << 16U);
    std::atomic<bool> disagreed{false};
    const seeded parent;
    std::vector<std::thread> crowd;
    for (unsigned t = 0; t < 4; ++t) {
        crowd.emplace_back([&, t] {
            seeded random(parent, t);
            for (std::size_t i = 0; i < rounds && !disagreed; ++i) {
                const auto candidate = static_cast<unsigned>(t + 4 * random.below(1000));
                const pin mine = table.acquire(random.below(keys), candidate);
                if (mine.first && mine.domain != candidate) disagreed = true;
                ledger& slot = slots[mine.slot];
                {
                    const std::scoped_lock guard(slot.lock);
                    if (slot.holders++ == 0) slot.domain = mine.domain;
                    if (slot.domain != mine.domain) disagreed = true;
                }
                if (random.one_in(4)) std::this_thread::yield();
                {
                    const std::scoped_lock guard(slot.lock);
                    if (slot.domain != mine.domain) disagreed = true;
                    --slot.holders;
                }
                table.release(mine.slot);
                // Threads must be held up outside too, or the slot would hardly ever be free.
                if (random.one_in(4)) std::this_thread::yield();
            }
        });
    }
    for (std::thread& each : crowd) each.join();
    return !disagreed;
}

}  // namespace

TEST_CASE("a_new_sticky_table_pins_nothing") {
    const sticky_table table(64);
    CHECK(table.count() == usage{});
    for (std::uint64_t hash = 0; hash < 1000; ++hash) CHECK_FALSE(table.domain_of(hash));
}

TEST_CASE("the_first_pin_decides_and_the_others_follow") {
    sticky_table table(1024);
    const pin first = table.acquire(42, 7);
    CHECK(first.first);
    CHECK(first.domain == 7);
    CHECK(table.domain_of(42) == 7);
    const pin second = table.acquire(42, 3);
    CHECK_FALSE(second.first);
    CHECK(second.domain == 7);
    CHECK(second.slot == first.slot);
    CHECK(table.count() == usage{.pinned_slots = 1, .pins = 2});
    table.release(first.slot);
    CHECK(table.domain_of(42) == 7);
    CHECK(table.acquire(42, 3).domain == 7);
    table.release(first.slot);
    table.release(first.slot);
    CHECK(table.count() == usage{});
    CHECK_FALSE(table.domain_of(42));
}

TEST_CASE("a_slot_that_was_released_is_free_again") {
    sticky_table table(16);
    for (unsigned domain = 0; domain < 100; ++domain) {
        const pin mine = table.acquire(5, domain);
        REQUIRE(mine == pin{.slot = table.slot_of(5), .domain = domain, .first = true});
        table.release(mine.slot);
        REQUIRE_FALSE(table.domain_of(5));
    }
}

TEST_CASE("every_domain_and_many_pins_fit_a_slot") {
    sticky_table table(16);
    for (const unsigned domain : {0U, 1U, 255U, 65'533U, sticky_table::domain_limit - 1}) {
        INFO("domain ", domain);
        constexpr std::size_t pins = 100'000;
        pin mine;
        for (std::size_t i = 0; i < pins; ++i) {
            mine = table.acquire(1, i == 0 ? domain : 9);
            REQUIRE(mine.domain == domain);
        }
        CHECK(table.count() == usage{.pinned_slots = 1, .pins = pins});
        for (std::size_t i = 0; i < pins; ++i) table.release(mine.slot);
        CHECK(table.count() == usage{});
    }
}

TEST_CASE("keys_that_meet_in_a_slot_share_a_domain_meanwhile") {
    sticky_table table(16);
    std::uint64_t other = 1;
    while (table.slot_of(other) != table.slot_of(0)) ++other;
    const pin first = table.acquire(0, 2);
    const pin second = table.acquire(other, 5);
    CHECK(second == pin{.slot = first.slot, .domain = 2, .first = false});
    table.release(first.slot);
    CHECK(table.domain_of(other) == 2);
    table.release(second.slot);
    CHECK(table.acquire(other, 5).domain == 5);
    table.release(second.slot);
}

TEST_CASE("hashes_that_differ_little_spread_over_slots_and_cache_lines") {
    const sticky_table table(1U << 16U);
    for (const unsigned shift : {0U, 3U, 6U, 20U, 44U}) {
        INFO("hashes differ from bit ", shift);
        std::set<std::uint32_t> lines;
        for (std::uint64_t i = 0; i < 1000; ++i) lines.insert(table.slot_of(i << shift) / 8);
        // Random ones would meet in about 60 of 8192 lines.
        CHECK(lines.size() > 900);
    }
}

TEST_CASE("a_sticky_table_takes_memory_for_what_is_used_only") {
    // 128 MiB, of which nothing is there.
    const std::size_t before = resident();
    sticky_table table(sticky_table::largest);
    const pin mine = table.acquire(1, 1);
    CHECK(resident() < before + (std::size_t{1} << 24U));
    table.release(mine.slot);
}

TEST_CASE("holders_of_a_pin_always_agree_on_its_domain") {
    for (const std::size_t keys : {1U, 3U, 50U}) {
        INFO(keys, " keys");
        sticky_table table(16);
        CHECK(holders_agree(table, scaled(50'000), keys));
        CHECK(table.count() == usage{});
    }
}

TEST_CASE("the_check_of_pins_catches_one_that_is_not_counted") {
    uncounted_table table;
    CHECK_FALSE(holders_agree(table, 1'000'000, 1));
}

TEST_CASE("the_check_of_pins_catches_one_whose_domain_goes_after_its_count") {
    two_step_table table;
    CHECK_FALSE(holders_agree(table, 1'000'000, 1));
}

}  // namespace tokengate::test
