// SPDX-License-Identifier: Apache-2.0
// Retries: the same token tries again, in its place, interleaved with fresh ones.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "random.hpp"
#include "scale.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

}  // namespace

TEST_CASE("a_token_that_fails_tries_again_and_stays_the_same_token") {
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        std::atomic<int> calls{0};
        const auto op = rt.operation("op", {.retry = {.attempts = 4}}, [&](std::string text) {
            if (++calls % 4 != 0) throw std::runtime_error(text);
            text += "!";  // a copy of its own
            return text;
        });
        for (int i = 0; i < 20; ++i) {
            const token<std::string> t = op("hello");
            const std::uint64_t id = t.id();
            CHECK(result_of(t) == "hello!");
            CHECK(t.id() == id);
            CHECK(t.attempts() == 4);
        }
        settle_locality(rt);
        CHECK(calls == 80);
        CHECK(op.stats().counts.accepted == 20);
        CHECK(op.stats().counts.completed == 20);
        CHECK(op.stats().counts.failed == 0);
        CHECK(op.stats().retries == 60);
        CHECK(op.stats().executions == 80);
    }
}

TEST_CASE("the_last_attempt_fails_the_token_with_its_own_exception") {
    runtime rt({.cores = 2});
    std::atomic<int> calls{0};
    const auto op = rt.operation("op", {.retry = {.attempts = 3}}, [&](int) -> int {
        throw std::runtime_error("attempt " + std::to_string(++calls));
    });
    const token<int> t = op(1);
    REQUIRE(ends(t));
    CHECK_THROWS_WITH_AS(demand(t), "attempt 3", std::runtime_error);
    CHECK(t.attempts() == 3);
    // By default there is one.
    const auto once = rt.operation("once", [&]() -> int { throw std::runtime_error("once"); });
    const token<int> u = once();
    REQUIRE(ends(u));
    CHECK(u.attempts() == 1);
    settle_locality(rt);
    CHECK(calls == 3);
}

TEST_CASE("only_exceptions_that_the_predicate_names_are_retried") {
    runtime rt({.cores = 2});
    std::atomic<int> calls{0};
    const retry_policy policy{.attempts = 5,
                              .when =
                                  [](const std::exception_ptr& error) {
                                      try {
                                          std::rethrow_exception(error);
                                      } catch (const std::logic_error&) {
                                          return false;
                                      } catch (const std::bad_alloc&) {
                                          throw;  // cannot say
                                      } catch (...) {
                                          return true;
                                      }
                                  },
                              .idempotent = false};
    const auto op = rt.operation("op", {.retry = policy}, [&](int how) -> int {
        ++calls;
        if (how == 0) throw std::logic_error("no");
        if (how == 1) throw std::bad_alloc();
        throw 7;
    });
    for (const int expected : {1, 1, 5}) {
        const int how = expected == 5 ? 2 : calls == 0 ? 0 : 1;
        const int before = calls;
        const token<int> t = op(how);
        REQUIRE(ends(t));
        CHECK(t.state() == token_state::failed);
        CHECK(calls - before == expected);
    }
    settle_locality(rt);
    CHECK_THROWS_AS(static_cast<void>(rt.operation(
                        "harm", {.retry = {.attempts = 2, .idempotent = false}}, [] {})),
                    operation_error);
}

TEST_CASE("a_retried_token_keeps_its_place_its_key_its_turn_and_its_chain") {
    for (const int cores : {1, 2, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores});
        const retry_policy policy{.attempts = 3, .initial_delay = 100us, .jitter = 0.5};
        std::mutex lock;
        std::set<unsigned> seen;
        std::vector<int> order;
        std::atomic<int> together{0};
        std::atomic<int> inside{0};
        const auto fail_twice = [] {
            if (this_token::attempt() < 3) throw std::runtime_error("not yet");
        };
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_anchor("k"), .retry = policy},
                         [&](int) { fail_twice(); });
        std::vector<token<void>> made;
        for (int i = 0; i < 30; ++i) {
            made.push_back(keyed(i));
            const std::scoped_lock guard(lock);
            seen.insert(made.back().domain());
        }
        for (const auto& each : made) REQUIRE(ends(each));
        CHECK(seen.size() == 1);
        const auto turns = rt.operation(
            "turns", {.sticky = sticky::by_anchor("s", sticky::serial), .retry = policy},
            [&](int i) {
                if (++inside != 1) ++together;
                const bool fails = this_token::attempt() < 3;
                if (!fails) order.push_back(i);
                --inside;
                if (fails) throw std::runtime_error("not yet");
            });
        for (int i = 0; i < 20; ++i) turns(i);
        REQUIRE(rt.wait_idle_for(hang_limit));
        CHECK(together == 0);
        REQUIRE(order.size() == 20);
        for (int i = 0; i < 20; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
        std::atomic<int> children{0};
        std::atomic<int> leads{0};
        const auto child = rt.operation("child", {.retry = policy}, [&] {
            ++children;
            fail_twice();
        });
        const auto lead = rt.operation("lead", {.external_calls = {"child"}, .retry = policy}, [&] {
            ++leads;
            child();
            fail_twice();
        });
        for (int i = 0; i < 10; ++i) lead();
        settle_locality(rt);
        CHECK(leads == 30);
        CHECK(children == 3 * 30);
        CHECK(rt.stats().total().failed == 0);
    }
}

