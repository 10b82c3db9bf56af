// SPDX-License-Identifier: Apache-2.0
#include "soak_field.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

namespace tokengate::app {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t most_depth = 3;
constexpr std::uint64_t most_spins = 2'000;
constexpr auto longest_dawdle = 4ms;

void spin(std::uint64_t rounds) noexcept {
    std::uint64_t n = rounds;
    for (std::uint64_t i = 0; i < rounds; ++i) n = n * 6364136223846793005U + 1442695040888963407U;
    // Relaxed: so that the loop is there.
    static std::atomic<std::uint64_t> sink;
    if (n == 1) sink.store(n, std::memory_order_relaxed);
}

bool may_time_out(const soak_kind& kind) noexcept {
    return kind.traits.queue_timeout.count() > 0 || kind.traits.run_timeout.count() > 0;
}

}  // namespace

/// A callable is inside.
class soak_field::presence {
  public:
    presence(soak_field& field, soak_count& count) : field_(field) {
        field_.inside_.fetch_add(1, std::memory_order_relaxed);
        if (field_.leaves_one_out_.load(std::memory_order_relaxed) &&
            field_.leaves_one_out_.exchange(false, std::memory_order_relaxed)) {
            return;
        }
        count.begun.fetch_add(1, std::memory_order_relaxed);
    }
    // Release: pairs with the acquire of inside().
    ~presence() { field_.inside_.fetch_sub(1, std::memory_order_release); }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;

  private:
    soak_field& field_;
};

/// A serial token has its turn: nobody else may, and none of its thread that came later before.
class soak_field::turn {
  public:
    turn(line& mine, const soak_order& order, soak_faults& faults) : line_(mine) {
        // Relaxed, all: the turn itself is what orders them; this looks whether it does.
        if (line_.busy.exchange(true, std::memory_order_relaxed)) {
            faults.side_by_side.fetch_add(1, std::memory_order_relaxed);
        }
        if (order.source == 0) return;
        auto& last = line_.last[order.source];
        if (order.number < last.exchange(order.number, std::memory_order_relaxed)) {
            faults.disorder.fetch_add(1, std::memory_order_relaxed);
        }
    }
    ~turn() { line_.busy.store(false, std::memory_order_relaxed); }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;

  private:
    line& line_;
};

soak_field::soak_field(std::uint64_t seed, bool broken)
    : kinds_(soak_kinds(seed)), counts_(kinds_.size()), leaves_one_out_(broken) {
    std::map<std::string, std::size_t> lines;
    for (const soak_kind& each : kinds_) {
        line_of_.push_back(lines.try_emplace(each.line, lines.size() * soak_keys).first->second);
    }
    lines_ = std::make_unique<line[]>(lines.size() * soak_keys);
}

void soak_field::declare(runtime& rt) {
    // Fewer than a domain has reserve workers: what an isolated wait keeps from running may be what
    // the awaited token waits for.
    most_isolated_ = rt.settings().reserve_workers / 2;
    for (std::size_t which = 0; which < kinds_.size(); ++which) {
        operations_.push_back(rt.operation(
            kinds_[which].name, kinds_[which].traits,
            // NOLINTNEXTLINE(performance-unnecessary-value-param): the operations take it so.
            [this, which](soak_order order) { return run(which, order); }));
    }
}

soak_value soak_field::run(std::size_t which, const soak_order& order) {
    soak_count& count = counts_[which];
    const presence here(*this, count);
    const soak_kind& kind = kinds_[which];
    std::optional<turn> mine;
    if (!kind.line.empty()) {
        const bool by_key = kind.traits.sticky.uses_arguments();
        mine.emplace(lines_[line_of_[which] + (by_key ? order.key : 0)], order, faults_);
    }
    work(kind, order);
    if (this_token::attempt() <= failures_of(kind, order)) {
        count.thrown.fetch_add(1, std::memory_order_relaxed);
        throw soak_failure(order.fate);
    }
    count.returned.fetch_add(1, std::memory_order_relaxed);
    return {.value = value_of(order)};
}

void soak_field::work(const soak_kind& kind, const soak_order& order) {
    soak_random random(order.fate);
    const auto happens = [&random](std::uint32_t one_of) {
        return random.below(std::max(one_of, 1U)) == 0 && one_of != 0;
    };
    spin(random.below(most_spins));
    if (happens(kind.body.blocks)) blocking([] { std::this_thread::sleep_for(20us); });
    if (happens(kind.body.dawdles)) {
        const auto until = std::chrono::steady_clock::now() + longest_dawdle;
        const std::stop_token stop = this_token::stop_token();
        while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
            std::this_thread::yield();
        }
    }
    if (happens(kind.body.parents) && order.depth < most_depth) call_children(order, random);
}

