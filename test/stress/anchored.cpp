// SPDX-License-Identifier: Apache-2.0
// Random keys and chains on large machines and on real CPUs: no anchored token runs outside of its
// domain, whoever is idle.
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "at_work.hpp"
#include "figure.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t driver_count = 2;
constexpr int keys_of_each = 24;
constexpr std::size_t tokens_of_a_machine = 100'000;

/// Where tokens belong whose creator cannot know it.
constexpr unsigned anywhere = ~0U;

/// The argument of every token. Its key is all that counts for stickiness.
struct job {
    std::uint64_t plan = 0;  ///< what it does
    int key = 0;
    int depth = 0;
    unsigned home = anywhere;

    template <class H>
    friend H AbslHashValue(H state, const job& value) {
        return H::combine(std::move(state), value.key);
    }
};

/// One runtime, and what was seen of tokens outside of where they belong. `anchors`: false for a
/// library that anchors nothing.
class field {
  public:
    field(const config& shape, bool anchors)
        : rt(shape),
          free(rt.operation("free", {.weight = weight::heavy}, [] {})),
          light(declare("light", {.weight = weight::light})),
          heavy(declare("heavy", {.weight = weight::heavy})),
          spread(declare("spread", {.placement = placement::staggered})),
          keyed(declare("keyed", {.sticky = anchors ? sticky(sticky::by_arguments()) : sticky()})),
          serial(declare("serial", {.sticky = anchors ? sticky(sticky::by_arguments(sticky::serial))
                                                      : sticky()})),
          lead(declare_lead(anchors)),
          anchors_(anchors) {}

    at_work workers;
    runtime rt;
    std::atomic<std::uint64_t> ran{0};          ///< anchored tokens
    std::atomic<std::uint64_t> strayed{0};      ///< of these, outside of their domain
    std::atomic<std::uint64_t> cpus_read{0};    ///< of these, on a CPU that was read back
    std::atomic<std::uint64_t> foreign_cpu{0};  ///< of these, outside of their domain's CPUs
    std::atomic<bool> stuck{false};

    operation<void()> free;
    operation<void(const job&)> light;
    operation<void(const job&)> heavy;
    operation<void(const job&)> spread;
    operation<void(const job&)> keyed;
    operation<void(const job&)> serial;
    operation<void(const job&)> lead;

    /// Where tokens with this key run from now on.
    [[nodiscard]] unsigned home_of(const operation<void(const job&)>& op, const job& work,
                                   key_hold& held) const {
        if (!anchors_) return op(job{.key = work.key, .home = anywhere}).domain();
        if (!held) held = op.hold(work);
        return held.domain();
    }

