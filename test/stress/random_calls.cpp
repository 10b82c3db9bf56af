// SPDX-License-Identifier: Apache-2.0
// Random sequences of public calls, against a model that is too simple to be wrong.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
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

constexpr std::size_t sequences = 2'000;
constexpr std::size_t calls_in_a_sequence = 60;

/// What must be in the books in the end.
struct expected_counts {
    std::uint64_t completed = 0;
    std::uint64_t failed = 0;
    std::uint64_t killed = 0;
    std::uint64_t refused = 0;

    void add(const expected_counts& other) {
        completed += other.completed;
        failed += other.failed;
        killed += other.killed;
        refused += other.refused;
    }
};

bool agrees(const token_counts& books, const expected_counts& model) {
    return books.accepted == model.completed + model.failed + model.killed &&
           books.completed == model.completed && books.failed == model.failed &&
           books.killed == model.killed && books.timed_out == 0 && books.refused == model.refused;
}

/// What a token must deliver; all handles of it know the same.
struct fate {
    std::optional<int> value;  ///< none: it throws
    bool alone = false;        ///< no other token depends on how it ends: so it may be killed
    bool killed = false;
};

/// One token that the driver holds.
struct held {
    token<int> handle;
    std::shared_ptr<fate> must;
};

/// The operations of one runtime.
struct chores {
    explicit chores(runtime& rt)
        : fine(rt.operation("fine", {.weight = weight::light}, [](int n) { return n; })),
          throws(rt.operation("throws", {.weight = weight::medium},
                              [](int n) -> int {
                                  if (n % 2 == 0) throw n;
                                  throw std::runtime_error("odd");
                              })),
          nested(rt.operation("nested", {.weight = weight::heavy},
                              [this](int n) { return fine(n).get() + 1; })),
          drops(rt.operation("drops", {.weight = weight::medium},
                             [this](int n) {
                                 fine(n);
                                 throws(n);
                                 return n;
                             })),
          fails_below(rt.operation("fails below", {.weight = weight::heavy},
                                   [this](int n) { return throws(n).get(); })),
          plus_one(rt.operation("plus one", [](int n) { return n + 1; })),
          retried(rt.operation("retried", {.run_timeout = 1h, .retry = {.attempts = 3}},
                               [](int n) {
                                   if (this_token::attempt() < 3) throw n;
                                   return n;
                               })),
          keyed(rt.operation("keyed", {.sticky = sticky::by_arguments()}, [](int n) { return n; })),
          serial(rt.operation("serial", {.sticky = sticky::by_anchor("turn", sticky::serial)},
                              [](int n) { return n; })),
          lead(rt.operation("lead", {.external_calls = {"fine", "keyed"}},
                            [this](int n) { return fine(n).get() + keyed(n).get(); })),
          awaits(
              rt.operation("awaits", [this](int n) -> task<int> { co_return co_await fine(n); })),
          where(&rt) {}

    operation<int(int)> fine;
    operation<int(int)> throws;
    operation<int(int)> nested;
    operation<int(int)> drops;
    operation<int(int)> fails_below;
    operation<int(int)> plus_one;
    operation<int(int)> retried;
    operation<int(int)> keyed;
    operation<int(int)> serial;
    operation<int(int)> lead;
    operation<int(int)> awaits;
    runtime* where;
};

/// Makes random calls, and keeps the model.
class driver {
  public:
    driver(const chores& all, seeded& random) : all_(all), random_(random) {}

    void step() {
        const int n = static_cast<int>(random_.below(1000));
        switch (random_.below(8)) {
            case 0:
            case 1:
            case 2: call(n); break;
            case 3: control(n); break;
            case 4: call_several(n); break;
            default: use_a_handle(); break;
        }
    }

    void finish() {
        for (const held& each : tokens_) {
            look(each);
            each.handle.join();
        }
        hold_ = {};
    }

    [[nodiscard]] const expected_counts& model() const { return model_; }
    [[nodiscard]] bool all_answers_right() const { return right_; }

