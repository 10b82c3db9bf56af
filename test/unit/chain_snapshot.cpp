// SPDX-License-Identifier: Apache-2.0
// Snapshots of chains while other threads open, enter, leave and release them.
#include "locality/chain.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using detail::chain;
using detail::lead_traits;
using detail::lead_traits_for;
using detail::open_chain;
using detail::open_chains;
using detail::operation_label;
using detail::runtime_core;
using detail::seed_of;
using detail::usage_of_chains;

// Everything about a chain of this test follows from the id of its lead, so that a snapshot that
// mixes two uses of a record shows.
std::uint64_t runtime_for(std::uint64_t lead) { return lead % 2; }
unsigned domain_for(std::uint64_t lead) { return static_cast<unsigned>(lead % 60'013); }
const operation_label& label_for(std::uint64_t lead) {
    static std::array<operation_label, 3> labels;
    static const bool named = [] {
        for (std::size_t i = 0; i < labels.size(); ++i)
            labels[i].name = "lead " + std::to_string(i);
        return true;
    }();
    static_cast<void>(named);
    return labels[lead % labels.size()];
}
const lead_traits& traits_for(std::uint64_t lead) {
    static const std::array<const lead_traits*, 2> both{
        &lead_traits_for({"refine"}, digest_policy::fast),
        &lead_traits_for({"refine", "coarsen"}, digest_policy::minimal)};
    return *both[lead / 2 % 2];
}

bool of_one_piece(const chain_info& seen, std::uint64_t runtime) {
    return runtime_for(seen.lead_id) == runtime && seen.domain == domain_for(seen.lead_id) &&
           seen.operation == label_for(seen.lead_id).name && seen.pending > 0 &&
           seen.seed_prefix == seed_of(seen.lead_id, traits_for(seen.lead_id)).substr(0, 8);
}

/// Chains of two fake runtimes, and members that any thread may end.
class commotion {
  public:
    [[nodiscard]] const runtime_core* runtime(std::uint64_t number) const {
        return reinterpret_cast<const runtime_core*>(&places_[number]);
    }

    chain& open(chain* parent = nullptr, std::uint64_t runtime = 0) {
        // A nested chain is of its parent's runtime.
        const std::uint64_t wanted =
            parent != nullptr ? runtime_for(parent->lead_id()) : runtime_for(runtime);
        const std::uint64_t lead = next_.fetch_add(1) * 2 + wanted;
        return open_chain(this->runtime(wanted), domain_for(lead), parent, lead, label_for(lead),
                          traits_for(lead));
    }

    /// Opens a chain, perhaps with others in it, and leaves its members to whoever finds them.
    void stir(seeded& random) {
        chain* outer = nullptr;
        for (auto depth = 1 + random.below(3); depth > 0; --depth) {
            chain& opened = open(outer, random.below(2));
            for (auto children = random.below(4); children > 0; --children) {
                opened.enter();
                leave_for_others(opened, random);
            }
            // The lead of the outer chain has done its part.
            if (outer != nullptr) leave_for_others(*outer, random);
            outer = &opened;
        }
        end(*outer, random);
    }

    /// Ends all members that nobody has found.
    void finish() {
        for (auto& place : found_) {
            if (chain* const left = place.exchange(nullptr)) left->leave_and_release();
        }
    }

  private:
    void leave_for_others(chain& which, seeded& random) {
        // Acquire and release: what was found was written by another thread.
        chain* const found = found_[random.below(found_.size())].exchange(&which);
        if (found != nullptr) end(*found, random);
    }
    static void end(chain& which, seeded& random) {
        if (random.one_in(2)) {
            which.leave_and_release();
        } else {
            which.leave();
            which.release();
        }
    }

    std::array<std::max_align_t, 2> places_{};
    std::atomic<std::uint64_t> next_{1};
    std::array<std::atomic<chain*>, 32> found_{};
};

/// A record whose snapshot looks without taking a reference.
class record_without_reference {
  public:
    void open(std::uint64_t lead) {
        lead_ = lead;
        domain_ = domain_for(lead);
        pending_ = 1;
    }
    void close() { pending_ = 0; }
    [[nodiscard]] std::optional<chain_info> look() const {
        chain_info seen;
        seen.pending = pending_;
        if (seen.pending == 0) return std::nullopt;
        seen.lead_id = lead_;
        std::this_thread::yield();
        seen.domain = domain_;
        seen.operation = label_for(seen.lead_id).name;
        seen.seed_prefix = seed_of(seen.lead_id, traits_for(seen.lead_id)).substr(0, 8);
        return seen;
    }

  private:
    std::atomic<std::uint64_t> lead_{0};
    std::atomic<unsigned> domain_{0};
    std::atomic<std::uint64_t> pending_{0};
};

}  // namespace

TEST_CASE("snapshots_never_mix_chains_nor_miss_one_that_stays_open") {
    const seeded parent;
    const std::size_t in_use = usage_of_chains().in_use;
    commotion now;
    std::array<chain*, 2> witnesses{&now.open(nullptr, 0), &now.open(nullptr, 1)};
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> mixed{0};
    std::atomic<std::uint64_t> missed{0};
    std::atomic<std::uint64_t> twice{0};

    std::vector<std::thread> onlookers;
    for (std::uint64_t runtime = 0; runtime < 2; ++runtime) {
        onlookers.emplace_back([&, runtime] {
            do {
                std::set<std::uint64_t> leads;
                for (const chain_info& each : open_chains(now.runtime(runtime))) {
                    if (!of_one_piece(each, runtime)) ++mixed;
                    if (!leads.insert(each.lead_id).second) ++twice;
                }
                if (!leads.contains(witnesses[runtime]->lead_id())) ++missed;
            } while (!over);
        });
    }
    std::vector<std::thread> openers;
    for (std::uint64_t i = 0; i < 3; ++i) {
        openers.emplace_back([&, i] {
            seeded random(parent, i);
            for (std::size_t left = scaled(100'000); left > 0; --left) now.stir(random);
        });
    }
    for (std::thread& each : openers) each.join();
    over = true;
    for (std::thread& each : onlookers) each.join();
    now.finish();
    for (chain* each : witnesses) each->leave_and_release();

    CHECK(mixed.load() == 0);
    CHECK(missed.load() == 0);
    CHECK(twice.load() == 0);
    CHECK(usage_of_chains().in_use == in_use);
    CHECK(open_chains(now.runtime(0)).empty());
    CHECK(open_chains(now.runtime(1)).empty());
}

TEST_CASE("the_check_of_snapshots_catches_a_look_without_a_reference") {
    record_without_reference record;
    std::atomic<bool> over{false};
    std::thread opener([&] {
        for (std::uint64_t lead = 2; !over; lead += 2) {
            record.open(lead);
            record.close();
        }
    });
    bool caught = false;
    for (int looks = 0; looks < 100'000 && !caught;) {
        const auto seen = record.look();
        if (!seen) {
            std::this_thread::yield();
            continue;
        }
        ++looks;
        caught = !of_one_piece(*seen, 0);
    }
    over = true;
    opener.join();
    CHECK(caught);
}

}  // namespace tokengate::test
