// SPDX-License-Identifier: Apache-2.0
// Supervised and paused tokens where they meet other things: destructors that kill, runtimes that
// end, waits without a stand-in, calls that come too late.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// An argument whose end does something.
class last_words {
  public:
    template <class Say>
    explicit last_words(Say say) : say_(std::make_shared<ending<Say>>(std::move(say))) {}

  private:
    template <class Say>
    struct ending {
        explicit ending(Say what) : say(std::move(what)) {}
        ending(const ending&) = delete;
        ending& operator=(const ending&) = delete;
        ~ending() { say(); }
        Say say;
    };
    std::shared_ptr<void> say_;
};

/// Once: a pass of this tier can run, that is, no permit is lost.
void check_permits(storage kind) {
    const storage_stats seen = stats_of(kind);
    CHECK(seen.executing == 0);
    CHECK(seen.waiting == 0);
}

}  // namespace

TEST_CASE("an_argument_that_dies_of_a_kill_may_kill_too") {
    runtime rt({.cores = 1});
    const retry_policy slowly{.attempts = 2, .initial_delay = 1h, .max_delay = 1h};
    const auto op = rt.operation("op", {.retry = slowly},
                                 [](const last_words&) { throw std::runtime_error("not yet"); });
    std::atomic<int> said{0};
    std::vector<token<void>> made;
    for (int i = 0; i < 5; ++i) {
        made.push_back(op(last_words([&] {
            ++said;
            op.cancel("from a destructor");
        })));
    }
    for (const auto& each : made) {
        REQUIRE(eventually([&] { return each.state() == token_state::waiting; }));
    }
    op.cancel();
    CHECK(said == 5);
    for (const auto& each : made) CHECK(each.state() == token_state::killed);
    settle_locality(rt);
}

TEST_CASE("a_supervised_call_that_a_stop_overtakes_is_refused_and_nothing_is_left") {
    runtime rt({.cores = 1});
    const auto op = rt.operation("op", {.queue_timeout = 1h, .retry = {.attempts = 2}},
                                 [](const std::shared_ptr<int>&) {});
    struct stops_it {
        runtime& rt;
        std::shared_ptr<int> inside;
        operator std::shared_ptr<int>() const {  // NOLINT(google-explicit-constructor)
            rt.stop();
            return inside;
        }
    };
    const auto shared = std::make_shared<int>(0);
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_AS(op(stops_it{.rt = rt, .inside = shared}), runtime_stopped);
        CHECK(shared.use_count() == 1);
        check_ledger(rt);
        rt.start();
        REQUIRE(ends(op(shared)));
    }
    settle_locality(rt);
}

TEST_CASE("a_runtime_that_has_stopped_takes_no_permits_from_others") {
    set_storage_limit(storage::slow, 1);
    for (const bool ends_too : {false, true}) {
        INFO("it ends: ", ends_too);
        runtime rt({.cores = 1});
        hold gate;
        const auto held = rt.operation("held", {.storage = storage::slow}, [&] { gate.pass(); });
        const auto op = rt.operation("op", {.storage = storage::slow}, [](int i) { return i; });
        const token<void> first = held();
        REQUIRE(gate.await(1));
        std::optional<runtime> other(config{.cores = 2});
        const auto waits = other->operation("waits", {.storage = storage::slow}, [] {});
        std::vector<token<void>> dead;
        for (int i = 0; i < 3; ++i) dead.push_back(waits());
        for (const auto& each : dead) {
            REQUIRE(eventually([&] { return each.state() == token_state::waiting; }));
            CHECK(each.kill());
        }
        other->stop();
        if (ends_too) other.reset();
        gate.release();
        for (int i = 0; i < 10; ++i) CHECK(result_of(op(i)) == i);
        REQUIRE(ends(first));
        settle_locality(rt);
        other.reset();
        check_permits(storage::slow);
    }
    set_storage_limit(storage::slow, most_at_once(storage::slow));
}

