// SPDX-License-Identifier: Apache-2.0
// Orchestrators that go on in the domain of a token.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "locality.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

// Where a coroutine is.
struct spot {
    std::thread::id thread = std::this_thread::get_id();
    std::optional<unsigned> domain;  // none: on no worker

    static spot current() {
        spot seen;
        if (detail::worker::current() != nullptr) seen.domain = here();
        return seen;
    }
};

std::uint64_t visits_of(const runtime& rt) {
    for (const operation_stats& each : rt.stats().operations) {
        if (each.name == "resume_in_domain (medium)") return each.counts.accepted;
    }
    return 0;
}

}  // namespace

TEST_CASE("an_orchestrator_goes_on_in_the_domain_of_a_token_on_request") {
    for_each_shape([](const config& shape) {
        runtime rt(shape);
        const std::thread::id self = std::this_thread::get_id();
        for (const weight each : {weight::heavy, weight::medium, weight::light}) {
            const auto sticky = rt.operation("sticky " + std::string(to_string(each)),
                                             {.weight = each, .sticky = sticky::by_arguments()},
                                             [](int) { return here(); });
            const auto free = rt.operation("free " + std::string(to_string(each)), {.weight = each},
                                           [](int) { return here(); });
            const int wrong = sync_wait([](const auto& ops, std::thread::id home) -> task<int> {
                int errors = 0;
                for (int i = 0; i < 50; ++i) {
                    const auto& op = i % 2 == 0 ? *ops.first : *ops.second;
                    const unsigned ran = co_await resume_in_domain(op(i));
                    if (spot::current().domain != ran) ++errors;
                    if (this_token::domain() != ran) ++errors;
                    const token<unsigned> kept = op(i);
                    const unsigned& again = co_await resume_in_domain(kept);
                    if (spot::current().domain != again) ++errors;
                    if (again != kept.get()) ++errors;
                    // Back again, whether or not it has to wait.
                    if (i % 3 == 0) {
                        static_cast<void>(co_await kept);
                    } else if (i % 3 == 1) {
                        static_cast<void>(co_await gather(kept, kept));
                    } else {
                        static_cast<void>(co_await op(i));
                    }
                    if (spot::current().thread != home) ++errors;
                }
                co_return errors;
            }(std::pair(&sticky, &free), self));
            CHECK(wrong == 0);
        }
        settle_locality(rt);
    });
}

TEST_CASE("what_an_orchestrator_creates_there_is_created_in_a_token") {
    runtime rt({.cores = 4});
    const auto number = rt.operation("number", [](int value) { return value; });
    const int sum = sync_wait([](const auto& op) -> task<int> {
        int all = co_await resume_in_domain(op(1));
        token<int> next = op(2);
        all += next.get();
        all += co_await resume_in_domain(std::move(next));
        co_return all;
    }(number));
    CHECK(sum == 5);
    settle_locality(rt);
    CHECK(visits_of(rt) == 2);
}

TEST_CASE("an_orchestrator_may_end_where_it_went_on") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        const auto box =
            rt.operation("box", [](int value) { return std::make_unique<int>(value); });
        const auto nothing = rt.operation("nothing", [] {});
        const auto inner = [](const auto& op, int value) -> task<std::unique_ptr<int>> {
            co_return co_await resume_in_domain(op(value));
        };
        const auto outer = [&](int value) -> task<int> {
            const std::unique_ptr<int> got = co_await inner(box, value);
            if (!spot::current().domain) throw std::logic_error("it has left the domain");
            co_await resume_in_domain(nothing());
            co_return *got;
        };
        for (std::size_t i = 0; i < scaled(500); ++i) {
            const int value = static_cast<int>(i);
            CHECK(sync_wait(outer(value)) == value);
        }
        // From a token, too.
        const auto asks = rt.operation("asks", [&](int value) { return sync_wait(outer(value)); });
        std::vector<token<int>> all;
        for (int i = 0; i < 20; ++i) all.push_back(asks(i));
        for (int i = 0; i < 20; ++i) CHECK(result_of(all[static_cast<std::size_t>(i)]) == i);
        settle_locality(rt);
    }
}

