// SPDX-License-Identifier: Apache-2.0
// A worker's deque under its owner and several thieves.
#include "domain/deque.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/detail/node.hpp>

#include "figure.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "sleep/event_count.hpp"
#include "sleep/fence.hpp"
#include "sleep/idle_set.hpp"

namespace tokengate::test {
namespace {

using detail::steal_outcome;
using detail::token_node;
using detail::work_deque;

/// The tokens of one run. Few, so that the same addresses come back soon.
/// Secret: what a token contains. Not atomic: the deque must hand it over, and a thread sanitizer
/// sees whether it does. Atomic for broken deques, which race by design.
template <class Secret>
class token_stock {
  public:
    explicit token_stock(std::size_t size) : nodes_(size), marks_(size), secrets_(size) {}

    /// Any token that is not in the deque, made ready for it; null if none was found.
    token_node* take_out(seeded& random) {
        const std::size_t chosen = random.below(nodes_.size());
        if (marks_[chosen].load(std::memory_order_acquire)) return nullptr;
        marks_[chosen].store(true, std::memory_order_relaxed);
        secrets_[chosen] = ++pushed_;
        return &nodes_[chosen];
    }

    /// The deque was full.
    void put_back(token_node& node) {
        --pushed_;
        marks_[index_of(node)].store(false, std::memory_order_relaxed);
    }

    /// Somebody took it from the deque.
    void taken(token_node* node) {
        if (node == nullptr) {
            wrong_ = true;
            return;
        }
        sum_.fetch_add(secrets_[index_of(*node)], std::memory_order_relaxed);
        count_.fetch_add(1, std::memory_order_relaxed);
        if (!marks_[index_of(*node)].exchange(false, std::memory_order_acq_rel)) wrong_ = true;
    }

    /// How many were taken so far.
    [[nodiscard]] std::uint64_t count() const { return count_; }

    /// What went wrong; nothing if each token that was pushed was taken once.
    [[nodiscard]] std::string fault() const {
        if (wrong_) return "a token was taken that was not there";
        if (count_ != pushed_) {
            return std::to_string(count_) + " taken of " + std::to_string(pushed_);
        }
        return sum_ == pushed_ * (pushed_ + 1) / 2 ? "" : "not what was pushed";
    }

  private:
    [[nodiscard]] std::size_t index_of(const token_node& node) const {
        return static_cast<std::size_t>(&node - nodes_.data());
    }