  private:
    /// A call that makes a token to hold.
    void call(int n) {
        switch (random_.below(12)) {
            case 0:
            case 1: keep_alone(all_.fine(n), n, {.completed = 1}); break;
            case 2: keep_alone(all_.throws(n), std::nullopt, {.failed = 1}); break;
            case 3: keep(all_.nested(n), n + 1, {.completed = 2}); break;
            case 4: keep(all_.drops(n), n, {.completed = 2, .failed = 1}); break;
            case 5: keep(all_.fails_below(n), std::nullopt, {.failed = 2}); break;
            case 6: keep_alone(all_.retried(n), n, {.completed = 1}); break;
            case 7: keep_alone(all_.keyed(n % 10), n % 10, {.completed = 1}); break;
            case 8: keep_alone(all_.serial(n), n, {.completed = 1}); break;
            case 9: keep(all_.lead(n), 2 * n, {.completed = 3}); break;
            case 10: keep(all_.awaits(n), n, {.completed = 2}); break;
            default:
                if (auto t = all_.fine.try_call(n)) {
                    keep_alone(std::move(*t), n, {.completed = 1});
                } else {
                    ++model_.refused;
                }
        }
    }

    /// Pauses that end at once, kills, and questions.
    void control(int n) {
        switch (random_.below(6)) {
            case 0:
                all_.fine.pause();
                all_.fine.resume();
                break;
            case 1:
                if (const held* one = pick()) {
                    static_cast<void>(one->handle.pause());
                    static_cast<void>(one->handle.resume());
                }
                break;
            case 2:
            case 3:
                if (held* one = pick()) kill(*one);
                break;
            case 4: hold_ = random_.one_in(2) ? key_hold() : all_.keyed.hold(n % 10); break;
            default:
                static_cast<void>(all_.where->stats());
                static_cast<void>(all_.where->open_chains());
                static_cast<void>(all_.fine.health());
        }
    }

    /// Calls whose tokens nobody holds afterwards, or that make several.
    void call_several(int n) {
        const auto few = 1 + n % 5;
        switch (random_.below(6)) {
            case 0:
                all_.fine(n);
                ++model_.completed;
                break;
            case 1:
                all_.fine.post(n);
                ++model_.completed;
                break;
            case 2: {
                const std::vector<int> each(static_cast<std::size_t>(few), n);
                right_ = right_ && all_.fine.bulk(each).get() == each;
                model_.completed += each.size();
                break;
            }
            case 3: {
                std::atomic<int> seen{0};
                parallel_for(*all_.where, few, 2, [&](int) { ++seen; });
                right_ = right_ && seen == few;
                model_.completed += block_count(few, 2);
                break;
            }
            case 4: {
                const auto [a, b] = sync_wait(gather(all_.fine(n), all_.nested(n)));
                right_ = right_ && a == n && b == n + 1;
                model_.completed += 3;
                break;
            }
            default:
                keep(all_.fine.with({.queue_timeout = 1h, .run_timeout = 1h})(n), n,
                     {.completed = 1});
        }
    }

    void use_a_handle() {
        held* const one = pick();
        if (one == nullptr) return;
        switch (random_.below(7)) {
            case 0: one->handle.wait(); break;
            case 1: look(*one); break;
            case 2: static_cast<void>(one->handle.wait_for(0us)); break;
            case 3: tokens_.push_back(held(*one)); break;  // another handle
            case 4: one->handle.join(); break;
            case 5: go_on_with(*one); break;
            default:
                std::swap(*one, tokens_.back());
                if (random_.one_in(2)) consume(tokens_.back());
                tokens_.pop_back();
        }
    }

    /// A token that gets its result, if it has one.
    void go_on_with(const held& one) {
        one.must->alone = false;
        const bool has_result = one.must->value.has_value() && !one.must->killed;
        const int value = one.must->value.value_or(0);
        token<int> next = one.handle.then(all_.plus_one);
        if (has_result) {
            keep(std::move(next), value + 1, {.completed = 1});
        } else {
            keep(std::move(next), std::nullopt, {.failed = 1});
        }
    }

    /// Whoever is told to have killed a token has done so, and nobody else.
    void kill(held& one) {
        if (!one.must->alone || !one.handle.kill()) return;
        one.must->alone = false;
        one.must->killed = true;
        ++model_.killed;
        --(one.must->value ? model_.completed : model_.failed);
    }

    void keep(token<int> handle, std::optional<int> value, const expected_counts& change) {
        model_.add(change);
        tokens_.push_back({std::move(handle), std::make_shared<fate>(fate{.value = value})});
    }

