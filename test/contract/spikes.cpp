// SPDX-License-Identifier: Apache-2.0
// Run times and sizes of arguments that are out of the ordinary, and operations in quarantine.
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "alerts.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

using text = std::vector<char>;

text small() { return text(100); }
text large() { return text(100'000); }

// No run time is a spike for these.
constexpr double generous = 10;

}  // namespace

TEST_CASE("an_argument_that_is_larger_than_usual_is_a_spike_before_the_callable_runs") {
    hold gate;
    listener heard;
    runtime rt({.cores = 1});
    rt.on_alert(heard.hook());
    std::atomic<bool> known{false};
    const auto op =
        rt.operation("op", {.spikes = {.factor = 1e6, .samples = 3}}, [&](const text& bytes) {
            if (bytes.size() > 1'000'000) {
                known = heard.count(alert_kind::spike) == 1;
            }
        });
    const auto other =
        rt.operation("other", {.spikes = {.factor = 1e6, .samples = 3}}, [](const text&) {});
    for (int i = 0; i < 3; ++i) op(text()).get();
    for (int i = 0; i < 2; ++i) other(text()).get();
    CHECK(op.stats().spikes == 0);
    const token<void> t = op(text(std::size_t{64} << 20U));
    t.get();
    other(text(std::size_t{64} << 20U)).get();
    settle(rt);
    CHECK(known);
    CHECK(op.stats().spikes == 1);
    // Too few samples; and one operation's are not another's.
    CHECK(other.stats().spikes == 0);
    const alert what = heard.all().front();
    CHECK(what.kind == alert_kind::spike);
    CHECK(what.token == t.id());
    CHECK(what.unit == "bytes");
    CHECK(what.measured == sizeof(text) + (64U << 20U));
    CHECK(what.limit == doctest::Approx(1e6 * sizeof(text)));
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
            const auto work = [&](const text& bytes) {
                ++ran;
                if (bytes.size() > 1000) ++large_ones;
            };
            const spike_limits limits{.factor = generous, .samples = 5, .quarantine = true};
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
                for (int i = 0; i < 5; ++i) {
                    op(small()).get();
                    // Run times may well be ten times the usual.
                    op.resume();
                }
                settle(rt);
                ran = 0;
                large_ones = 0;
                const std::uint64_t before = op.stats().executions;
                const std::uint64_t spikes = op.stats().spikes;
                const token<void> big = op(large());
                REQUIRE(eventually([&] { return op.stats().set_aside == 1; }));
                CHECK(op.paused());
                CHECK(big.state() == token_state::waiting);
                CHECK(big.attempts() == 0);
                CHECK(large_ones == 0);
                CHECK(op.stats().executions == before);
                CHECK(op.stats().spikes == spikes + 1);
                CHECK(op.stats().oldest_wait > 0ns);
                CHECK(stats_of(storage::slow).executing == 0);
                const token<void> next = op(small());
                CHECK_FALSE(next.wait_for(1ms));
                if (resumes) {
                    op.resume();
                    CHECK_NOTHROW(big.get());
                    // Its run may be a spike, too.
                    op.resume();
                    CHECK(eventually([&] {
                        op.resume();
                        return is_terminal(next.state());
                    }));
                    CHECK(big.attempts() == 1);
                    CHECK(ran == 2);
                    CHECK(large_ones == 1);
                    CHECK(op.stats().executions == before + 2);
                } else {
                    CHECK(op.cancel("too large") == 1 + (next.state() == token_state::killed));
                    CHECK_THROWS_AS(big.get(), token_killed);
                    op.resume();
                    REQUIRE(ends(next));
                    CHECK(large_ones == 0);
                }
                op.resume();
                settle(rt);
                CHECK(op.stats().retries == 0);
            }
            rt.wait_idle();
            rt.stop();
            check_ledger(rt);
            check_nothing_is_anchored(rt);
            CHECK(heard.count(alert_kind::quarantined) >= all.size());
        }
    }
}

TEST_CASE("while_a_runtime_stops_nothing_goes_into_quarantine") {
    hold gate;
    runtime rt({.cores = 1});
    const auto busy = rt.operation("busy", [&] { gate.pass(); });
    const auto op =
        rt.operation("op", {.spikes = {.factor = generous, .samples = 1, .quarantine = true}},
                     [](const text&) {});
    op(small()).get();
    op.resume();
    busy.post();
    REQUIRE(gate.await(1));
    const token<void> big = op(large());
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
    const auto op = rt.operation("op", {.timed = true}, [](const text&) {});
    for (int i = 0; i < 10; ++i) op(small()).get();
    op(large()).get();
    settle(rt);
    CHECK(op.stats().spikes == 0);
    CHECK(heard.all().empty());
}

TEST_CASE("a_hook_may_resume_or_cancel_what_is_in_quarantine") {
    runtime rt({.cores = 2});
    const auto op =
        rt.operation("op", {.spikes = {.factor = generous, .samples = 1, .quarantine = true}},
                     [](const text&) {});
    rt.on_alert([&](const alert& what) {
        static_cast<void>(op.health());
        static_cast<void>(rt.stats());
        if (what.kind == alert_kind::quarantined) op.resume();
    });
    for (int i = 0; i < 100; ++i) op(i % 10 == 9 ? large() : small()).get();
    settle(rt);
    CHECK(op.stats().spikes >= 1);
    CHECK_FALSE(op.paused());
    CHECK(op.stats().counts.completed == 100);
}

}  // namespace tokengate::test
