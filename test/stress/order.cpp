// SPDX-License-Identifier: Apache-2.0
// Sequence numbers of submitters: tokens of one lane start in the order in which each thread has
// called for them, and none is missing.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <type_traits>
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

constexpr std::size_t submitters = 3;
constexpr std::size_t key_count = 8;
constexpr std::size_t tokens_of_each = 40'000;

/// What starts in one lane. `exact`: one worker serves it, so that nothing here needs to be atomic,
/// and a sanitizer looks on.
template <bool exact>
class line {
  public:
    /// The number of a token of this submitter that starts.
    void starts(std::size_t who, std::uint64_t number) {
        if (next_[who] != number) ++violations_;
        next_[who] = number + 1;
    }
    [[nodiscard]] std::uint64_t violations() const { return violations_; }
    /// How many each of them has started in the end.
    [[nodiscard]] std::uint64_t started(std::size_t who) const { return next_[who]; }

  private:
    template <class T>
    using cell = std::conditional_t<exact, T, std::atomic<T>>;

    std::array<cell<std::uint64_t>, submitters> next_{};
    cell<std::uint64_t> violations_{0};
};

/// What a lane is for.
enum class kind : std::uint8_t { weights, keys, turns };

/// What each submitter has called for, by lane.
using sent = std::array<std::uint64_t, weight_count + 2 * key_count>;

/// Lanes of one runtime, which are numbered: three classes, keys, serial keys.
template <bool exact>
class lanes {
  public:
    explicit lanes(const config& shape)
        : rt(shape),
          classes_{declare("heavy", {.weight = weight::heavy}),
                   declare("medium", {.weight = weight::medium}),
                   declare("light", {.weight = weight::light})},
          keys_(rt.operation("keys", {.sticky = sticky::by_arguments()},
                             [this](const letter& work) { take(work); })),
          turns_(rt.operation("turns", {.sticky = sticky::by_arguments(sticky::serial)},
                              [this](const letter& work) { take(work); })) {
        // A key that nobody holds would move to another domain when nothing of it is in flight.
        for (std::size_t key = 0; key < key_count; ++key) {
            holds_.push_back(keys_.hold(letter{.key = key}));
        }
    }

    /// Calls for so many tokens of some kinds of lanes from several threads; how many there were.
    std::uint64_t run(std::size_t count, const std::vector<kind>& kinds) {
        const seeded parent;
        std::array<sent, submitters> all{};
        std::vector<std::thread> crowd;
        for (std::size_t who = 0; who < submitters; ++who) {
            crowd.emplace_back([&, who] {
                seeded random(parent, who);
                for (std::size_t i = 0; i < count; ++i) call(who, all[who], random, kinds);
            });
        }
        for (std::thread& each : crowd) each.join();
        settle(rt);
        std::uint64_t sum = 0;
        for (std::size_t lane = 0; lane < lines_.size(); ++lane) {
            for (std::size_t who = 0; who < submitters; ++who) {
                if (exact) CHECK(lines_[lane].started(who) == all[who][lane]);
                sum += all[who][lane];
            }
        }
        return sum;
    }

    [[nodiscard]] std::uint64_t violations() const {
        std::uint64_t sum = 0;
        for (const line<exact>& each : lines_) sum += each.violations();
        return sum;
    }

    runtime rt;

  private:
    /// The argument of every token. Its key is all that counts for stickiness.
    struct letter {
        std::size_t lane = 0;
        std::size_t who = 0;
        std::uint64_t number = 0;
        std::size_t key = 0;

        template <class H>
        friend H AbslHashValue(H state, const letter& value) {
            return H::combine(std::move(state), value.key);
        }
    };

    operation<void(const letter&)> declare(const char* name, const operation_traits& traits) {
        return rt.operation(name, traits, [this](const letter& work) { take(work); });
    }

    void take(const letter& work) { lines_[work.lane].starts(work.who, work.number); }

    void call(std::size_t who, sent& mine, seeded& random, const std::vector<kind>& kinds) {
        const kind chosen = kinds[random.below(kinds.size())];
        letter work{.who = who, .key = random.below(key_count)};
        switch (chosen) {
            case kind::weights: work.lane = random.below(weight_count); break;
            case kind::keys: work.lane = weight_count + work.key; break;
            case kind::turns: work.lane = weight_count + key_count + work.key; break;
        }
        work.number = mine[work.lane]++;
        const auto& op = chosen == kind::weights ? classes_[work.lane]
                         : chosen == kind::keys  ? keys_
                                                 : turns_;
        if (random.one_in(4)) {
            op(work);
        } else {
            op.post(work);
        }
    }

    std::array<line<exact>, weight_count + 2 * key_count> lines_;
    std::array<operation<void(const letter&)>, weight_count> classes_;
    operation<void(const letter&)> keys_;
    operation<void(const letter&)> turns_;
    std::vector<key_hold> holds_;
};

}  // namespace

TEST_CASE("tokens_of_a_submitter_start_in_the_order_of_its_calls_in_each_lane") {
    seeded random;
    std::uint64_t tokens = 0;
    for (const int cores : {1, 2, 4, 8}) {
        for (const std::int64_t capacity : {8, 8192}) {
            INFO(cores, " domains, lanes of ", capacity);
            // All classes begin and end in the last domain, whose one worker serves their lanes;
            // those of keys are in any domain.
            const config shape{
                .cores = cores,
                .mailbox_capacity = capacity,
                .spin_time = std::chrono::microseconds(random.below(2) * 20),
                .steal = stealing::strict,
                .first_core = {.heavy = cores - 1, .medium = cores - 1, .light = cores - 1}};
            lanes<true> all(shape);
            tokens += all.run(scaled(tokens_of_each), {kind::weights, kind::keys, kind::turns});
            CHECK(all.violations() == 0);
        }
    }
    figure("tokens in the order of their numbers", tokens);
}

TEST_CASE("tokens_of_a_serial_key_start_in_order_whoever_runs_them") {
    std::uint64_t tokens = 0;
    for (const int cores : {1, 2, 4}) {
        INFO(cores, " domains");
        lanes<true> all({.cores = cores, .workers_per_core = 3, .spin_time = 0us});
        tokens += all.run(scaled(tokens_of_each), {kind::turns});
        CHECK(all.violations() == 0);
    }
    figure("serial tokens in order", tokens);
}

TEST_CASE("the_check_of_order_catches_lanes_that_several_workers_serve") {
    // They begin side by side what was called for one after another.
    bool caught = false;
    for (int attempt = 0; attempt < 500 && !caught; ++attempt) {
        lanes<false> all({.cores = 2, .workers_per_core = 2, .steal = stealing::soft});
        all.run(2000, {kind::weights});
        caught = all.violations() > 0;
    }
    CHECK(caught);
}

}  // namespace tokengate::test
