// SPDX-License-Identifier: Apache-2.0
// How loops end that do not end well: a loop returns when none of its blocks runs any more.
#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "bulks.hpp"
#include "child.hpp"
#include "hold.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

/// A loop over numbers with blocks of one; with an affinity or without.
using loop = std::function<void(std::size_t count, const std::function<void(std::size_t)>& body)>;

/// Calls body(runtime, loop) for several numbers of domains, and loops of both kinds.
template <class Body>
void for_each_loop(Body&& body) {
    for (const int cores : {1, 2, 4, 8}) {
        for (const bool placed : {false, true}) {
            INFO(cores, " domains, ", std::string(placed ? "with" : "without"), " an affinity");
            runtime rt({.cores = cores});
            body(rt, [&](std::size_t count, const std::function<void(std::size_t)>& each) {
                if (placed) {
                    parallel_for(count, 1, each, affinity(rt, count));
                } else {
                    parallel_for(rt, count, 1, each, weight::heavy);
                }
            });
            settle_locality(rt);
        }
    }
}

/// What a call throws; empty if nothing.
template <class E, class Call>
std::string message_of(Call&& call) {
    try {
        call();
    } catch (const E& thrown) {
        return thrown.what();
    }
    return {};
}

}  // namespace

TEST_CASE("a_loop_throws_what_the_first_of_its_blocks_in_order_throws") {
    for_each_loop([](runtime& rt, const loop& run) {
        // All of them throw that can begin before one has.
        const std::size_t workers = rt.settings().cores;
        hold gate;
        std::string found;
        std::thread caller([&] {
            found = message_of<std::runtime_error>([&] {
                run(workers, [&](std::size_t i) {
                    gate.pass();
                    throw std::runtime_error(std::to_string(i));
                });
            });
        });
        CHECK(gate.await(workers));
        gate.release();
        caller.join();
        CHECK(found == "0");
    });
}

TEST_CASE("when_a_block_throws_others_do_not_begin_and_the_loop_waits_for_those_that_have") {
    for_each_loop([](runtime& rt, const loop& run) {
        std::atomic<int> inside{0};
        std::atomic<int> began{0};
        const auto body = [&](std::size_t i) {
            ++inside;
            ++began;
            if (i == 500) {
                --inside;
                throw std::runtime_error("on purpose");
            }
            std::this_thread::yield();
            --inside;
        };
        for (int round = 0; round < 5; ++round) {
            began = 0;
            CHECK(message_of<std::runtime_error>([&] { run(1000, body); }) == "on purpose");
            CHECK(inside == 0);
        }
        // With one worker the order is known: that of the range.
        if (rt.settings().cores == 1) CHECK(began == 501);
        REQUIRE(rt.wait_idle_for(hang_limit));
        const token_counts total = rt.stats().total();
        CHECK(total.accepted == 5000);
        CHECK(total.failed >= 5);
        CHECK(total.completed + total.failed == 5000);
        // A loop that follows knows nothing of it.
        std::atomic<int> calls{0};
        run(1000, [&](std::size_t) { ++calls; });
        CHECK(calls == 1000);
    });
}

TEST_CASE("exceptions_of_inner_loops_come_out_of_outer_ones") {
    for_each_loop([](runtime& rt, const loop& run) {
        std::atomic<int> inside{0};
        CHECK_THROWS_AS(run(20,
                            [&](std::size_t i) {
                                ++inside;
                                struct leave {
                                    std::atomic<int>& count;
                                    ~leave() { --count; }
                                } const out{inside};
                                parallel_for(50, 4, [&](std::size_t k) {
                                    if (i == 7 && k == 33) throw i;
                                });
                            }),
                        std::size_t);
        CHECK(inside == 0);
        CHECK(rt.running());
    });
}