TEST_CASE("a_token_that_backs_off_can_be_killed_and_is_gone_at_once") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        const auto shared = std::make_shared<int>(0);
        const retry_policy slowly{.attempts = 2, .initial_delay = 1h, .max_delay = 1h};
        const auto op = rt.operation(
            "op", {.retry = slowly},
            [](const std::shared_ptr<int>&) -> int { throw std::runtime_error("not yet"); });
        const auto turns = rt.operation(
            "turns", {.sticky = sticky::by_anchor("s", sticky::serial), .retry = slowly},
            [](const std::shared_ptr<int>&) -> int { throw std::runtime_error("not yet"); });
        for (const auto& which : {op, turns}) {
            const token<int> t = which(shared);
            REQUIRE(
                eventually([&] { return t.attempts() == 1 && t.state() == token_state::waiting; }));
            CHECK(t.kill("too slow"));
            CHECK(shared.use_count() == 1);
            CHECK_THROWS_AS(demand(t), token_killed);
        }
        const token<int> u = op(shared);
        REQUIRE(eventually([&] { return u.state() == token_state::waiting; }));
        CHECK(op.cancel("all of them") == 1);
        CHECK(u.state() == token_state::killed);
        settle_locality(rt);
        // A stop with a deadline does not wait for it, either.
        const token<int> v = turns(shared);
        REQUIRE(eventually([&] { return v.attempts() == 1; }));
        CHECK_FALSE(rt.stop(0ms).drained);
        CHECK(is_terminal(v.state()));
        check_ledger(rt);
        CHECK(shared.use_count() == 1);
    }
}

TEST_CASE("tokens_that_are_killed_while_they_back_off_give_their_memory_back") {
    runtime rt({.cores = 2});
    const auto op = rt.operation(
        "op", {.retry = {.attempts = 2, .initial_delay = 1h, .max_delay = 1h}},
        [](const std::array<char, 500>&) -> int { throw std::runtime_error("not yet"); });
    const std::array<char, 500> large{};
    std::size_t before = 0;
    for (int round = 0; round < 40; ++round) {
        std::vector<token<int>> made;
        for (int i = 0; i < 500; ++i) made.push_back(op(large));
        for (const token<int>& each : made) {
            REQUIRE(eventually([&] { return each.state() == token_state::waiting; }));
            CHECK(each.kill());
        }
        made.clear();
        settle_locality(rt);
        if (round == 4) before = detail::usage_of_pool().slab_bytes;
    }
    // 17,500 of them since, of half a KiB and more.
    CHECK(detail::usage_of_pool().slab_bytes <= before + (std::size_t{2} << 20U));
}

TEST_CASE("at_most_one_retry_after_every_retry_stride_fresh_tokens_and_neither_starves") {
    for (const int stride : {1, 4, 7}) {
        INFO("stride ", stride);
        runtime rt({.cores = 1, .retry_stride = stride});
        hold gate;
        std::vector<bool> ran;  // by the one worker: was it a retry?
        const auto held = rt.operation("held", [&] { gate.pass(); });
        const auto fresh = rt.operation("fresh", [&] { ran.push_back(false); });
        const auto again = rt.operation("again", {.retry = {.attempts = 2}}, [&] {
            ran.push_back(this_token::attempt() == 2);
            if (this_token::attempt() == 1) throw std::runtime_error("not yet");
        });
        held();
        REQUIRE(gate.await(1));
        for (int i = 0; i < 20; ++i) again();
        for (int i = 0; i < 300; ++i) fresh();
        gate.release();
        settle_locality(rt);
        REQUIRE(ran.size() == 340);
        const auto last_fresh = static_cast<std::size_t>(
            std::find(ran.rbegin(), ran.rend(), false).base() - ran.begin());
        std::size_t since = 0;
        std::size_t retries = 0;
        for (std::size_t i = 0; i < last_fresh; ++i) {
            if (!ran[i]) {
                // Neither do retries starve, as long as there are any.
                if (retries < 20 && i > 0) CHECK(++since <= static_cast<std::size_t>(stride) + 1);
                continue;
            }
            if (retries > 0) CHECK(since >= static_cast<std::size_t>(stride));
            ++retries;
            since = 0;
        }
        CHECK(retries == 20);
    }
}