TEST_CASE("without_a_result_it_goes_on_on_the_thread_that_waits_for_it") {
    runtime rt({.cores = 2});
    hold gate;
    const auto broken = rt.operation("broken", []() -> int { throw std::runtime_error("broken"); });
    const auto slow = rt.operation("slow", {.queue_timeout = 1h}, [&] { gate.pass(); });
    const auto where = [](auto awaited) -> task<spot> {
        try {
            static_cast<void>(co_await resume_in_domain(awaited));
        } catch (const empty_token&) {
            throw;
        } catch (const std::runtime_error&) {
            co_return spot::current();
        }
        throw std::logic_error("it has a result");
    };
    CHECK(sync_wait(where(broken())).thread == std::this_thread::get_id());
    const token<void> killed = slow();
    REQUIRE(gate.await(1));
    CHECK(killed.kill());
    CHECK(sync_wait(where(killed)).thread == std::this_thread::get_id());
    gate.release();
    CHECK_THROWS_AS(sync_wait(where(token<int>())), empty_token);
    settle_locality(rt);
}

TEST_CASE("a_visit_that_is_killed_does_not_end_its_orchestrator") {
    // While it waits for its turn: somebody occupies the domain.
    {
        hold gate;
        runtime rt({.cores = 1});
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto occupy = rt.operation("occupy", [&] { gate.pass(); });
        const token<int> done = number(7);
        REQUIRE(ends(done));
        const token<void> before = occupy();
        REQUIRE(gate.await(1));
        std::thread killer([&] {
            if (eventually([&] { return visits_of(rt) == 1; })) rt.kill("enough");
            gate.release();
        });
        const spot seen = sync_wait([](const auto& awaited) -> task<spot> {
            const int got = co_await resume_in_domain(awaited);
            if (got != 7) throw std::logic_error("another result");
            co_return spot::current();
        }(done));
        killer.join();
        CHECK(seen.thread == std::this_thread::get_id());
        settle_locality(rt);
    }
    // While it executes: what has begun goes on there.
    {
        hold gate;
        runtime rt({.cores = 2});
        const auto number = rt.operation("number", [](int value) { return value; });
        std::thread killer([&] {
            if (gate.await(1)) rt.kill("enough");
            gate.release();
        });
        const bool stayed = sync_wait([&](const auto& op) -> task<bool> {
            static_cast<void>(co_await resume_in_domain(op(1)));
            gate.pass();
            const bool still = spot::current().domain.has_value();
            const int after = co_await op(2);
            co_return still&& after == 2 && !spot::current().domain;
        }(number));
        CHECK(stayed);
        killer.join();
        settle_locality(rt);
    }
}

TEST_CASE("results_are_moved_out_of_tokens_that_only_a_coroutine_holds") {
    runtime rt({.cores = 4, .workers_per_core = 2});
    const auto box = rt.operation("box", [](int value) { return std::make_unique<int>(value); });
    const auto by_visit = [](const auto& op, int k) -> task<bool> {
        token<std::unique_ptr<int>> made = op(k);
        if (k % 2 == 0) made.wait();
        const std::unique_ptr<int> got = co_await resume_in_domain(std::move(made));
        co_return *got == k;
    };
    const auto by_gather = [](const auto& op, int k) -> task<bool> {
        const auto [a, b] = co_await gather(op(k), op(k));
        co_return *a == k&&* b == k;
    };
    const auto one_by_one = [](const auto& op, int k) -> task<bool> {
        std::vector<token<std::unique_ptr<int>>> made;
        for (int i = 0; i < 3; ++i) made.push_back(op(k));
        auto done = as_completed(std::move(made));
        while (auto next = co_await done.next()) {
            if (*std::move(*next).get() != k) co_return false;
        }
        co_return true;
    };
    const int rounds = static_cast<int>(scaled(5000));
    // On a worker, too.
    const auto inside = rt.operation("inside", [&](int k) {
        return sync_wait(by_visit(box, k)) && sync_wait(by_gather(box, k)) &&
               sync_wait(one_by_one(box, k));
    });
    std::vector<token<bool>> all;
    for (int i = 0; i < rounds; ++i) all.push_back(inside(i));
    for (const auto& each : all) REQUIRE(result_of(each));
    for (int i = 0; i < rounds; ++i) {
        REQUIRE(sync_wait(by_visit(box, i)));
        REQUIRE(sync_wait(by_gather(box, i)));
        REQUIRE(sync_wait(one_by_one(box, i)));
    }
    // After them, too.
    const auto take = rt.operation(
        "take", [](token<std::unique_ptr<int>>* from) { return *std::move(*from).get(); });
    for (int i = 0; i < rounds; ++i) {
        token<std::unique_ptr<int>> made = box(i);
        REQUIRE(result_of(rt.after(made).call(take, &made)) == i);
    }
    settle_locality(rt);
}

