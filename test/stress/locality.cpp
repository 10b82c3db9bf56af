// SPDX-License-Identifier: Apache-2.0
// Random trees of tokens with keys, chains, weights, kills, exceptions and waits of every kind, and
// what must hold for each of them wherever it runs. test/mutants shows that broken libraries fail.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t driver_count = 2;
constexpr int key_count = 12;

/// What was seen that must not be. All zero in the end.
struct faults {
    std::atomic<int> keys_apart{0};    ///< tokens of one key ran in two domains at a time
    std::atomic<int> misplaced{0};     ///< a key in flight did not draw a token to its domain
    std::atomic<int> strayed{0};       ///< a token of a chain ran outside of its domain
    std::atomic<int> together{0};      ///< two serial tokens of one key at a time
    std::atomic<int> out_of_order{0};  ///< serial tokens of one thread in another order
    std::atomic<int> closed_early{0};  ///< a chain was closed while a token in it ran
    std::atomic<int> seeds_mixed{0};   ///< a child has not the seed of its chain
    std::atomic<int> out_of_range{0};  ///< a free token ran where its class may not
    std::atomic<int> wrong_result{0};  ///< a token delivered what it should not
    std::atomic<int> lost_updates{0};  ///< the plain counters of serial keys are wrong
    std::atomic<int> false_alarms{0};  ///< deadlocks where nothing waits for a turn
};

/// The tokens of one colocated key that run at this moment.
struct colocated_key {
    std::mutex lock;
    int running = 0;
    unsigned domain = 0;
};

/// What the tokens of one serial key share. Only `inside` and `ran` need to be atomic.
struct serial_key {
    std::atomic<bool> inside{false};
    std::atomic<int> ran{0};
    int counted = 0;
    std::array<int, driver_count> last{};
};

/// What the tokens of one chain know of it.
struct family {
    unsigned domain = 0;
    std::shared_ptr<std::atomic<std::uint64_t>> lead_id;  ///< 0 until its creator knows
    std::shared_ptr<const family> outer;
};

enum class kind : std::uint8_t { heavy, medium, light, staggered, colocated, serial, lead };
constexpr unsigned kind_count = 7;

/// The argument of every token. Its key is all that counts for stickiness.
struct job {
    std::uint64_t plan = 0;  ///< what it does
    int key = 0;
    int depth = 0;
    std::size_t thread = driver_count;  ///< of a root: who made it, and how many before
    int number = 0;
    std::shared_ptr<const family> chain;
    std::shared_ptr<std::atomic<std::uint64_t>> id;  ///< of a lead: its own
    std::shared_ptr<std::atomic<bool>> over;         ///< its callable has returned
    std::shared_ptr<int> witness;                    ///< counts the arguments that exist

    template <class H>
    friend H AbslHashValue(H state, const job& value) {
        return H::combine(std::move(state), value.key);
    }
};

/// What a token throws because its plan says so.
struct planned {
    int number = 0;
};

int result_of_plan(std::uint64_t plan) { return static_cast<int>(plan % 1'000'003); }
bool plan_throws(std::uint64_t plan) { return plan % 11 == 0; }

/// A token that somebody made, and what must come of it.
struct made_token {
    token<int> handle;
    std::uint64_t plan = 0;
    kind what = kind::medium;
    int key = 0;
    std::shared_ptr<std::atomic<bool>> over;
};

/// One runtime, its operations, and what is known of keys and chains.
class world {
  public:
    world(const config& shape, bool with_serial)
        : rt(shape),
          with_serial_(with_serial),
          ops_{declare("heavy", {.weight = weight::heavy}),
               declare("medium", {}),
               declare("light", {.weight = weight::light}),
               declare("staggered", {.placement = placement::staggered}),
               declare("colocated", {.sticky = sticky::by_arguments()}),
               declare("serial", {.sticky = sticky::by_arguments(sticky::serial)}),
               declare("lead", {.external_calls = {"child"}, .digest = digest_policy::minimal})} {}