    void keep_alone(token<int> handle, std::optional<int> value, const expected_counts& change) {
        keep(std::move(handle), value, change);
        tokens_.back().must->alone = true;
    }

    held* pick() { return tokens_.empty() ? nullptr : &tokens_[random_.below(tokens_.size())]; }

    void look(const held& one) {
        judge(one, [&] { return one.handle.get(); });
    }

    void consume(held& one) {
        judge(one, [&] { return std::move(one.handle).get(); });
    }

    template <class Ask>
    void judge(const held& one, Ask&& ask) {
        try {
            const int value = ask();
            right_ = right_ && !one.must->killed && one.must->value == value;
        } catch (const token_killed&) {
            right_ = right_ && one.must->killed;
        } catch (int) {
            right_ = right_ && !one.must->killed && !one.must->value;
        } catch (const std::runtime_error&) {
            right_ = right_ && !one.must->killed && !one.must->value;
        }
    }

    const chores& all_;
    seeded& random_;
    std::vector<held> tokens_;
    key_hold hold_;
    expected_counts model_;
    bool right_ = true;
};

config random_shape(seeded& random) {
    config wanted;
    wanted.cores = widths[random.below(4)];
    wanted.workers_per_core = 1 + static_cast<int>(random.below(2));
    wanted.spin_time = std::chrono::microseconds(random.below(2) * 20);
    wanted.steal = random.one_in(2) ? stealing::strict : stealing::soft;
    if (random.one_in(2)) wanted.in_flight_limit = 1 + static_cast<std::int64_t>(random.below(20));
    if (random.one_in(2)) wanted.mailbox_capacity = 1 + static_cast<std::int64_t>(random.below(9));
    return wanted;
}

}  // namespace

TEST_CASE("the_books_agree_with_a_simple_model_after_random_calls") {
    seeded random;
    std::optional<runtime> rt;
    std::optional<chores> all;
    expected_counts model;
    for (std::size_t sequence = 0; sequence < scaled(sequences); ++sequence) {
        if (sequence % 20 == 0) {
            all.reset();
            rt.emplace(random_shape(random));
            all.emplace(*rt);
            model = {};
        }
        driver one(*all, random);
        for (std::size_t i = 0; i < calls_in_a_sequence; ++i) one.step();
        one.finish();
        REQUIRE(one.all_answers_right());
        model.add(one.model());
        REQUIRE(rt->wait_idle_for(hang_limit));
        REQUIRE(agrees(rt->stats().total(), model));
        if (sequence % 20 == 19) settle_locality(*rt);
    }
    figure("random sequences", scaled(sequences));
    figure("random calls", scaled(sequences) * calls_in_a_sequence);
}

TEST_CASE("the_books_agree_when_several_threads_call_at_random") {
    seeded parent;
    for (std::size_t round = 0; round < scaled(40); ++round) {
        runtime rt(random_shape(parent));
        const chores all(rt);
        std::vector<expected_counts> models(3);
        std::atomic<bool> right{true};
        std::vector<std::thread> crowd;
        for (std::size_t t = 0; t < models.size(); ++t) {
            crowd.emplace_back([&, t] {
                seeded random(parent, round * 3 + t);
                driver one(all, random);
                for (int i = 0; i < 500; ++i) one.step();
                one.finish();
                if (!one.all_answers_right()) right = false;
                models[t] = one.model();
            });
        }
        for (std::thread& each : crowd) each.join();
        REQUIRE(right);
        settle_locality(rt);
        expected_counts model;
        for (const expected_counts& each : models) model.add(each);
        REQUIRE(agrees(rt.stats().total(), model));
    }
}

TEST_CASE("the_comparison_with_the_model_notices_a_single_token") {
    runtime rt({.cores = 2});
    const chores all(rt);
    seeded random;
    driver one(all, random);
    for (int i = 0; i < 100; ++i) one.step();
    one.finish();
    settle(rt);
    const token_counts books = rt.stats().total();
    CHECK(agrees(books, one.model()));
    for (std::uint64_t expected_counts::*field :
         {&expected_counts::completed, &expected_counts::failed, &expected_counts::killed,
          &expected_counts::refused}) {
        expected_counts wrong = one.model();
        ++(wrong.*field);
        CHECK_FALSE(agrees(books, wrong));
    }
}

}  // namespace tokengate::test
