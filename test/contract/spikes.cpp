// SPDX-License-Identifier: Apache-2.0
// Run times and sizes of arguments that are out of the ordinary, and operations in quarantine.
#include <doctest/doctest.h>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#include <tokengate/tokengate.hpp>

#include "alerts.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

// It says itself how large it is.
struct load {
    std::size_t bytes = 0;
    friend std::size_t argument_size(const load& which) { return which.bytes; }
};

constexpr load small{1};
constexpr load large{1'000'000'000'000};

// Between the two. No run of a test takes so many times what an empty one does.
constexpr double factor = 1e9;

}  // namespace

TEST_CASE("an_argument_that_is_larger_than_usual_is_a_spike_before_the_callable_runs") {
    listener heard;
    runtime rt({.cores = 1});
    rt.on_alert(heard.hook());
    std::atomic<bool> known{false};
    const operation_traits traits{.spikes = {.factor = factor, .samples = 3}};
    const auto op = rt.operation("op", traits, [&](const load& which) {
        if (which.bytes == large.bytes) known = heard.count(alert_kind::spike) == 1;
    });
    const auto other = rt.operation("other", traits, [](const load&) {});
    for (int i = 0; i < 3; ++i) op(small).get();
    for (int i = 0; i < 2; ++i) other(small).get();
    CHECK(op.stats().spikes == 0);
    const token<void> t = op(large);
    t.get();
    other(large).get();
    settle(rt);
    CHECK(known);
    CHECK(op.stats().spikes == 1);
    CHECK_FALSE(op.paused());
    // Too few samples; and one operation's are not another's.
    CHECK(other.stats().spikes == 0);
    REQUIRE(heard.all().size() == 1);
    const alert what = heard.all().front();
    CHECK(what.kind == alert_kind::spike);
    CHECK(what.token == t.id());
    CHECK(what.unit == "bytes");
    CHECK(what.measured == doctest::Approx(1e12));
    CHECK(what.limit == doctest::Approx(1e9));
    CHECK(what.domain == 0U);
    CHECK(what.worker == "tg-0.0");
    CHECK(what.text.find("'op'") != std::string::npos);
}

TEST_CASE("a_run_that_is_longer_than_usual_is_a_spike") {
    for (const bool quarantine : {false, true}) {
        listener heard;
        runtime rt({.cores = 1});
        rt.on_alert(heard.hook());
        std::chrono::nanoseconds least{};
        const auto op =
            rt.operation("op", {.spikes = {.factor = 2, .samples = 5, .quarantine = quarantine}},
                         [&](bool slow) {
                             const auto until = clock::now() + least;
                             while (slow && clock::now() <= until) {}
                         });
        for (int i = 0; i < 5; ++i) op(false).get();
        settle(rt);
        // The fifth is compared with four, so that none of them was a spike.
        CHECK(op.stats().spikes == 0);
        // Twice the longest is more than twice the average.
        least = 2 * op.stats().run->max;
        const token<void> t = op(true);
        t.get();
        t.join();
        CHECK(op.stats().spikes == 1);
        CHECK(op.paused() == quarantine);
        REQUIRE(heard.all().size() == (quarantine ? 2 : 1));
        const alert what = heard.all().front();
        CHECK(what.kind == alert_kind::spike);
        CHECK(what.token == t.id());
        CHECK(what.unit == "ns");
        CHECK(what.measured > what.limit);
        if (quarantine) {
            CHECK(heard.all().back().kind == alert_kind::quarantined);
            const token<void> next = op(false);
            CHECK(eventually([&] { return op.stats().set_aside == 1; }));
            CHECK(next.state() == token_state::waiting);
            op.resume();
            next.get();
        }
        settle(rt);
    }
}

