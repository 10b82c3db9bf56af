// SPDX-License-Identifier: Apache-2.0
// Seeds and pins while their tokens are killed, fail, are retried and run out of time at every
// point: none is released while somebody needs it, and none is left over.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "at_work.hpp"
#include "figure.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t driver_count = 2;
constexpr int key_count = 12;
constexpr std::size_t seeds_of_a_shape = 2'000;

/// What was seen that must not be.
struct faults {
    std::atomic<int> closed_early{0};  ///< a seed was released while a token with it ran
    std::atomic<int> keys_apart{0};    ///< two tokens of one key ran in two domains at a time
    std::atomic<int> together{0};      ///< or side by side, though the key is serial
    std::atomic<int> strayed{0};       ///< a token of a chain ran outside of its domain

    [[nodiscard]] int sum() const { return closed_early + keys_apart + together + strayed; }
};

/// What the tokens of one chain know of it.
struct family {
    unsigned domain = 0;
    std::shared_ptr<std::atomic<std::uint64_t>> lead_id;  ///< 0 until its creator knows
    std::shared_ptr<const family> outer;
};

/// The argument of every token. Its key is all that counts for stickiness.
struct job {
    std::uint64_t plan = 0;
    int key = 0;
    int depth = 0;
    std::shared_ptr<const family> chain;
    std::shared_ptr<std::atomic<std::uint64_t>> id;  ///< of a lead: its own

    template <class H>
    friend H AbslHashValue(H state, const job& value) {
        return H::combine(std::move(state), value.key);
    }
};

/// The tokens of one key that run at this moment, outside of chains.
struct key_users {
    std::mutex lock;
    int running = 0;
    unsigned domain = 0;
};

/// Each kind of trait that ends a token in its own way, of free tokens, leads and tokens with keys.
enum class kind : std::uint8_t { plain, retried, hasty, late };
constexpr std::size_t kind_count = 4;

/// One runtime, its operations, and what is known of keys and chains. `anchors`: false for a
/// library that has neither seeds nor pins.
class world {
  public:
    explicit world(const config& shape, bool anchors = true) : rt(shape) {
        for (std::size_t i = 0; i < kind_count; ++i) {
            const auto number = std::to_string(i);
            const operation_traits traits = traits_of(static_cast<kind>(i));
            frees_.push_back(declare("free " + number, traits, users::none));
            operation_traits lead = traits;
            if (anchors) lead.external_calls = {"child"};
            lead.digest = digest_policy::minimal;
            leads_.push_back(declare("lead " + number, lead, users::none));
            operation_traits keyed = traits;
            keyed.sticky = sticky::by_anchor_and_arguments("keys");
            keys_.push_back(declare("keyed " + number, anchors ? keyed : traits, users::colocated));
            operation_traits serial = traits;
            serial.sticky = sticky::by_anchor_and_arguments("turns", sticky::serial);
            turns_.push_back(declare("serial " + number, anchors ? serial : traits, users::serial));
        }
    }

    /// Makes a random token of this plan; a quarter of those without a chain are leads.
    token<void> make(job work) {
        dice random(work.plan);
        const std::size_t which = random.below(kind_count);
        switch (random.below(6)) {
            case 0: return frees_[which](std::move(work));
            case 1: return keys_[which](std::move(work));
            case 2: return turns_[which](std::move(work));
            default: break;
        }
        work.id = std::make_shared<std::atomic<std::uint64_t>>(0);
        const auto id = work.id;
        token<void> made = leads_[which](std::move(work));
        *id = made.id();
        return made;
    }

    /// How many seeds and pins there were.
    [[nodiscard]] std::uint64_t seeds() const { return accepted(leads_); }
    [[nodiscard]] std::uint64_t pins() const { return accepted(keys_) + accepted(turns_); }

    at_work workers;
    runtime rt;
    faults seen;

  private:
    using op_type = operation<void(const job&)>;

    static operation_traits traits_of(kind what) {
        operation_traits traits;
        switch (what) {
            case kind::plain: break;
            case kind::retried:
                traits.retry = {.attempts = 3, .initial_delay = 20us, .jitter = 1};
                break;
            case kind::hasty: traits.run_timeout = 100us; break;
            case kind::late:
                traits.queue_timeout = 300us;
                traits.retry = {.attempts = 2};
                break;
        }
        return traits;
    }

    static std::uint64_t accepted(const std::vector<op_type>& all) {
        std::uint64_t sum = 0;
        for (const op_type& each : all) sum += each.stats().counts.accepted;
        return sum;
    }

    /// Whose tokens meet.
    enum class users : std::uint8_t { none, colocated, serial };

    op_type declare(const std::string& name, const operation_traits& traits, users who) {
        return rt.operation(name, traits, [this, who](const job& work) {
            const at_work::shift now(workers);
            std::shared_ptr<const family> chain = work.chain;
            if (chain != nullptr && chain->domain != here()) ++seen.strayed;
            if (work.id != nullptr) {
                chain = std::make_shared<family>(family{here(), work.id, chain});
            }
            std::optional<visit> inside;
            // In a chain, a key that is not serial says nothing about the domain.
            if (who == users::serial || (who == users::colocated && chain == nullptr)) {
                inside.emplace(*this, work.key, who == users::serial);
            }
            act(work, chain);
        });
    }

