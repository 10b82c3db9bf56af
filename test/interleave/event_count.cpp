// SPDX-License-Identifier: Apache-2.0
// Sleeping until a condition holds (lib/sleep/README.md), under many schedules.
#include "sleep/event_count.hpp"

#include <array>
#include <cstddef>

#include <doctest/doctest.h>

#include "schedule.hpp"
#include "sleep/idle_set.hpp"
#include "sleep/turn.hpp"

namespace tokengate::test {
namespace {

using detail::atomic;
using detail::event_count;
using detail::idle_set;
using detail::turn;

/// Tokens that two threads make and two others take.
struct shop {
    event_count made;
    atomic<int> tokens{0};

    bool take() {
        int seen = tokens.load(std::memory_order_seq_cst);
        while (seen > 0) {
            if (tokens.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) {
                return true;
            }
        }
        return false;
    }
};

/// Consumers that announce themselves, look, and sleep.
struct announced_waits : shop {
    void threads(schedule& run) {
        for (int i = 0; i < 2; ++i) {
            run.thread([this] {
                for (int token = 0; token < 2; ++token) {
                    tokens.fetch_add(1, std::memory_order_release);
                    made.notify_one();
                }
            });
            run.thread([this] {
                for (int token = 0; token < 2; ++token) {
                    while (!take()) {
                        const auto ticket = made.prepare();
                        if (tokens.load(std::memory_order_seq_cst) > 0) {
                            made.cancel();
                        } else {
                            made.wait(ticket);
                        }
                    }
                }
            });
        }
    }
    void check() { must(!made.has_waiters() && tokens.load() == 0, "a wait is not over"); }
};

/// Consumers that spin on a ticket first, as workers do.
struct late_waits : shop {
    void threads(schedule& run) {
        for (int i = 0; i < 2; ++i) {
            run.thread([this] {
                tokens.fetch_add(1, std::memory_order_release);
                made.notify_all();
            });
            run.thread([this] {
                for (;;) {
                    const auto ticket = made.look();
                    if (take()) return;
                    if (!made.happened_since(ticket)) made.park(ticket);
                }
            });
        }
    }
    void check() { must(!made.has_waiters(), "a wait is not over"); }
};

/// A notifier that asks first whether anybody waits, after a read-modify-write.
struct asked_first : shop {
    void threads(schedule& run) {
        run.thread([this] {
            tokens.fetch_add(1, std::memory_order_seq_cst);
            if (made.has_waiters()) made.notify_all();
        });
        run.thread([this] {
            for (;;) {
                const auto ticket = made.prepare();
                if (take()) {
                    made.cancel();
                    return;
                }
                made.wait(ticket);
            }
        });
    }
    void check() { must(!made.has_waiters(), "a wait is not over"); }
};

/// Waits with deadlines, which may pass at any time.
struct timed_waits : shop {
    void threads(schedule& run) {
        run.thread([this] {
            tokens.fetch_add(1, std::memory_order_seq_cst);
            made.notify_one();
        });
        run.thread([this] {
            while (!take()) {
                const auto ticket = made.prepare();
                const bool in_time = made.wait(ticket, detail::steady_now() + 50);
                must(in_time || !made.happened_since(ticket) || tokens.load() >= 0,
                     "an event counts even if the deadline has passed");
            }
        });
    }
    void check() { must(!made.has_waiters(), "a wait is not over"); }
};

/// A submitter that wakes one idle worker for each token, and workers that sleep in between. Who
/// runs the first token comes back only when the others have ended: a wake-up that was meant for
/// them must not be kept.
struct idle_workers {
    static constexpr std::size_t workers = 2;
    static constexpr int tokens = 3;
    idle_set idle{workers};
    std::array<event_count, workers> wake;
    event_count ended;
    atomic<int> queued{0};
    atomic<int> begun{0};
    atomic<int> done{0};

    bool take() {
        int seen = queued.load(std::memory_order_acquire);
        while (seen > 0) {
            if (queued.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel)) {
                return true;
            }
        }
        return false;
    }
    void notify() {
        if (const auto chosen = idle.claim(0, workers)) wake[*chosen].notify_one();
    }
    void run_token() {
        if (begun.fetch_add(1) == 0) {
            while (done.load() < tokens - 1) {
                const auto ticket = ended.prepare();
                if (done.load() == tokens - 1) {
                    ended.cancel();
                } else {
                    ended.wait(ticket);
                }
            }
        }
        if (done.fetch_add(1) + 1 == tokens) {
            for (event_count& each : wake) each.notify_all();
        }
        ended.notify_all();
    }
    void work(std::size_t self) {
        while (done.load() < tokens) {
            if (take()) {
                run_token();
                continue;
            }
            const auto ticket = wake[self].look();
            idle.announce(self);
            if (queued.load(std::memory_order_seq_cst) > 0 || done.load() == tokens) {
                // Who has claimed this worker meant it for a token that somebody must look for.
                if (!idle.withdraw(self)) notify();
                continue;
            }
            wake[self].park(ticket);
            static_cast<void>(idle.withdraw(self));
        }
    }
    void threads(schedule& run) {
        for (std::size_t i = 0; i < workers; ++i) run.thread([this, i] { work(i); });
        run.thread([this] {
            for (int i = 0; i < tokens; ++i) {
                queued.fetch_add(1, std::memory_order_seq_cst);
                if (idle.holds_any({})) notify();
            }
        });
    }
    void check() { must(done.load() == tokens && queued.load() == 0, "a token was lost"); }
};

/// A lock that can be waited for.
struct turns {
    turn lock;
    int inside = 0;
    int passed = 0;

    void threads(schedule& run) {
        for (int i = 0; i < 3; ++i) {
            run.thread([this] {
                const detail::turn_guard guard(lock);
                must(++inside == 1, "two hold the lock");
                pause();
                --inside;
                ++passed;
            });
        }
    }
    void check() { must(passed == 3, "somebody did not get the lock"); }
};

}  // namespace

TEST_CASE("no_event_is_slept_through") { explore<announced_waits>(); }

TEST_CASE("who_spins_first_sleeps_through_no_event") { explore<late_waits>(); }

TEST_CASE("who_asks_for_waiters_after_a_read_modify_write_misses_none") { explore<asked_first>(); }

TEST_CASE("a_deadline_ends_a_wait_and_loses_no_event") { explore<timed_waits>(); }

TEST_CASE("a_token_does_not_wait_while_a_worker_sleeps") { explore<idle_workers>(); }

TEST_CASE("one_at_a_time_holds_a_turn") { explore<turns>(); }

}  // namespace tokengate::test