    std::vector<token_node> nodes_;
    std::vector<std::atomic<bool>> marks_;  ///< it is in the deque
    std::vector<Secret> secrets_;
    std::uint64_t pushed_ = 0;
    std::atomic<std::uint64_t> count_{0};
    std::atomic<std::uint64_t> sum_{0};
    std::atomic<bool> wrong_{false};
};

/// One random step of the owner.
template <class Deque, class Stock>
void own(Deque& deque, Stock& stock, seeded& random) {
    const auto take_all = [&](auto&& pop) {
        while (token_node* node = pop()) stock.taken(node);
    };
    switch (random.below(16)) {
        case 0: take_all([&] { return deque.pop(); }); break;
        case 1: {
            // As a token does that makes others, and then takes back those that are left.
            const std::int64_t mark = deque.mark();
            for (std::uint64_t i = random.below(6); i > 0; --i) {
                token_node* const node = stock.take_out(random);
                if (node != nullptr && !deque.push(*node)) stock.put_back(*node);
            }
            take_all([&] { return deque.pop_above(mark); });
            break;
        }
        case 2:
        case 3:
        case 4:
        case 5:
            if (token_node* const node = deque.pop()) stock.taken(node);
            break;
        default: {
            token_node* const node = stock.take_out(random);
            if (node == nullptr) break;
            if (!deque.push(*node)) {
                stock.put_back(*node);
            } else if (random.one_in(4) && deque.pop_if(*node)) {
                stock.taken(node);
            }
        }
    }
}

/// What a run came to.
struct verdict {
    std::string fault;  ///< nothing if each token was taken once
    std::uint64_t taken;
    std::uint64_t stolen;
};

/// One owner that pushes and pops at random, and some thieves.
template <class Deque, class Secret>
verdict run_of(std::size_t capacity, std::size_t thieves, std::size_t steps, seeded& random) {
    Deque deque(capacity);
    token_stock<Secret> stock(2 * capacity + 3);
    std::atomic<std::uint64_t> stolen{0};
    std::atomic<bool> done{false};
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> crowd;
    for (std::size_t t = 0; t < thieves; ++t) {
        crowd.emplace_back([&] {
            ready.fetch_add(1);
            for (;;) {
                const bool last_look = done.load();
                const auto got = deque.steal();
                if (got.outcome == steal_outcome::taken) {
                    stock.taken(got.node);
                    stolen.fetch_add(1, std::memory_order_relaxed);
                } else if (got.outcome == steal_outcome::empty) {
                    if (last_look) return;
                    std::this_thread::yield();
                }
            }
        });
    }
    while (ready.load() < thieves) std::this_thread::yield();
    for (std::size_t i = 0; i < steps; ++i) {
        own(deque, stock, random);
        if (random.one_in(256)) std::this_thread::yield();  // even on one core
    }
    done = true;
    for (std::thread& each : crowd) each.join();
    return {stock.fault(), stock.count(), stolen};
}

enum class flaw : std::uint8_t {
    none,
    last_without_exchange,  ///< the owner takes the last token without asking whether a thief has
    slot_after_exchange,    ///< thieves read the slot when it may hold the next token
    bottom_before_top,      ///< thieves read the two indices in the wrong order
};

/// A deque with one flaw or none, and room for other threads where it matters.
template <flaw Flaw>
class flawed_deque {
  public:
    explicit flawed_deque(std::size_t capacity) : slots_(capacity) {}
    bool push(token_node& node) {
        const std::int64_t end = bottom_.load();
        if (end - top_.load() >= static_cast<std::int64_t>(slots_.size())) return false;
        slot(end).store(&node);
        bottom_.store(end + 1);
        return true;
    }
    token_node* pop() {
        const std::int64_t newest = bottom_.load() - 1;
        bottom_.store(newest);
        std::int64_t oldest = top_.load();
        if (oldest < newest) return slot(newest).load();
        token_node* last = nullptr;
        if (oldest == newest) {
            if constexpr (Flaw == flaw::last_without_exchange) {
                std::this_thread::yield();
                top_.store(newest + 1);
                last = slot(newest).load();
            } else if (top_.compare_exchange_strong(oldest, newest + 1)) {
                last = slot(newest).load();
            }
        }
        bottom_.store(newest + 1);
        return last;
    }
    bool pop_if(const token_node& node) {
        const std::int64_t end = bottom_.load();
        return end > 0 && slot(end - 1).load() == &node && pop() != nullptr;
    }
    std::int64_t mark() { return bottom_.load(); }
    token_node* pop_above(std::int64_t mark) { return bottom_.load() > mark ? pop() : nullptr; }
    work_deque::stolen steal() {
        std::int64_t end = bottom_.load();
        if constexpr (Flaw == flaw::bottom_before_top) std::this_thread::yield();
        std::int64_t oldest = top_.load();
        if constexpr (Flaw != flaw::bottom_before_top) end = bottom_.load();
        if (oldest >= end) return {steal_outcome::empty, nullptr};
        const std::int64_t index = oldest;
        token_node* const node = slot(index).load();
        if constexpr (Flaw == flaw::last_without_exchange) std::this_thread::yield();
        if (!top_.compare_exchange_strong(oldest, oldest + 1)) {
            return {steal_outcome::lost, nullptr};
        }
        if constexpr (Flaw != flaw::slot_after_exchange) return {steal_outcome::taken, node};
        std::this_thread::yield();
        return {steal_outcome::taken, slot(index).load()};
    }