    /// A token of a key that runs.
    class visit {
      public:
        visit(world& all, int key, bool serial)
            : mine_(
                  (serial ? all.serial_users_ : all.keyed_users_)[static_cast<std::size_t>(key)]) {
            const std::scoped_lock guard(mine_.lock);
            if (mine_.running++ == 0) mine_.domain = here();
            if (serial && mine_.running > 1) ++all.seen.together;
            if (!serial && mine_.domain != here()) ++all.seen.keys_apart;
        }
        ~visit() {
            const std::scoped_lock guard(mine_.lock);
            --mine_.running;
        }
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;

      private:
        key_users& mine_;
    };

    void act(const job& work, const std::shared_ptr<const family>& chain) {
        dice random(work.plan + 1);
        std::vector<token<void>> children;
        const std::uint64_t count = work.depth == 0 ? 0 : random.below(4);
        for (std::uint64_t i = 0; i < count; ++i) {
            job next{random.next(), static_cast<int>(random.below(key_count)), work.depth - 1,
                     chain, nullptr};
            token<void> child = make(std::move(next));
            if (random.one_in(8)) child.kill();
            if (random.one_in(4)) child.wait(isolated);
            children.push_back(std::move(child));
        }
        if (random.one_in(16)) check_open(chain);
        switch (random.below(40)) {
            case 0:
            case 3: throw std::runtime_error("for good");
            case 1:
            case 4:
                if (this_token::attempt() == 1) throw std::runtime_error("perhaps again");
                break;
            case 2: {
                // Longer than a hasty one may.
                const auto until = std::chrono::steady_clock::now() + 150us;
                while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
                break;
            }
            default: break;
        }
        if (random.one_in(16)) check_open(chain);
    }

    /// While the caller runs, its chain is open, and those around it.
    void check_open(const std::shared_ptr<const family>& chain) {
        if (chain == nullptr) return;
        const std::vector<chain_info> open = rt.open_chains();
        for (const family* each = chain.get(); each != nullptr; each = each->outer.get()) {
            const std::uint64_t id = *each->lead_id;
            const bool found = std::any_of(open.begin(), open.end(), [&](const chain_info& one) {
                return one.lead_id == id && one.domain == each->domain && one.pending > 0;
            });
            if (id != 0 && !found) ++seen.closed_early;
        }
    }

    std::array<key_users, key_count> keyed_users_;
    std::array<key_users, key_count> serial_users_;
    std::vector<op_type> frees_;
    std::vector<op_type> leads_;
    std::vector<op_type> keys_;
    std::vector<op_type> turns_;
};

/// A thread that is no worker: makes roots, and kills some at a moment of its own.
void drive(world& all, std::size_t roots, std::uint64_t plan) {
    dice random(plan);
    std::vector<token<void>> recent;
    for (std::size_t i = 0; i < roots; ++i) {
        recent.push_back(all.make({random.next(), static_cast<int>(random.below(key_count)),
                                   static_cast<int>(random.below(4)), nullptr, nullptr}));
        if (random.one_in(6)) recent[random.below(recent.size())].kill();
        if (random.one_in(8)) recent[random.below(recent.size())].wait();
        if (recent.size() == 32) recent.erase(recent.begin(), recent.begin() + 16);
    }
}

}  // namespace

TEST_CASE("seeds_and_pins_are_released_once_whatever_ends_their_tokens") {
    seeded random;
    std::uint64_t seeds = 0;
    std::uint64_t pins = 0;
    token_counts books;
    for (const int cores : {1, 2, 4, 8}) {
        for (const int workers : {1, 2}) {
            INFO(cores, " domains of ", workers, " workers");
            world all({.cores = cores,
                       .workers_per_core = workers,
                       .deque_capacity = random.one_in(2) ? 2 : 64,
                       .sticky_slots = random.one_in(2) ? 16 : 1024});
            while (all.seeds() < scaled(seeds_of_a_shape)) {
                std::vector<std::thread> crowd;
                for (std::size_t t = 0; t < driver_count; ++t) {
                    crowd.emplace_back(
                        [&all, plan = random.below(~std::uint64_t{0})] { drive(all, 400, plan); });
                }
                for (std::thread& each : crowd) each.join();
                REQUIRE(all.workers.await_rest(all.rt));
                // None is left over: keys, chains, tokens.
                settle_locality(all.rt);
                REQUIRE(all.seen.sum() == 0);
            }
            seeds += all.seeds();
            pins += all.pins();
            books += all.rt.stats().total();
        }
    }
    // All of these did happen, or this has shown less than it says.
    CHECK(books.killed > 0);
    CHECK(books.failed > 0);
    CHECK(books.timed_out > 0);
    figure("seeds released", seeds);
    figure("pins released", pins);
}

TEST_CASE("the_check_of_releases_catches_a_library_without_seeds_and_pins") {
    seeded random;
    world all({.cores = 8, .in_flight_limit = 100, .reserve_workers = 256}, false);
    const auto is_caught = [&] {
        const faults& seen = all.seen;
        return seen.closed_early > 0 && seen.keys_apart > 0 && seen.together > 0 &&
               seen.strayed > 0;
    };
    for (int attempt = 0; attempt < 500 && !is_caught(); ++attempt) {
        drive(all, 1000, random.below(~std::uint64_t{0}));
    }
    CHECK(is_caught());
    REQUIRE(all.workers.await_rest(all.rt));
    settle(all.rt);
}

}  // namespace tokengate::test