    /// Makes a token. Nothing if the runtime has no room and the call may be refused.
    std::optional<made_token> make(kind what, job work, bool may_refuse = false) {
        const std::uint64_t plan = work.plan;
        const int key = work.key;
        work.witness = witness_;
        work.over = std::make_shared<std::atomic<bool>>(false);
        const auto over = work.over;
        if (what == kind::lead) work.id = std::make_shared<std::atomic<std::uint64_t>>(0);
        const auto id = work.id;
        const operation<int(const job&)>& op = ops_[static_cast<std::size_t>(what)];
        std::optional<token<int>> handle;
        if (may_refuse) {
            handle = op.try_call(std::move(work));
            if (!handle) return std::nullopt;
        } else {
            handle = op(std::move(work));
        }
        if (id != nullptr) *id = handle->id();
        return made_token{std::move(*handle), plan, what, key, over};
    }

    /// A random kind of token.
    [[nodiscard]] kind some_kind(dice& random) const {
        const auto what = static_cast<kind>(random.below(kind_count));
        return what == kind::serial && !with_serial_ ? kind::colocated : what;
    }

    [[nodiscard]] key_hold hold(int key) {
        job work;
        work.key = key;
        return ops_[static_cast<std::size_t>(kind::colocated)].hold(work);
    }

    /// Waits in one way or another, and judges what comes.
    void wait_for(const made_token& one, std::uint64_t way) {
        try {
            int value = 0;
            if (way % 3 == 0) one.handle.wait(isolated);
            if (way % 3 == 1) one.handle.wait();
            value = way % 2 == 0 ? one.handle.get() : one.handle.get(isolated);
            if (plan_throws(one.plan) || value != result_of_plan(one.plan)) ++seen.wrong_result;
        } catch (const planned& error) {
            if (!plan_throws(one.plan) || error.number != result_of_plan(one.plan)) {
                ++seen.wrong_result;
            }
        } catch (const token_killed&) {
            if (one.handle.state() != token_state::killed) ++seen.wrong_result;
        } catch (const deadlock&) {
            if (!with_serial_) ++seen.false_alarms;
        }
    }

    void kill(const made_token& one) {
        if (one.handle.kill()) ++kills;
    }

    /// After stop(): nothing is left, and the books are right.
    void check() {
        check_ledger(rt);
        check_nothing_is_anchored(rt);
        const runtime_stats books = rt.stats();
        CHECK(books.total().killed == kills);
        CHECK(executed_in(books) == ran);
        CHECK(witness_.use_count() == 1);
        for (serial_key& each : serial_keys_) seen.lost_updates += each.counted != each.ran ? 1 : 0;
        CHECK(seen.keys_apart == 0);
        CHECK(seen.misplaced == 0);
        CHECK(seen.strayed == 0);
        CHECK(seen.together == 0);
        CHECK(seen.out_of_order == 0);
        CHECK(seen.closed_early == 0);
        CHECK(seen.seeds_mixed == 0);
        CHECK(seen.out_of_range == 0);
        CHECK(seen.wrong_result == 0);
        CHECK(seen.lost_updates == 0);
        CHECK(seen.false_alarms == 0);
    }

    runtime rt;
    faults seen;
    std::atomic<std::uint64_t> kills{0};
    std::atomic<std::uint64_t> ran{0};

  private:
    operation<int(const job&)> declare(const char* name, const operation_traits& traits) {
        const auto what = static_cast<kind>(declared_++);
        return rt.operation(name, traits,
                            [this, what](const job& work) { return run(what, work); });
    }

    int run(kind what, const job& work) {
        ++ran;
        const struct at_end {
            std::atomic<bool>& over;
            ~at_end() { over = true; }
        } end{*work.over};
        std::shared_ptr<const family> chain = work.chain;
        if (chain != nullptr && chain->domain != here()) ++seen.strayed;
        if (what == kind::lead) {
            chain = std::make_shared<family>(family{here(), work.id, chain});
        } else if (chain == nullptr) {
            check_range(what);
        }
        if (what == kind::colocated && chain == nullptr) {
            const enter_colocated inside(*this, work.key);
            return act(work, chain);
        }
        if (what == kind::serial) {
            const enter_serial inside(*this, work);
            return act(work, chain);
        }
        return act(work, chain);
    }

    int act(const job& work, const std::shared_ptr<const family>& chain) {
        dice random(work.plan);
        try {
            raise_children(work, chain, random);
        } catch (const runtime_stopped&) {
            // It was killed, and the runtime stops; nobody wants its result.
        }
        if (random.one_in(4)) check_open(chain);
        if (random.one_in(16)) blocking([] { std::this_thread::yield(); });
        if (plan_throws(work.plan)) throw planned{result_of_plan(work.plan)};
        return result_of_plan(work.plan);
    }

