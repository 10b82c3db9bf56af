// SPDX-License-Identifier: Apache-2.0
// Waits that could never end are errors, not hangs.
#include <atomic>
#include <optional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "ledger.hpp"

namespace tokengate::test {
namespace {

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

}  // namespace tokengate::test
