// SPDX-License-Identifier: Apache-2.0
/// @file
/// The operations of which random calls are made, one for each kind of the model.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "at_work.hpp"
#include "random_calls_model.hpp"

namespace tokengate::test {

/// The operations of one runtime. Destroyed when that is idle.
class chores {
  public:
    using chore = operation<int(int)>;

    /// How often `metered` may be called.
    static constexpr int metered_calls = 15;
    /// How many of `choosy` and `latest` may be in flight.
    static constexpr std::size_t limited_to = 2;

    /// @param work  where callables that make tokens are counted; outlives the runtime
    chores(runtime& rt, at_work& work) : rt_(rt), work_(work) {
        using namespace std::chrono_literals;
        const auto returns = [](int n) { return n; };
        add(kind::fine, {.weight = weight::light}, returns);
        add(kind::throws, {.weight = weight::medium}, throws_always);
        add(kind::nested, {.weight = weight::heavy}, [this](int n) {
            const at_work::shift mine(work_);
            return at(kind::fine)(n).get() + 1;
        });
        add(kind::drops, {.weight = weight::medium}, [this](int n) {
            const at_work::shift mine(work_);
            at(kind::fine)(n);
            at(kind::throws)(n);
            return n;
        });
        add(kind::fails_below, {.weight = weight::heavy}, [this](int n) {
            const at_work::shift mine(work_);
            return at(kind::throws)(n).get();
        });
        add(kind::plus_one, {}, [](int n) { return n + 1; });
        add(kind::retried, {.run_timeout = 1h, .retry = {.attempts = 3}}, [](int n) {
            if (this_token::attempt() < 3) throw n;
            return n;
        });
        add(kind::keyed, {.sticky = sticky::by_arguments()}, returns);
        add(kind::serial, {.sticky = sticky::by_anchor("turn", sticky::serial)}, returns);
        add(kind::lead, {.external_calls = {"fine", "keyed"}}, [this](int n) {
            const at_work::shift mine(work_);
            return at(kind::fine)(n).get() + at(kind::keyed)(n).get();
        });
        add(kind::awaits, {}, [this](int n) -> task<int> {
            const at_work::shift mine(work_);
            co_return co_await at(kind::fine)(n);
        });
        add(kind::lingers, {.run_timeout = 1us}, [](const std::stop_token& stop, int n) {
            while (!stop.stop_requested()) std::this_thread::yield();
            return n;
        });
        add(kind::impatient, {.queue_timeout = 20us}, returns);
        add(kind::once, {.duplicates = duplicates::coalesce}, returns);
        add(kind::choosy, {.in_flight = {.tokens = limited_to, .policy = when_full::refuse}},
            returns);
        add(kind::latest, {.in_flight = {.tokens = limited_to, .policy = when_full::drop_oldest}},
            returns);
        add(kind::metered,
            {.rate = {.per_second = 1e-6, .burst = metered_calls, .policy = when_full::refuse}},
            returns);
        add(kind::stored, {.storage = storage::slow},
            [](int n) { return n % 4 == 0 ? blocking([n] { return n; }) : n; });
        add(kind::fragile,
            {.health = {.block = true, .block_above = 0.6, .attempts = 5, .probe_after = 1h}},
            [](int n) { return n % 2 == 0 ? n : throws_always(n); });
        REQUIRE(all_.size() == index_of(kind::loops));
    }

    [[nodiscard]] const chore& at(kind which) const { return all_[index_of(which)]; }
    [[nodiscard]] runtime& where() const { return rt_; }

    /// A call of `metered` was let in. False if there may not have been one.
    [[nodiscard]] bool use_metered() { return metered_left_.fetch_sub(1) > 0; }
    [[nodiscard]] bool metered_is_used_up() const { return metered_left_ <= 0; }

    /// Waits until nothing is in flight and no callable can create anything.
    [[nodiscard]] bool await_rest() const { return work_.await_rest(rt_); }

  private:
    static int throws_always(int n) {
        if (n % 2 == 0) throw n;
        throw std::runtime_error("odd");
    }

    template <class F>
    void add(kind which, const operation_traits& traits, F&& callable) {
        static constexpr std::array<const char*, kinds> names{
            "fine",   "throws", "nested",  "drops",  "fails below", "plus one",  "retried",
            "keyed",  "serial", "lead",    "awaits", "lingers",     "impatient", "once",
            "choosy", "latest", "metered", "stored", "fragile",     "loops"};
        REQUIRE(all_.size() == index_of(which));
        all_.push_back(rt_.operation(names[index_of(which)], traits, std::forward<F>(callable)));
    }

    runtime& rt_;
    at_work& work_;
    std::vector<chore> all_;
    std::atomic<int> metered_left_{metered_calls};
};

}  // namespace tokengate::test