TEST_CASE("a_wait_for_a_retried_token_ends_also_where_nobody_can_stand_in") {
    for (const int reserves : {0, 1}) {
        for (const bool serial : {false, true}) {
            INFO(reserves, " reserves, serial ", serial);
            runtime rt({.cores = 1, .reserve_workers = reserves});
            const auto child = rt.operation("child", {.retry = {.attempts = 3}}, [](int i) {
                if (this_token::attempt() < 3) throw std::runtime_error("not yet");
                return i;
            });
            operation_traits traits;
            if (serial) {
                traits.sticky = sticky::by_anchor("a", sticky::serial);
            } else {
                traits.external_calls = {"child"};
            }
            const auto outer = rt.operation("outer", traits, [&] {
                const auto a = child(1);
                const auto b = child(2);
                return a.get(isolated) + b.get(isolated);
            });
            for (int i = 0; i < 10; ++i) CHECK(result_of(outer()) == 3);
            settle_locality(rt);
        }
    }
}

TEST_CASE("an_operation_whose_arguments_cannot_be_copied_has_no_retries") {
    runtime rt({.cores = 1});
    const auto declare = [&](unsigned attempts) {
        static_cast<void>(rt.operation("op " + std::to_string(attempts),
                                       {.retry = {.attempts = attempts}},
                                       [](std::unique_ptr<int>) {}));
    };
    declare(1);
    CHECK_THROWS_AS(declare(2), operation_error);
    CHECK_THROWS_AS(declare(0), operation_error);
}

TEST_CASE("a_token_that_was_begun_without_its_entry_tries_again_wherever_that_is_meanwhile") {
    // Nobody stands in for those who wait, so that they begin what they wait for where it is.
    for (const std::chrono::nanoseconds delay : {0ns, 1000ns}) {
        runtime rt({.cores = 4, .reserve_workers = 0});
        const auto again = rt.operation("again",
                                        {.weight = weight::heavy,
                                         .placement = placement::staggered,
                                         .retry = {.attempts = 4, .initial_delay = delay}},
                                        [](int i) {
                                            if (this_token::attempt() < 4)
                                                throw std::runtime_error("not yet");
                                            return i;
                                        });
        const auto waits = rt.operation(
            "waits", {.weight = weight::heavy, .placement = placement::staggered}, [&] {
                int sum = 0;
                for (int i = 0; i < 200; ++i) sum += again(i).get(isolated);
                return sum;
            });
        for (std::size_t round = 0; round < scaled(10); ++round) {
            std::vector<token<int>> made;
            for (int i = 0; i < 8; ++i) made.push_back(waits());
            for (const auto& each : made) CHECK(result_of(each) == 199 * 100);
        }
        settle_locality(rt);
        CHECK(again.stats().counts.completed == again.stats().counts.accepted);
    }
}

TEST_CASE("retries_and_kills_and_timeouts_at_random_leave_the_books_balanced") {
    seeded random;
    for (const int cores : {1, 2, 4, 8}) {
        INFO(cores, " domains");
        runtime rt({.cores = cores, .mailbox_capacity = 64, .in_flight_limit = 256});
        const retry_policy policy{.attempts = 3, .initial_delay = 50us, .jitter = 1};
        const auto body = [](std::uint64_t i) {
            if ((i + this_token::attempt()) % 3 != 0) throw std::runtime_error("not yet");
        };
        std::vector<operation<void(std::uint64_t)>> ops;
        ops.push_back(rt.operation("free", {.retry = policy}, body));
        ops.push_back(rt.operation(
            "late", {.queue_timeout = 300us, .run_timeout = 1s, .retry = policy}, body));
        ops.push_back(rt.operation(
            "keyed", {.sticky = sticky::by_arguments(), .queue_timeout = 1ms, .retry = policy},
            body));
        ops.push_back(rt.operation("serial",
                                   {.sticky = sticky::by_anchor("s", sticky::serial),
                                    .queue_timeout = 2ms,
                                    .retry = {.attempts = 2}},
                                   body));
        ops.push_back(rt.operation("stored", {.retry = policy, .storage = storage::slow}, body));
        std::vector<token<void>> kept;
        for (std::size_t i = 0; i < scaled(5000); ++i) {
            const auto& op = ops[random.below(ops.size())];
            switch (random.below(8)) {
                case 0: op.post(i); break;
                case 1:
                    if (random.one_in(20)) op.cancel();
                    break;
                case 2:
                    if (random.one_in(20)) op.kill("at random");
                    break;
                case 3:
                    if (random.one_in(10)) {
                        op.pause();
                        static_cast<void>(op.try_call(i));
                        op.resume();
                    }
                    break;
                default: kept.push_back(op(i)); break;
            }
            if (kept.size() > 50) {
                static_cast<void>(kept[random.below(kept.size())].kill());
                kept.clear();
            }
        }
        settle_locality(rt);
    }
}

}  // namespace tokengate::test
