// SPDX-License-Identifier: Apache-2.0
// Waits that could never end are errors, not hangs.
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// What a token throws when it waits for `awaited`, or "" if it does not.
std::string message_of_waiting_for(const token<int>& awaited) {
    try {
        awaited.wait();
    } catch (const deadlock& problem) {
        return problem.what();
    }
    return "";
}

}  // namespace

TEST_CASE("a_token_that_waits_for_itself_is_told") {
    for (const int cores : {1, 2, 4}) {
        CAPTURE(cores);
        runtime rt({.cores = cores});
        std::optional<token<int>> self;
        std::atomic<bool> known{false};
        std::string message;
        const auto op = rt.operation("narcissus", [&] {
            while (!known) std::this_thread::yield();
            message = message_of_waiting_for(*self);
            return 1;
        });
        self = op();
        known = true;
        REQUIRE(ends(*self));
        CHECK(message.find("narcissus") != std::string::npos);
        CHECK(message.find("waited for by itself") != std::string::npos);
        settle(rt);
    }
}

TEST_CASE("a_token_that_waits_for_one_beneath_it_on_its_worker_is_told") {
    runtime rt({.cores = 1});
    std::optional<token<int>> outer;
    std::atomic<bool> known{false};
    std::string message;
    const auto leaf = rt.operation("leaf", [] { return 0; });
    // Runs on top of `outer`, whose worker has nothing else to do while it waits.
    const auto inner = rt.operation("inner", [&] {
        message = message_of_waiting_for(*outer);
        return 2;
    });
    const auto op = rt.operation("outer", [&] {
        while (!known) std::this_thread::yield();
        return inner().get() + leaf().get();
    });
    outer = op();
    known = true;
    REQUIRE(ends(*outer));
    CHECK(outer->get() == 2);
    CHECK(message.find("'outer'") != std::string::npos);
    settle(rt);
}

TEST_CASE("waiting_runs_the_awaited_token_at_any_depth") {
    runtime rt({.cores = 1, .help_depth = 0});
    const operation<int(int)>* self = nullptr;
    const operation<int(int)> chain =
        rt.operation("chain", [&](int n) { return n == 0 ? 0 : 1 + (*self)(n - 1).get(); });
    self = &chain;
    const token<int> t = chain(200);
    REQUIRE(ends(t));
    CHECK(t.get() == 200);
    settle(rt);
}

TEST_CASE("a_wait_with_a_deadline_for_what_cannot_end_before_it_is_false") {
    for (const int cores : {1, 2}) {
        for (const bool behind : {false, true}) {
            INFO(cores, " domains, for one behind it in its strand: ", behind);
            runtime rt({.cores = cores, .sticky_slots = 64});
            std::optional<token<int>> awaited;
            std::atomic<bool> known{false};
            const auto op = rt.operation(
                "op", {.sticky = sticky::by_anchor("key", sticky::serial)}, [&](bool waits) {
                    if (!waits) return 0;
                    while (!known) std::this_thread::yield();
                    int ended = 0;
                    for (int i = 0; i < 3; ++i) ended += awaited->wait_for(1ms) ? 1 : 0;
                    const auto soon = std::chrono::steady_clock::now() + 1ms;
                    return ended + (awaited->wait_until(soon) ? 1 : 0);
                });
            const token<int> first = op(true);
            awaited = behind ? op(false) : first;
            known = true;
            CHECK(result_of(first) == 0);
            CHECK(result_of(*awaited) == 0);
            settle(rt);
        }
    }
}

}  // namespace tokengate::test