  private:
    std::atomic<token_node*>& slot(std::int64_t index) {
        return slots_[static_cast<std::size_t>(index) % slots_.size()];
    }
    std::atomic<std::int64_t> top_{0};
    std::atomic<std::int64_t> bottom_{0};
    std::vector<std::atomic<token_node*>> slots_;
};

/// True if the checker says no to it in one of some runs.
template <flaw Flaw>
bool is_caught(seeded& random) {
    for (int attempt = 0; attempt < 500; ++attempt) {
        if (!run_of<flawed_deque<Flaw>, std::atomic<std::uint64_t>>(4, 2, 2'000, random)
                 .fault.empty())
            return true;
    }
    return false;
}

/// An owner that pushes a token and leaves it to a thief, which sleeps when it finds nothing.
/// Broken: the thief does not look again after it has announced itself.
template <bool looks_again>
bool nobody_sleeps_on_a_token(int turns) {
    using namespace std::chrono_literals;
    work_deque deque(4);
    token_node node;
    detail::idle_set idle(1);
    detail::event_count bell;
    std::atomic<int> taken{0};
    std::atomic<bool> overslept{false};
    const auto take = [&] {
        while (!deque.seems_empty()) {
            if (deque.steal().outcome == steal_outcome::taken) {
                taken.fetch_add(1);
                return true;
            }
        }
        return false;
    };
    std::thread thief([&] {
        while (taken.load() < turns && !overslept) {
            if (take()) continue;
            if constexpr (!looks_again) std::this_thread::yield();
            const auto ticket = bell.look();
            idle.announce(0);
            if (looks_again && take()) {
                // Whoever has claimed this thief meanwhile meant this token: there is only one.
                static_cast<void>(idle.withdraw(0));
                continue;
            }
            const auto limit = looks_again ? 30s : 1s;
            if (!bell.park(ticket,
                           detail::steady_now() + std::chrono::nanoseconds(limit).count())) {
                overslept = true;
            }
            static_cast<void>(idle.withdraw(0));
        }
    });
    for (int turn = 1; turn <= turns && !overslept; ++turn) {
        if (!deque.push(node)) overslept = true;
        detail::full_fence();
        if (idle.claim(0, 1)) bell.notify_one();
        while (taken.load() < turn && !overslept) std::this_thread::yield();
    }
    thief.join();
    return !overslept;
}

}  // namespace

TEST_CASE("each_token_of_a_deque_is_taken_once_by_its_owner_or_a_thief") {
    seeded random;
    for (const std::size_t capacity : {1U, 4U, 64U}) {
        for (const std::size_t thieves : {1U, 2U, 3U}) {
            INFO("capacity ", capacity, ", thieves ", thieves);
            const verdict end =
                run_of<work_deque, std::uint64_t>(capacity, thieves, scaled(500'000), random);
            REQUIRE(end.fault == "");
            // Both ends were in use, or this has shown nothing.
            CHECK(end.stolen > 0);
            CHECK(end.stolen < end.taken);
            figure("tokens taken from deques", end.taken);
        }
    }
}

TEST_CASE("the_check_of_deques_catches_three_that_are_broken") {
    seeded random;
    CHECK(run_of<flawed_deque<flaw::none>, std::uint64_t>(4, 2, 20'000, random).fault == "");
    CHECK(is_caught<flaw::last_without_exchange>(random));
    CHECK(is_caught<flaw::slot_after_exchange>(random));
    CHECK(is_caught<flaw::bottom_before_top>(random));
}

TEST_CASE("no_thief_sleeps_while_a_token_lies_in_a_deque") {
    const std::size_t turns = scaled(50'000);
    CHECK(nobody_sleeps_on_a_token<true>(static_cast<int>(turns)));
    figure("tokens left to a sleeping thief", turns);
}

TEST_CASE("the_check_of_sleeping_thieves_catches_one_that_does_not_look_again") {
    CHECK_FALSE(nobody_sleeps_on_a_token<false>(1'000'000));
}

}  // namespace tokengate::test