TEST_CASE("a_token_whose_arguments_are_a_spike_waits_in_quarantine_until_somebody_decides") {
    for (const int cores : {1, 2, 4}) {
        for (const bool resumes : {true, false}) {
            listener heard;
            runtime rt({.cores = cores, .sticky_slots = 64});
            rt.on_alert(heard.hook());
            std::atomic<int> ran{0};
            std::atomic<int> large_ones{0};
            const auto work = [&](const load& which) {
                ++ran;
                if (which.bytes == large.bytes) ++large_ones;
            };
            const spike_limits limits{.factor = factor, .samples = 5, .quarantine = true};
            const std::array all{
                rt.operation("free", {.spikes = limits}, work),
                rt.operation("serial",
                             {.sticky = sticky::by_anchor("a", sticky::serial), .spikes = limits},
                             work),
                rt.operation("lead", {.external_calls = {"free"}, .spikes = limits}, work),
                rt.operation("stored", {.storage = storage::slow, .spikes = limits}, work),
                rt.operation("retried",
                             {.queue_timeout = 1h, .retry = {.attempts = 3}, .spikes = limits},
                             work)};
            for (const auto& op : all) {
                INFO(std::string(op.name()));
                for (int i = 0; i < 5; ++i) op(small).get();
                settle(rt);
                ran = 0;
                large_ones = 0;
                const token<void> big = op(large);
                REQUIRE(eventually([&] { return op.stats().set_aside == 1; }));
                CHECK(op.paused());
                CHECK(big.state() == token_state::waiting);
                CHECK(big.attempts() == 0);
                CHECK(op.stats().executions == 5);
                CHECK(op.stats().spikes == 1);
                CHECK(op.stats().oldest_wait > 0ns);
                CHECK(stats_of(storage::slow).executing == 0);
                const token<void> next = op(small);
                CHECK_FALSE(next.wait_for(1ms));
                CHECK(ran == 0);
                if (resumes) {
                    op.resume();
                    CHECK_NOTHROW(big.get());
                    CHECK_NOTHROW(next.get());
                    CHECK(big.attempts() == 1);
                    CHECK(ran == 2);
                    CHECK(large_ones == 1);
                    CHECK(op.stats().wait->count == 7);
                } else {
                    // In a line, the next one's turn comes meanwhile: then a worker kills it.
                    const bool in_line = op.name() == "serial";
                    REQUIRE(eventually([&] { return in_line || op.stats().set_aside == 2; }));
                    const std::size_t dead = op.cancel("too large");
                    CHECK(dead >= (in_line ? 1U : 2U));
                    CHECK(dead <= 2);
                    CHECK_THROWS_AS(big.get(), token_killed);
                    CHECK_THROWS_AS(next.get(), token_killed);
                    CHECK(ran == 0);
                    op.resume();
                }
                settle(rt);
                CHECK_FALSE(op.paused());
                CHECK(op.stats().executions == (resumes ? 7 : 5));
                CHECK(op.stats().counts.killed == (resumes ? 0 : 2));
                CHECK(op.stats().spikes == 1);
                CHECK(op.stats().retries == 0);
            }
            rt.stop();
            check_ledger(rt);
            check_nothing_is_anchored(rt);
            CHECK(heard.count(alert_kind::quarantined) == all.size());
            CHECK(heard.count(alert_kind::spike) == all.size());
        }
    }
}

TEST_CASE("while_a_runtime_stops_nothing_goes_into_quarantine") {
    hold gate;
    runtime rt({.cores = 1});
    const auto busy = rt.operation("busy", [&] { gate.pass(); });
    const auto op = rt.operation(
        "op", {.spikes = {.factor = factor, .samples = 1, .quarantine = true}}, [](const load&) {});
    op(small).get();
    busy.post();
    REQUIRE(gate.await(1));
    const token<void> big = op(large);
    std::thread stopper([&] { rt.stop(); });
    CHECK(eventually([&] { return !rt.running(); }));
    gate.release();
    stopper.join();
    CHECK(big.state() == token_state::completed);
    check_ledger(rt);
}

TEST_CASE("without_a_factor_there_are_no_spikes") {
    listener heard;
    runtime rt({.cores = 1});
    rt.on_alert(heard.hook());
    const auto op = rt.operation("op", {.timed = true}, [](const load&) {});
    for (int i = 0; i < 10; ++i) op(small).get();
    op(large).get();
    settle(rt);
    CHECK(op.stats().spikes == 0);
    CHECK(heard.all().empty());
}

TEST_CASE("a_hook_may_resume_or_cancel_what_is_in_quarantine") {
    runtime rt({.cores = 2});
    const auto op = rt.operation(
        "op", {.spikes = {.factor = factor, .samples = 1, .quarantine = true}}, [](const load&) {});
    rt.on_alert([&](const alert& what) {
        static_cast<void>(op.health());
        static_cast<void>(rt.stats());
        if (what.kind == alert_kind::quarantined) op.resume();
    });
    for (int i = 0; i < 100; ++i) op(i % 10 == 9 ? large : small).get();
    settle(rt);
    // Each of them moves the average, so that the second one is none.
    CHECK(op.stats().spikes == 1);
    CHECK_FALSE(op.paused());
    CHECK(op.stats().counts.completed == 100);
}

}  // namespace tokengate::test
