// SPDX-License-Identifier: Apache-2.0
// Callbacks of stop tokens run where somebody kills, times out or stops, and with nothing locked.
#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "hold.hpp"
#include "ledger.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// A runtime with an operation whose callback does all that a callback may do: it calls, kills,
/// holds keys, declares and asks.
class busy_callbacks {
  public:
    explicit busy_callbacks(std::chrono::nanoseconds run_timeout = {})
        : with_callback_(rt.operation(
              "with callback", {.external_calls = {"work"}, .run_timeout = run_timeout},
              [this](const std::stop_token& stop) { wait_for_stop(stop); })) {}

    /// A token that runs until it is told to stop.
    [[nodiscard]] token<void> begin() {
        token<void> made = with_callback_();
        REQUIRE(running_.await(1));
        running_.release();
        return made;
    }

    /// Another one, which the callback kills.
    [[nodiscard]] token<void> begin_victim() {
        victim_ = rt.operation("victim", [this](const std::stop_token& stop) {
            victim_runs_ = true;
            while (!stop.stop_requested()) std::this_thread::yield();
        })();
        REQUIRE(eventually([&] { return victim_runs_.load(); }));
        return *victim_;
    }

    /// Waits for the callback, and checks what it was told.
    void check(bool stopping) {
        REQUIRE(eventually([&] { return returned_.load(); }));
        CHECK(asked_);
        CHECK(declared_);
        CHECK(called_ == !stopping);
        CHECK(refused_ == stopping);
        if (victim_) CHECK(victim_->state() == token_state::killed);
    }

  private:
    void wait_for_stop(const std::stop_token& stop) {
        // Alive until it was called: callbacks that are gone by then are not.
        const std::stop_callback on_stop(stop, [this] { act(); });
        running_.pass();
        while (!returned_) std::this_thread::yield();
    }

    void act() noexcept {
        try {
            if (victim_) victim_->kill("by a callback");
            asked_ = rt.stats().total().accepted > 0 && !rt.open_chains().empty();
            declared_ = rt.operation("declared", [] {}).name() == "declared";
            work_.post(1);
            static_cast<void>(work_.hold(2));
            static_cast<void>(work_.try_call(3));
            called_ = true;
        } catch (const runtime_stopped&) {
            refused_ = true;
        } catch (...) {
            called_ = false;
        }
        returned_ = true;
    }

    hold running_;
    std::atomic<bool> victim_runs_{false};
    std::atomic<bool> asked_{false};
    std::atomic<bool> declared_{false};
    std::atomic<bool> called_{false};
    std::atomic<bool> refused_{false};
    std::atomic<bool> returned_{false};

  public:
    runtime rt{{.cores = 2, .workers_per_core = 2, .sticky_slots = 64}};

  private:
    operation<void(int)> work_ =
        rt.operation("work", {.sticky = sticky::by_arguments(sticky::serial)}, [](int) {});
    operation<void()> with_callback_;
    std::optional<token<void>> victim_;
};

}  // namespace

TEST_CASE("a_callback_of_a_kill_may_call_kill_and_ask") {
    for (const bool with_reason : {false, true}) {
        busy_callbacks all;
        const token<void> victim = all.begin_victim();
        const token<void> t = all.begin();
        CHECK((with_reason ? t.kill("a reason") : t.kill()));
        all.check(false);
        t.join();
        victim.join();
        settle_locality(all.rt);
        CHECK(all.rt.stats().total().killed == 2);
        try {
            demand(victim);
            FAIL_CHECK("it was killed");
        } catch (const token_killed& killed) {
            CHECK(killed.reason() == "by a callback");
        }
    }
}

TEST_CASE("a_callback_of_a_kill_by_another_token_may_call_kill_and_ask") {
    busy_callbacks all;
    const token<void> victim = all.begin_victim();
    const token<void> t = all.begin();
    const auto kills = all.rt.operation("kills", {.weight = weight::heavy}, [&] { t.kill(); });
    const token<void> killer = kills();
    REQUIRE(ends(killer));
    all.check(false);
    t.join();
    victim.join();
    settle_locality(all.rt);
}

TEST_CASE("a_callback_of_a_run_timeout_may_call_kill_and_ask") {
    busy_callbacks all(1ms);
    const token<void> victim = all.begin_victim();
    const token<void> t = all.begin();
    all.check(false);
    t.join();
    victim.join();
    settle_locality(all.rt);
    CHECK(t.state() == token_state::timed_out);
    CHECK(victim.state() == token_state::killed);
}

TEST_CASE("a_callback_of_a_stop_may_kill_and_ask_and_is_told_that_calls_come_too_late") {
    busy_callbacks all;
    const token<void> t = all.begin();
    all.rt.stop(0s);
    all.check(true);
    CHECK(t.state() == token_state::killed);
    all.rt.stop();
    check_ledger(all.rt);
    check_nothing_is_anchored(all.rt);
    all.rt.start();
    settle(all.rt);
}

}  // namespace tokengate::test