void soak_field::call_children(const soak_order& order, soak_random& random) {
    struct child {
        std::size_t which;
        soak_order order;
        soak_token made;
    };
    std::vector<child> children;
    const auto order_child = [&]() -> soak_order {
        return {.key = static_cast<std::uint32_t>(random.below(soak_keys)),
                .depth = order.depth + 1,
                .fate = random.next()};
    };
    try {
        for (std::uint64_t i = random.below(4); i > 0; --i) {
            const std::size_t which = random.below(size());
            const soak_order next = order_child();
            if (random.one_in(4)) {
                operations_[which].post(next);
                counts_[which].accepted.fetch_add(1, std::memory_order_relaxed);
            } else if (random.one_in(8)) {
                std::vector<soak_order> orders(random.below(20), next);
                soak_bulk all;
                // What is thrown when a part has been admitted leaves open how many.
                counts_[which].unsure.fetch_add(orders.size(), std::memory_order_relaxed);
                all = operations_[which].bulk(orders);
                counts_[which].unsure.fetch_sub(orders.size(), std::memory_order_relaxed);
                counts_[which].accepted.fetch_add(orders.size(), std::memory_order_relaxed);
                if (random.one_in(2)) static_cast<void>(all.wait_for(100us));
            } else {
                children.push_back({which, next, operations_[which](next)});
                counts_[which].accepted.fetch_add(1, std::memory_order_relaxed);
            }
        }
    } catch (const runtime_stopped&) {
        // This token was killed by the deadline of a stop; nobody wants it any more.
    }
    for (child& each : children) {
        if (random.one_in(16)) each.made.kill("by its parent");
        if (random.one_in(4)) continue;  // dropped
        wait_for(each.made, random);
        if (each.made.done()) check(each.which, each.order, each.made);
    }
    if (random.one_in(16)) {
        soak_token other;
        {
            const std::scoped_lock guard(shown_lock_);
            other = shown_[random.below(shown_.size())];
        }
        if (other.valid()) wait_for(other, random);
    }
}

void soak_field::wait_for(const soak_token& other, soak_random& random) {
    try {
        switch (random.below(4)) {
            case 0: static_cast<void>(other.wait_for(std::chrono::microseconds(200))); break;
            case 1: {
                struct leave {
                    std::atomic<unsigned>& count;
                    // Relaxed: a number, which publishes nothing.
                    ~leave() { count.fetch_sub(1, std::memory_order_relaxed); }
                } const guard{isolated_};
                if (isolated_.fetch_add(1, std::memory_order_relaxed) < most_isolated_) {
                    other.wait(isolated);
                } else {
                    other.wait();
                }
                break;
            }
            default: other.wait(); break;
        }
    } catch (const deadlock&) {
        deadlocks_.fetch_add(1, std::memory_order_relaxed);
    }
}

unsigned soak_field::failures_of(const soak_kind& kind, const soak_order& order) const {
    if (kind.body.fails == 0) return 0;
    // Other bits than those that decide about the rest.
    soak_random random(~order.fate);
    if (!random.one_in(kind.body.fails)) return 0;
    return 1 + static_cast<unsigned>(random.below(kind.traits.retry.attempts));
}

bool soak_field::fails(const soak_kind& kind, const soak_order& order) const {
    const unsigned failures = failures_of(kind, order);
    const bool again = !kind.body.picky || soak_failure::is_passing(order.fate);
    return failures >= (again ? kind.traits.retry.attempts : 1);
}

bool soak_field::may_fail(const soak_kind& kind, const soak_order& order) const {
    if (fails(kind, order)) return true;
    // Nothing is tried again once the deadline of a stop has come.
    return failures_of(kind, order) > 0 && deadlines_.load(std::memory_order_relaxed);
}

void soak_field::check_value(const soak_order& order, const soak_value& value) {
    if (value.value != value_of(order)) faults_.wrong.fetch_add(1, std::memory_order_relaxed);
}

void soak_field::check(std::size_t which, const soak_order& order, const soak_token& ended) {
    const soak_kind& kind = kinds_[which];
    bool right = true;
    try {
        check_value(order, ended.get());
        right = !fails(kind, order);
    } catch (const soak_failure& failure) {
        right = failure.fate() == order.fate && may_fail(kind, order);
    } catch (const token_killed&) {
        right = ended.state() == token_state::killed;
    } catch (const token_timed_out&) {
        right = ended.state() == token_state::timed_out && may_time_out(kind);
    }
    if (!right) faults_.wrong.fetch_add(1, std::memory_order_relaxed);
}

void soak_field::check(std::size_t which, const std::vector<soak_order>& orders,
                       const soak_bulk& ended) {
    const soak_kind& kind = kinds_[which];
    std::uint64_t wrong = 0;
    std::size_t completed = 0;
    for (std::size_t i = 0; i < orders.size(); ++i) {
        const token_state state = ended.state(i);
        if (state == token_state::completed) ++completed;
        const bool right = state == token_state::killed ||
                           (state == token_state::timed_out && may_time_out(kind)) ||
                           (state == token_state::failed && may_fail(kind, orders[i])) ||
                           (state == token_state::completed && !fails(kind, orders[i]));
        if (!right) ++wrong;
    }
    if (completed == orders.size()) {
        try {
            const std::vector<soak_value> values = ended.get();
            for (std::size_t i = 0; i < values.size(); ++i) check_value(orders[i], values[i]);
        } catch (const token_killed&) {
            // Killed when all had just ended.
        }
    }
    for (const bulk_failure& each : ended.failures()) {
        if (!may_fail(kind, orders[each.index])) ++wrong;
    }
    faults_.wrong.fetch_add(wrong, std::memory_order_relaxed);
}

void soak_field::show(const soak_token& shown, soak_random& random) {
    soak_token before = shown;  // whose end is no business of the lock
    const std::scoped_lock guard(shown_lock_);
    std::swap(shown_[random.below(shown_.size())], before);
}

void soak_field::forget_shown() {
    const std::scoped_lock guard(shown_lock_);
    shown_ = {};
}

}  // namespace tokengate::app