TEST_CASE("an_orchestrator_that_is_away_comes_back_for_queues") {
    for (const int cores : {1, 2, 8}) {
        runtime rt({.cores = cores});
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto away = [](const auto& op, int k) -> task<bool> {
            const std::thread::id home = std::this_thread::get_id();
            static_cast<void>(co_await resume_in_domain(op(k)));
            const auto [a, b] = co_await gather(op(k), op(k + 1));
            const bool back = std::this_thread::get_id() == home;
            static_cast<void>(co_await resume_in_domain(op(k)));
            co_return back&& co_await when_any(op(a), op(b)) < 2;
        };
        for (int i = 0; i < static_cast<int>(scaled(3000)); ++i)
            REQUIRE(sync_wait(away(number, i)));
        settle_locality(rt);
    }
}

TEST_CASE("the_callable_of_an_operation_does_not_leave_its_domain") {
    for (const int cores : {2, 8}) {
        runtime rt({.cores = cores});
        const auto number = rt.operation("number", [](int value) { return value; });
        const auto stays = rt.operation("stays", [&](int count) -> task<bool> {
            const unsigned home = here();
            bool same = true;
            for (int i = 0; i < count; ++i) {
                same = same && co_await resume_in_domain(number(i)) == i && here() == home;
            }
            co_return same;
        });
        std::vector<token<bool>> all;
        for (int i = 0; i < 50; ++i) all.push_back(stays(i));
        for (const auto& each : all) CHECK(result_of(each));
        settle_locality(rt);
    }
}

TEST_CASE("a_visit_of_a_runtime_that_has_stopped_or_is_gone_is_refused") {
    const auto visit = [](const auto& awaited) -> task<int> {
        co_return co_await resume_in_domain(awaited);
    };
    token<int> left;
    {
        runtime rt({.cores = 2});
        const auto number = rt.operation("number", [](int value) { return value; });
        left = number(3);
        REQUIRE(ends(left));
        rt.stop();
        CHECK_THROWS_AS(sync_wait(visit(left)), runtime_stopped);
        check_ledger(rt);
    }
    const auto refused = [&] {
        try {
            static_cast<void>(sync_wait(visit(left)));
            FAIL("it has gone to a domain that is no more");
        } catch (const runtime_stopped& why) {
            CHECK(std::string(why.what()).find("'number', whose runtime is gone") !=
                  std::string::npos);
        }
    };
    refused();
    // Others may have its address.
    for (int i = 0; i < 20; ++i) {
        runtime other({.cores = 1});
        refused();
    }
    CHECK(sync_wait([](const auto& awaited) -> task<int> { co_return co_await awaited; }(left)) ==
          3);
}

TEST_CASE("a_runtime_may_end_as_soon_as_a_token_has_that_awaited_one_of_another_runtime") {
    // Whoever ends that one lets the other go on, or finds it killed, and is not to touch anything
    // of its runtime afterwards.
    runtime others({.cores = 1});
    std::atomic<bool> go{false};
    const auto source = others.operation("source", [&] {
        while (!go) std::this_thread::yield();
        return 1;
    });
    for (std::size_t round = 0; round < scaled_starts(100); ++round) {
        const bool killed = round % 2 == 1;
        go = false;
        const token<int> awaited = source();
        token<int> left;
        {
            runtime rt({.cores = 1});
            const auto waits = rt.operation(
                "waits", [](token<int> first) -> task<int> { co_return co_await first; });
            left = waits(awaited);
            REQUIRE(eventually([&] { return left.state() == token_state::waiting; }));
            go = true;
            if (killed) static_cast<void>(left.kill());
            left.wait();
        }
        REQUIRE(ends(awaited));
        if (!killed) CHECK(left.get() == 1);
    }
    settle_locality(others);
}

TEST_CASE("visits_race_with_a_stop_that_kills") {
    for (std::size_t round = 0; round < scaled_starts(100); ++round) {
        runtime rt({.cores = 2});
        const auto number = rt.operation("number", [](int value) { return value; });
        std::atomic<int> begun{0};
        std::vector<std::thread> threads;
        for (int each = 0; each < 2; ++each) {
            threads.emplace_back([&] {
                try {
                    sync_wait([&](const auto& op) -> task<> {
                        for (int i = 0;; ++i) {
                            ++begun;
                            static_cast<void>(co_await resume_in_domain(op(i)));
                        }
                    }(number));
                } catch (const runtime_stopped&) {
                } catch (const token_killed&) {}
            });
        }
        while (begun < 20) std::this_thread::yield();
        static_cast<void>(rt.stop(0ms));
        for (std::thread& each : threads) each.join();
        check_ledger(rt);
    }
}

}  // namespace tokengate::test