    void raise_children(const job& work, const std::shared_ptr<const family>& chain, dice& random) {
        const std::uint64_t count = work.depth == 0 ? 0 : random.below(4);
        std::vector<made_token> children;
        for (std::uint64_t i = 0; i < count; ++i) {
            job next;
            next.plan = random.next();
            next.key = static_cast<int>(random.below(key_count));
            next.depth = work.depth - 1;
            next.chain = chain;
            auto child = make(some_kind(random), std::move(next), random.one_in(4));
            if (!child) continue;
            if (random.one_in(12)) kill(*child);
            if (random.one_in(3)) wait_for(*child, random.next());
            children.push_back(std::move(*child));
        }
        check_seeds(children);
        if (random.one_in(2)) return;
        for (const made_token& each : children) wait_for(each, random.next());
    }

    /// Children that are not leads themselves have one seed, or none of them has.
    void check_seeds(const std::vector<made_token>& children) {
        std::optional<std::string> common;
        for (const made_token& each : children) {
            const std::string seed = each.handle.seed();
            if (each.what == kind::lead) {
                if (seed.empty() || seed == common) ++seen.seeds_mixed;
            } else if (!common) {
                common = seed;
            } else if (seed != *common) {
                ++seen.seeds_mixed;
            }
        }
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

    void check_range(kind what) {
        if (!rt.settings().strict_stealing || what > kind::staggered) return;
        const weight each = what == kind::staggered ? weight::medium : static_cast<weight>(what);
        if (here() < rt.settings().first_core[index_of(each)]) ++seen.out_of_range;
    }

    class enter_colocated {
      public:
        enter_colocated(world& all, int key)
            : mine_(all.colocated_keys_[static_cast<std::size_t>(key)]) {
            const std::scoped_lock guard(mine_.lock);
            if (mine_.running++ == 0) mine_.domain = here();
            if (mine_.domain != here()) ++all.seen.keys_apart;
        }
        ~enter_colocated() {
            const std::scoped_lock guard(mine_.lock);
            --mine_.running;
        }
        enter_colocated(const enter_colocated&) = delete;
        enter_colocated& operator=(const enter_colocated&) = delete;

      private:
        colocated_key& mine_;
    };

    class enter_serial {
      public:
        enter_serial(world& all, const job& work)
            : all_(all), mine_(all.serial_keys_[static_cast<std::size_t>(work.key)]) {
            if (mine_.inside.exchange(true)) ++all_.seen.together;
            ++mine_.ran;
            ++mine_.counted;
            if (work.thread == driver_count) return;
            if (mine_.last[work.thread] >= work.number) ++all_.seen.out_of_order;
            mine_.last[work.thread] = work.number;
        }
        ~enter_serial() {
            if (!mine_.inside.exchange(false)) ++all_.seen.together;
        }
        enter_serial(const enter_serial&) = delete;
        enter_serial& operator=(const enter_serial&) = delete;

      private:
        world& all_;
        serial_key& mine_;
    };

    const bool with_serial_;
    unsigned declared_ = 0;
    std::shared_ptr<int> witness_ = std::make_shared<int>(0);
    std::array<colocated_key, key_count> colocated_keys_;
    std::array<serial_key, key_count> serial_keys_;
    std::array<operation<int(const job&)>, kind_count> ops_;
};

/// A thread that is no worker: makes roots, waits for some, kills some, holds keys.
class driver {
  public:
    driver(world& all, std::size_t number, std::uint64_t plan)
        : all_(all), number_(number), random_(plan) {}

    void work(int roots) {
        for (int i = 1; i <= roots; ++i) {
            make_root(i);
            if (recent_.empty()) continue;
            if (random_.one_in(8)) all_.kill(pick());
            if (random_.one_in(6)) all_.wait_for(pick(), random_.next());
            if (random_.one_in(10)) take_or_drop_hold();
            if (recent_.size() >= 24) recent_.erase(recent_.begin(), recent_.begin() + 12);
        }
        for (const made_token& each : recent_) all_.wait_for(each, random_.next());
    }

