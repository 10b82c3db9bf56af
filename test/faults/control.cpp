// SPDX-License-Identifier: Apache-2.0
// Kills, deadlines and questions without memory.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

int one_more(int n) { return n + 1; }

const std::string reason = "a reason that is too long to be kept in a string by itself";

/// A token that runs and one that waits behind it, in a runtime with one worker.
struct two_tokens {
    config one_worker() {
        config wanted = small_machine();
        wanted.cores = 1;
        return wanted;
    }

    two_tokens() {
        REQUIRE(gate.await(1));
        waits = op(1);
    }

    hold gate;
    runtime rt{one_worker()};
    operation<int(int)> op = rt.operation("op", one_more);
    operation<void()> held = rt.operation("held", [this] { gate.pass(); });
    token<void> runs = held();
    token<int> waits;

    void check_end() {
        gate.release();
        settle(rt);
        check_it_works(rt, op);
    }
};

}  // namespace

TEST_CASE("a_kill_without_memory_for_its_reason_kills_nothing") {
    const clean_hwloc_environment clean;
    for (const bool running : {false, true}) {
        for_each_fault(false, [&](const fault& which) {
            two_tokens both;
            const ending how = attempt(which, [&] {
                const bool killed = running ? both.runs.kill(reason) : both.waits.kill(reason);
                CHECK(killed);
            });
            if (how.done) {
                CHECK((running ? both.runs.state() : both.waits.state()) == token_state::killed);
                try {
                    running ? both.runs.get() : demand(both.waits);
                    FAIL_CHECK("it was killed");
                } catch (const token_killed& killed) {
                    CHECK(killed.reason() == reason);
                }
            } else {
                CHECK(both.runs.state() == token_state::executing);
                CHECK(both.waits.state() == token_state::admitted);
                CHECK_FALSE(both.rt.stats().total().killed != 0);
            }
            both.check_end();
            return how;
        });
    }
}

TEST_CASE("a_kill_without_a_reason_needs_no_memory") {
    const clean_hwloc_environment clean;
    two_tokens both;
    const ending how = attempt({.lasting = true, .all_threads = true}, [&] {
        CHECK(both.runs.kill());
        CHECK(both.waits.kill());
        CHECK_FALSE(both.waits.kill());
    });
    CHECK(how.done);
    CHECK_FALSE(how.refused);
    both.check_end();
}

TEST_CASE("a_token_is_timed_out_without_memory_for_the_reason") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation("op", one_more);
    const auto slow = rt.operation("slow", {.run_timeout = 1ms}, [] {
        while (!this_token::stop_requested()) std::this_thread::yield();
    });
    for_each_fault(true, [&](const fault& which) {
        token<void> t;
        const ending how = attempt(which, [&] {
            t = slow();
            t.wait();
        });
        if (t.valid()) {
            CHECK(t.state() == token_state::timed_out);
            CHECK_THROWS_AS(demand(t), token_timed_out);
        }
        settle(rt);
        check_it_works(rt, op);
        return how;
    });
}

TEST_CASE("a_callable_without_memory_for_its_stop_token_fails_alone") {
    const clean_hwloc_environment clean;
    for_each_fault(true, [](const fault& which) {
        runtime rt(small_machine());
        const auto op = rt.operation("op", [](const std::stop_token& stop, int n) {
            return stop.stop_possible() ? n + 1 : 0;
        });
        const ending how = attempt(which, [&] {
            const int result = op(1).get();
            CHECK(result == 2);
        });
        check_it_works(rt, op);
        return how;
    });
}

TEST_CASE("questions_without_memory_for_the_answer_throw_and_can_be_asked_again") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    hold gate;
    const auto op = rt.operation("op", one_more);
    const auto child = rt.operation("child", [&] { gate.pass(); });
    const auto lead = rt.operation("a lead with a long name, so that it needs memory",
                                   {.external_calls = {"child"}}, [&] { child(); });
    const token<void> t = lead();
    REQUIRE(gate.await(1));
    for_each_fault(false, [&](const fault& which) {
        return attempt(which, [&] {
            const std::uint64_t open = rt.stats().locality.open_chains;
            CHECK(open == 1);
        });
    });
    for_each_fault(false, [&](const fault& which) {
        return attempt(which, [&] {
            const std::size_t open = rt.open_chains().size();
            CHECK(open == 1);
        });
    });
    for_each_fault(false, [&](const fault& which) {
        return attempt(which, [&] {
            const std::size_t digits = t.seed().size();
            CHECK(digits == 64);
        });
    });
    CHECK(rt.stats().locality.open_chains == 1);
    gate.release();
    settle_locality(rt);
    check_it_works(rt, op);
}

TEST_CASE("an_error_without_memory_for_its_text_harms_nobody") {
    const clean_hwloc_environment clean;
    two_tokens both;
    CHECK(both.waits.kill(reason));
    for_each_fault(false, [&](const fault& which) {
        return attempt(which, [&] {
            try {
                demand(both.waits);
                FAIL_CHECK("it was killed");
            } catch (const token_killed&) {
                // What comes if there is memory.
            }
        });
    });
    for_each_fault(false, [&](const fault& which) {
        return attempt(which, [&] {
            try {
                static_cast<void>(token<int>().id());
                FAIL_CHECK("it holds no token");
            } catch (const empty_token&) {
                // As above.
            }
        });
    });
    both.check_end();
}

TEST_CASE("a_stop_without_memory_for_its_report_has_stopped_all_the_same") {
    const clean_hwloc_environment clean;
    for_each_fault(true, [](const fault& which) {
        two_tokens both;
        const ending how = attempt(which, [&] {
            const stop_report report = both.rt.stop(0s);
            CHECK(report.killed == 2);
            CHECK(report.stragglers.size() == 1);
        });
        CHECK(both.runs.state() == token_state::killed);
        CHECK(both.waits.state() == token_state::killed);
        CHECK_THROWS_AS(both.op(1), runtime_stopped);
        both.gate.release();
        both.rt.stop();
        check_ledger(both.rt);
        both.rt.start();
        check_it_works(both.rt, both.op);
        return how;
    });
}

TEST_CASE("a_runtime_with_a_straggler_is_destroyed_without_memory") {
    const clean_hwloc_environment clean;
    const std::string end = in_child([] {
        hold gate;
        auto rt = std::make_unique<runtime>(small_machine());
        const auto held = rt->operation("a callable with a long name, so that it needs memory",
                                        [&] { gate.pass(); });
        const token<void> t = held();
        if (!gate.await(1)) return 2;
        rt->stop(0s);
        // Late enough for the destructor to have met the straggler; should it not have, it does
        // not matter.
        std::thread later([&] {
            std::this_thread::sleep_for(20ms);
            gate.release();
        });
        {
            const refused_memory none({.lasting = true, .all_threads = true});
            rt.reset();
        }
        later.join();
        return t.state() == token_state::killed ? 0 : 1;
    });
    CHECK(end == "exit 0");
}

}  // namespace tokengate::test