TEST_CASE("an_isolated_wait_runs_a_timed_token_itself_when_nobody_stands_in") {
    runtime rt({.cores = 1, .reserve_workers = 0});
    const auto timed = rt.operation("timed", {.run_timeout = 1h}, [](int i) { return i + 1; });
    const auto outer =
        rt.operation("outer", {.sticky = sticky::by_anchor("a", sticky::serial)}, [&] {
            const token<int> first = timed(1);
            const token<int> second = timed(2);
            return first.get() + second.get();
        });
    CHECK(result_of(outer()) == 5);
    settle_locality(rt);
}

TEST_CASE("tokens_that_back_off_are_as_many_as_the_limit_allows") {
    runtime rt({.cores = 1, .mailbox_capacity = 8, .in_flight_limit = 16});
    const retry_policy slowly{.attempts = 2, .initial_delay = 1h, .max_delay = 1h};
    const auto op =
        rt.operation("op", {.retry = slowly}, [] { throw std::runtime_error("not yet"); });
    int accepted = 0;
    for (int i = 0; i < 2000 && accepted <= 64; ++i) {
        if (op.try_call()) ++accepted;
        std::this_thread::sleep_for(20us);
    }
    CHECK(accepted <= 64);
    CHECK(accepted >= 16);
    // Others do not notice.
    CHECK(result_of(rt.operation("other", [] { return 7; })()) == 7);
    CHECK(op.cancel() == static_cast<std::size_t>(accepted));
    settle_locality(rt);
    CHECK(op.try_call());
    op.cancel();
    REQUIRE(eventually([&] { return op.cancel() == 1 || op.stats().counts.in_flight() == 0; }));
    settle_locality(rt);
}

TEST_CASE("a_runtime_that_was_out_of_time_looks_once_again_when_it_is_started_again") {
    runtime rt({.cores = 1});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto looks =
        rt.operation("looks", [] { return detail::worker::current()->owner().attention(); });
    CHECK_FALSE(result_of(looks()));
    const token<void> t = held();
    REQUIRE(gate.await(1));
    for (int i = 0; i < 2; ++i) {
        const token<void> waits = held();
        CHECK_FALSE(rt.stop(0ms).drained);
        gate.release();
        rt.stop();
        rt.start();
        CHECK_FALSE(result_of(looks()));
        if (i == 0) break;
    }
    settle_locality(rt);
}

TEST_CASE("a_callable_that_joins_another_one_of_its_tier_lends_its_permit") {
    set_storage_limit(storage::fast, 1);
    runtime rt({.cores = 2});
    hold gate;
    const auto leaf = rt.operation("leaf", {.storage = storage::fast}, [] { return 1; });
    const auto killed = rt.operation("killed", [&] {
        gate.pass();
        return leaf().get();
    });
    const token<int> t = killed();
    REQUIRE(gate.await(1));
    CHECK(t.kill());
    const auto joins = rt.operation("joins", {.storage = storage::fast}, [&] {
        gate.release();
        t.join();
        return 2;
    });
    CHECK(result_of(joins()) == 2);
    settle_locality(rt);
    set_storage_limit(storage::fast, most_at_once(storage::fast));
}

TEST_CASE("a_child_process_may_ask_whether_an_operation_is_paused_and_kill_supervised_tokens") {
    runtime rt({.cores = 1});
    hold gate;
    const auto held = rt.operation("held", [&] { gate.pass(); });
    const auto op = rt.operation("op", {.queue_timeout = 1h}, [] {});
    held();
    REQUIRE(gate.await(1));
    const token<void> t = op();
    std::atomic<bool> over{false};
    std::thread busy([&] {
        while (!over) {
            op.pause();
            op.cancel();
            op.resume();
            static_cast<void>(op.try_call());
        }
    });
    for (int i = 0; i < 20; ++i) {
        const std::string end = in_child([&] {
            static_cast<void>(op.paused());
            static_cast<void>(t.kill());
            return 0;
        });
        CHECK(end == "exit 0");
    }
    over = true;
    busy.join();
    gate.release();
    settle_locality(rt);
}

}  // namespace tokengate::test