  private:
    void make_root(int number) {
        job work;
        work.plan = random_.next();
        work.key = static_cast<int>(random_.below(key_count));
        work.depth = static_cast<int>(random_.below(4));
        work.thread = number_;
        work.number = number;
        auto root = all_.make(all_.some_kind(random_), std::move(work), random_.one_in(4));
        if (!root) return;
        if (root->what == kind::colocated || root->what == kind::serial) check_domain(*root);
        recent_.push_back(std::move(*root));
    }

    /// Whoever has the same key, and has not returned now, was in flight when the new one was
    /// placed.
    void check_domain(const made_token& fresh) {
        const unsigned domain = fresh.handle.domain();
        for (const made_token& each : recent_) {
            if (each.what != fresh.what || each.key != fresh.key) continue;
            if (*each.over || each.handle.done()) continue;
            if (each.handle.domain() != domain) ++all_.seen.misplaced;
        }
        if (fresh.what == kind::colocated && held_ && held_key_ == fresh.key &&
            held_.domain() != domain) {
            ++all_.seen.misplaced;
        }
    }

    void take_or_drop_hold() {
        if (held_) {
            held_ = {};
            return;
        }
        held_key_ = static_cast<int>(random_.below(key_count));
        held_ = all_.hold(held_key_);
    }

    [[nodiscard]] const made_token& pick() { return recent_[random_.below(recent_.size())]; }

    world& all_;
    const std::size_t number_;
    dice random_;
    std::vector<made_token> recent_;
    key_hold held_;
    int held_key_ = 0;
};

config random_shape(seeded& random, int cores) {
    config shape{.cores = cores,
                 .workers_per_core = cores > 8 ? 1 : 1 + static_cast<int>(random.below(3)),
                 .deque_capacity = random.one_in(2) ? 2 : 64,
                 .sticky_slots = random.one_in(2) ? 16 : 1024,
                 .reserve_workers = 128,
                 .spin_time = std::chrono::microseconds(random.below(2) * 20),
                 .help_depth = random.one_in(3) ? 1 : 64,
                 .steal = random.one_in(2) ? stealing::strict : stealing::soft};
    return shape;
}

/// How many tokens have run.
std::uint64_t run_round(seeded& random, const config& shape, bool with_serial, int roots) {
    INFO(*shape.cores, " domains of ", *shape.workers_per_core, ", serial keys: ", with_serial);
    world all(shape, with_serial);
    std::vector<std::thread> crowd;
    for (std::size_t i = 0; i < driver_count; ++i) {
        crowd.emplace_back([&all, i, roots, plan = random.below(~std::uint64_t{0})] {
            driver(all, i, plan).work(roots);
        });
    }
    for (std::thread& each : crowd) each.join();
    REQUIRE(all.rt.wait_idle_for(hang_limit));
    // The callables of those that were killed while they ran return before this does.
    all.rt.stop();
    all.check();
    return all.ran;
}

}  // namespace

TEST_CASE("random_trees_of_tokens_stay_where_their_keys_and_chains_belong") {
    seeded random;
    std::uint64_t ran = 0;
    for (std::size_t round = 0; round < scaled(120); ++round) {
        for (const int cores : {1, 2, 4, 8}) {
            ran += run_round(random, random_shape(random, cores), round % 3 != 0, 60);
        }
    }
    figure("tokens of random trees", ran);
}

TEST_CASE("random_trees_of_tokens_on_many_domains_stay_where_their_keys_and_chains_belong") {
    seeded random;
    std::uint64_t ran = 0;
    for (std::size_t round = 0; round < scaled(8); ++round) {
        ran += run_round(random, random_shape(random, 64), round % 2 == 0, 200);
    }
    figure("tokens of random trees", ran);
}

TEST_CASE("random_trees_of_tokens_at_the_limits_stay_where_their_keys_and_chains_belong") {
    seeded random;
    std::uint64_t ran = 0;
    for (std::size_t round = 0; round < scaled(60); ++round) {
        for (const int cores : {1, 2, 4}) {
            config shape = random_shape(random, cores);
            shape.in_flight_limit = 1 + static_cast<std::int64_t>(random.below(40));
            if (random.one_in(2)) {
                shape.mailbox_capacity = 1 + static_cast<std::int64_t>(random.below(20));
            }
            ran += run_round(random, shape, round % 2 == 0, 60);
        }
    }
    figure("tokens of random trees", ran);
}

}  // namespace tokengate::test