TEST_CASE("a_loop_that_is_killed_returns_when_none_of_its_blocks_runs_any_more") {
    for_each_loop([](runtime& rt, const loop& run) {
        hold gate;
        std::atomic<bool> returned{false};
        std::atomic<int> inside{0};
        std::atomic<int> began{0};
        std::atomic<bool> seen_return{false};
        std::string found;
        std::thread caller([&] {
            found = message_of<token_killed>([&] {
                run(1000, [&](std::size_t) {
                    ++inside;
                    ++began;
                    gate.pass();
                    if (returned) seen_return = true;
                    --inside;
                });
            });
            returned = true;
            CHECK(inside == 0);
        });
        CHECK(gate.await(1));
        // Until it finds all of them: the loop may still be on its way in.
        CHECK(eventually([&] { return rt.stats().total().accepted == 1000; }));
        rt.kill();
        gate.release();
        caller.join();
        CHECK_FALSE(seen_return);
        CHECK(found.find("was killed") != std::string::npos);
        // A worker may have taken up a stretch just then.
        CHECK(began.load() < 1000);
    });
}

TEST_CASE("a_stop_that_is_out_of_time_ends_a_loop") {
    for_each_loop([](runtime& rt, const loop& run) {
        hold gate;
        std::atomic<int> began{0};
        std::atomic<int> inside{0};
        std::thread caller([&] {
            CHECK_THROWS_AS(run(1000,
                                [&](std::size_t) {
                                    ++inside;
                                    ++began;
                                    gate.pass();
                                    --inside;
                                }),
                            error);
            CHECK(inside == 0);
        });
        CHECK(gate.await(1));
        static_cast<void>(rt.stop(std::chrono::nanoseconds(0)));
        gate.release();
        caller.join();
        // A worker may have taken up a stretch just then.
        CHECK(began.load() < 1000);
        static_cast<void>(rt.stop());
    });
}

TEST_CASE("a_stopped_runtime_takes_no_loops") {
    for_each_loop([](runtime& rt, const loop& run) {
        std::atomic<int> calls{0};
        const auto count = [&](std::size_t) { ++calls; };
        rt.stop();
        CHECK_THROWS_AS(run(10, count), runtime_stopped);
        rt.start();
        run(10, count);
        CHECK(calls == 10);
        rt.drain();
        CHECK_THROWS_AS(run(10, count), error);
        rt.resume();
        run(10, count);
        CHECK(calls == 20);
    });
}

TEST_CASE("a_loop_in_a_paused_runtime_waits_until_it_goes_on") {
    for_each_loop([](runtime& rt, const loop& run) {
        std::atomic<int> calls{0};
        const auto count = [&](std::size_t) { ++calls; };
        run(10, count);
        rt.pause();
        std::thread caller([&] { run(100, count); });
        CHECK(eventually([&] { return rt.stats().total().accepted == 110; }));
        CHECK(calls == 10);
        rt.resume();
        caller.join();
        CHECK(calls == 110);
    });
}

TEST_CASE("a_block_that_waits_for_the_token_that_loops_is_a_deadlock") {
    for_each_loop([](runtime& rt, const loop& run) {
        token<void> outer;
        hold ready;
        const std::function<void(std::size_t)> wait = [&](std::size_t) { outer.wait(); };
        const auto op = rt.operation("op", [&] {
            ready.pass();
            run(1, wait);
        });
        outer = op();
        ready.release();
        REQUIRE(ends(outer));
        CHECK_THROWS_AS(outer.get(), deadlock);
        REQUIRE(rt.wait_idle_for(hang_limit));
    });
}

TEST_CASE("a_child_process_takes_no_loops") {
    for (const bool known : {false, true}) {
        runtime rt({.cores = 2});
        const auto nothing = [](std::size_t) {};
        if (known) parallel_for(rt, 10, 1, nothing);
        CHECK(in_child([&] {
                  try {
                      parallel_for(rt, 10, 1, nothing);
                  } catch (const runtime_forked&) {
                      return 0;
                  }
                  return 1;
              }) == "exit 0");
        settle(rt);
    }
}

TEST_CASE("a_loop_whose_name_is_taken_is_an_error") {
    runtime rt({.cores = 1});
    static_cast<void>(rt.operation("parallel_for (light)", [] {}));
    CHECK_THROWS_AS(parallel_for(
                        rt, 1, 1, [](int) {}, weight::light),
                    operation_error);
    parallel_for(rt, 1, 1, [](int) {});
    settle(rt);
}

}  // namespace tokengate::test