    /// Anchored tokens by the library's own count, and those that have escaped.
    [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> counted() const {
        std::pair<std::uint64_t, std::uint64_t> sum{0, 0};
        for (const domain_stats& each : rt.stats().domains) {
            sum.first += each.anchored;
            sum.second += each.escapes;
        }
        return sum;
    }

  private:
    operation<void(const job&)> declare(const char* name, const operation_traits& traits) {
        return rt.operation(name, traits, [this](const job& work) {
            const at_work::shift now(workers);
            check(work.home);
            raise_children(work, work.home);
        });
    }

    operation<void(const job&)> declare_lead(bool anchors) {
        operation_traits traits{.digest = digest_policy::minimal};
        if (anchors) traits.external_calls = {"light", "heavy", "spread"};
        return rt.operation("lead", traits, [this](const job& work) {
            const at_work::shift now(workers);
            check(work.home);
            raise_children(work, here());
        });
    }

    void check(unsigned home) {
        if (home == anywhere) return;
        ran.fetch_add(1, std::memory_order_relaxed);
        if (here() != home) strayed.fetch_add(1, std::memory_order_relaxed);
        if (!rt.topology().binds()) return;
        const std::vector<unsigned>& cpus = rt.topology().domain(home).cpus;
        const auto cpu = static_cast<unsigned>(sched_getcpu());
        bool fine = std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
        // Where a thread may run is asked less often: that takes a system call.
        if (cpus_read.fetch_add(1, std::memory_order_relaxed) % 64 == 0) {
            fine = fine && detail::this_thread_mask() == detail::cpu_mask(cpus);
        }
        if (!fine) foreign_cpu.fetch_add(1, std::memory_order_relaxed);
    }

    const bool anchors_;

    /// Whatever a member of a chain makes belongs to the domain of the chain.
    void raise_children(const job& work, unsigned home) {
        dice random(work.plan);
        if (work.depth == 0) return;
        const std::array<const operation<void(const job&)>*, 6> kinds{&light, &heavy,  &spread,
                                                                      &keyed, &serial, &lead};
        for (std::uint64_t i = random.below(6); i > 0; --i) {
            const job next{random.next(), static_cast<int>(random.below(1000)), work.depth - 1,
                           home};
            const auto& op = *kinds[random.below(kinds.size())];
            if (random.one_in(16)) {
                op(next).kill();
            } else {
                op.post(next);
            }
        }
        if (random.one_in(8)) {
            std::vector<job> several(random.below(5), job{random.next(), 0, 0, home});
            light.bulk(several).wait();
        }
    }
};

/// A thread that is no worker: holds keys, so that it knows where their tokens belong, and lets go
/// of them now and then, so that they move.
void drive(field& all, std::size_t number, std::size_t steps, std::uint64_t plan) {
    dice random(plan);
    const auto first = static_cast<int>(number) * keys_of_each;
    std::array<key_hold, keys_of_each> homes;
    std::array<key_hold, keys_of_each> turns;
    for (std::size_t i = 0; i < steps; ++i) {
        const std::size_t slot = random.below(keys_of_each);
        job work{random.next(), 1000 + first + static_cast<int>(slot), 0, anywhere};
        switch (random.below(8)) {
            case 0: all.free.post(); break;
            case 1:
            case 2: {
                work.depth = 1 + static_cast<int>(random.below(2));
                all.lead.post(work);
                break;
            }
            case 3: {
                key_hold& held = random.one_in(2) ? homes[slot] : turns[slot];
                if (random.one_in(16)) held = {};
                break;
            }
            default: {
                const bool one_at_a_time = random.one_in(2);
                const auto& op = one_at_a_time ? all.serial : all.keyed;
                key_hold& held = one_at_a_time ? turns[slot] : homes[slot];
                work.home = all.home_of(op, work, held);
                if (random.one_in(32)) {
                    op(work).kill();
                } else {
                    op.post(work);
                }
            }
        }
    }
    // So that keys are held while their tokens are in flight.
    if (!all.rt.wait_idle_for(hang_limit)) all.stuck = true;
}

/// Until so many anchored tokens have run.
void run_until(field& all, std::size_t wanted, seeded& random) {
    while (all.ran < wanted && !all.stuck) {
        std::vector<std::thread> crowd;
        for (std::size_t t = 0; t < driver_count; ++t) {
            crowd.emplace_back(
                [&all, t, plan = random.below(~std::uint64_t{0})] { drive(all, t, 10'000, plan); });
        }
        for (std::thread& each : crowd) each.join();
    }
    REQUIRE_FALSE(all.stuck);
    REQUIRE(all.workers.await_rest(all.rt));
    settle_locality(all.rt);
}

/// Runs random tokens on machines of this kind, and adds up what has run there.
std::uint64_t nothing_escapes_on(config shape, seeded& random) {
    shape.in_flight_limit = 50'000;
    shape.sticky_slots = random.one_in(2) ? 16 : 4096;
    shape.steal = random.one_in(2) ? stealing::strict : stealing::soft;
    field all(shape, true);
    run_until(all, scaled(tokens_of_a_machine), random);
    const auto [anchored, escapes] = all.counted();
    CHECK(escapes == 0);
    CHECK(all.strayed == 0);
    CHECK(all.foreign_cpu == 0);
    // Leads that were called from outside are anchored, too, but not in a domain known before.
    CHECK(anchored >= all.ran);
    if (all.rt.topology().binds()) {
        CHECK(all.cpus_read == all.ran);
        figure("anchored tokens whose CPU was read back", all.cpus_read);
    }
    return all.ran;
}

}  // namespace

TEST_CASE("anchored_token_never_leaves_its_domain_on_machines_of_64_cores") {
    const clean_hwloc_environment clean;
    seeded random;
    std::uint64_t ran = 0;
    for (const char* machine : {big_machine, "pack:2 [numa] core:32 pu:1"}) {
        INFO(std::string(machine));
        ran += nothing_escapes_on({.synthetic = machine}, random);
        ran += nothing_escapes_on({.scope = domain_scope::numa, .synthetic = machine}, random);
    }
    figure("anchored tokens on 64 cores", ran);
}

TEST_CASE("anchored_token_never_leaves_its_domain_on_a_machine_of_many_levels") {
    const clean_hwloc_environment clean;
    seeded random;
    figure("anchored tokens on 16 cores of 2 hardware threads",
           nothing_escapes_on({.workers_per_core = 2, .synthetic = deep_machine}, random));
}

TEST_CASE("anchored_token_never_leaves_the_cpus_of_its_domain") {
    const clean_hwloc_environment clean;
    seeded random;
    std::uint64_t ran = 0;
    const auto cpus = static_cast<int>(detail::this_thread_mask().cpus().size());
    for (const int cores : {cpus, 2 * cpus, 16}) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            ran += nothing_escapes_on({.cores = cores, .workers_per_core = workers}, random);
        }
    }
    figure("anchored tokens on real CPUs", ran);
}

TEST_CASE("the_check_of_anchors_catches_tokens_that_are_free_to_go") {
    const clean_hwloc_environment clean;
    seeded random;
    field all({.cores = 8, .binding = false}, false);
    run_until(all, 1000, random);
    CHECK(all.strayed > 0);
    field real({.cores = 8}, false);
    run_until(real, 1000, random);
    CHECK(real.strayed > 0);
    // Only where there are other CPUs to go to.
    if (detail::this_thread_mask().cpus().size() > 1) CHECK(real.foreign_cpu > 0);
}

}  // namespace tokengate::test
