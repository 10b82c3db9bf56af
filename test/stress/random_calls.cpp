// SPDX-License-Identifier: Apache-2.0
// Random sequences of public calls, against a model that is too simple to be wrong.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"
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
    std::uint64_t refused = 0;

    void add(const expected_counts& other) {
        completed += other.completed;
        failed += other.failed;
        refused += other.refused;
    }
};

bool agrees(const token_counts& books, const expected_counts& model) {
    return books.accepted == model.completed + model.failed && books.killed == 0 &&
           books.completed == model.completed && books.failed == model.failed &&
           books.refused == model.refused;
}

/// One token that the driver holds, and what it must deliver.
struct held {
    token<int> handle;
    std::optional<int> value;  ///< none: it throws
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
                                   [this](int n) { return throws(n).get(); })) {}

    operation<int(int)> fine;
    operation<int(int)> throws;
    operation<int(int)> nested;
    operation<int(int)> drops;
    operation<int(int)> fails_below;
};

/// Makes random calls, and keeps the model.
class driver {
  public:
    driver(const chores& all, seeded& random) : all_(all), random_(random) {}

    void step() {
        const int n = static_cast<int>(random_.below(1000));
        switch (random_.below(12)) {
            case 0: keep(all_.fine(n), n, {.completed = 1}); break;
            case 1: keep(all_.throws(n), std::nullopt, {.failed = 1}); break;
            case 2: keep(all_.nested(n), n + 1, {.completed = 2}); break;
            case 3: keep(all_.drops(n), n, {.completed = 2, .failed = 1}); break;
            case 4: keep(all_.fails_below(n), std::nullopt, {.failed = 2}); break;
            case 5:
                if (auto t = all_.fine.try_call(n)) {
                    keep(std::move(*t), n, {.completed = 1});
                } else {
                    ++model_.refused;
                }
                break;
            case 6:
                all_.fine(n);
                ++model_.completed;
                break;
            case 7:
                if (held* one = pick()) one->handle.wait();
                break;
            case 8:
                if (held* one = pick()) look(*one);
                break;
            case 9:
                if (held* one = pick()) static_cast<void>(one->handle.wait_for(0us));
                break;
            case 10:
                if (held* one = pick()) tokens_.push_back(held(*one));  // another handle
                break;
            default:
                if (held* one = pick()) {
                    std::swap(*one, tokens_.back());
                    if (random_.one_in(2)) consume(tokens_.back());
                    tokens_.pop_back();
                }
        }
    }

    void finish() {
        for (const held& each : tokens_) look(each);
    }

    [[nodiscard]] const expected_counts& model() const { return model_; }
    [[nodiscard]] bool all_answers_right() const { return right_; }

  private:
    void keep(token<int> handle, std::optional<int> value, const expected_counts& change) {
        model_.add(change);
        tokens_.push_back({std::move(handle), value});
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
            right_ = right_ && one.value == value;
        } catch (int) {
            right_ = right_ && !one.value;
        } catch (const std::runtime_error&) {
            right_ = right_ && !one.value;
        }
    }

    const chores& all_;
    seeded& random_;
    std::vector<held> tokens_;
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
        if (sequence % 20 == 19) check_ledger(*rt);
    }
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
        settle(rt);
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
         {&expected_counts::completed, &expected_counts::failed, &expected_counts::refused}) {
        expected_counts wrong = one.model();
        ++(wrong.*field);
        CHECK_FALSE(agrees(books, wrong));
    }
}

}  // namespace tokengate::test
