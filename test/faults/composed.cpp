// SPDX-License-Identifier: Apache-2.0
// Tokens that wait for tokens, coroutines, loops and senders without memory.
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/senders.hpp>
#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "injection.hpp"
#include "locality.hpp"
#include "receivers.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

const std::string word = "a text that is too long to be kept in a string by itself";

int one_more(int n) { return n + 1; }

/// What a token ends with whose input was refused memory.
bool ends_well_or_without_memory(const auto& which) {
    REQUIRE(ends(which));
    try {
        static_cast<void>(which.get());
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    } catch (const dependency_failed&) {
        return false;
    }
}

/// Runs use(runtime), which declares its operations itself, while memory is refused: to the caller
/// alone in one runtime, or to everybody in a new one each time.
template <class Use>
void run_at_each_fault(Use&& use) {
    const clean_hwloc_environment clean;
    for (const bool all_threads : {false, true}) {
        for_each_fault(all_threads, [&](const fault& which) {
            runtime rt(small_machine());
            const auto works = rt.operation("works", one_more);
            const auto body = use(rt);
            ending how;
            try {
                how = attempt(which, body);
            } catch (const dependency_failed&) {
                how.refused = refused_memory::count() > 0;
                CHECK(how.refused);
            }
            settle_locality(rt);
            // As well as ever.
            body();
            settle_locality(rt);
            check_it_works(rt, works);
            return how;
        });
    }
}

}  // namespace

TEST_CASE("tokens_that_wait_for_tokens_without_memory_end_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        const auto text = rt.operation("text", [](const std::string& a) { return a + a; });
        const auto size = rt.operation(
            "size", [](const std::string& a, int b) { return static_cast<int>(a.size()) + b; });
        const auto sum = rt.operation("sum", [](const std::vector<int>& all) {
            return std::accumulate(all.begin(), all.end(), 0);
        });
        return [=] {
            const token<std::string> a = text(word);
            const token<int> b = size(a, number(1));
            const std::vector<token<int>> several{b, number(2), number(3)};
            const token<int> c = sum(several);
            const token<int> d = c.then(number);
            const bool fine = ends_well_or_without_memory(d);
            if (fine) CHECK(d.get() == 2 * static_cast<int>(word.size()) + 2 + 3 + 4 + 1);
            if (!fine) throw std::bad_alloc();
        };
    });
}

TEST_CASE("calls_after_other_tokens_without_memory_end_and_leave_nothing") {
    run_at_each_fault([&](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        const auto keyed = rt.operation("keyed", {.sticky = sticky::by_arguments(sticky::serial)},
                                        [](const std::string& a) { return a.size(); });
        const auto lead = rt.operation("lead", {.external_calls = {"number"}},
                                       [number](int n) { return number(n).then(number).get(); });
        return [=, &rt] {
            const token<int> a = number(1);
            const token<int> b = lead(a);
            const token<std::size_t> c = rt.after(a, b).call(keyed, word);
            if (!ends_well_or_without_memory(c)) throw std::bad_alloc();
            const int result = b.get();
            CHECK(result == 4);
        };
    });
}

TEST_CASE("coroutines_without_memory_end_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        return [=] {
            const int sum = sync_wait([](const auto& op) -> task<int> {
                int all = co_await op(1);
                const auto [a, b] = co_await gather(op(2), op(3));
                std::vector<token<int>> many;
                for (int i = 0; i < 4; ++i) many.push_back(op(i));
                for (const int each : co_await gather(many)) all += each;
                const std::size_t first = co_await when_any(many);
                auto done = as_completed(many);
                while (const auto each = co_await done.next()) all += each->get();
                co_return all + a + b + (first < 4 ? 0 : 1000);
            }(number));
            CHECK(sum == 2 + 3 + 4 + 10 + 10);
        };
    });
}

TEST_CASE("operations_that_are_coroutines_and_have_no_memory_end_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        const auto sum = rt.operation("sum", {.sticky = sticky::by_anchor("key", sticky::serial)},
                                      [number](int count) -> task<int> {
                                          int all = 0;
                                          for (int i = 0; i < count; ++i) all += co_await number(i);
                                          co_return all;
                                      });
        const auto lead =
            rt.operation("lead", {.external_calls = {"sum"}},
                         [sum](int count) -> task<int> { co_return co_await sum(count) + 1; });
        return [=] {
            const token<int> a = lead(3);
            const token<int> b = sum(4);
            a.wait();
            b.wait();
            const int both = a.get() + b.get();
            CHECK(both == 7 + 10);
        };
    });
}

TEST_CASE("loops_without_memory_throw_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        return [&rt] {
            std::vector<int> values(20, 1);
            parallel_for(rt, values, 3, [](int& each) { ++each; });
            const int sum = parallel_reduce(rt, values, 4, 0, std::identity(), std::plus<>());
            CHECK(sum == 40);
            const affinity homes(rt, 5);
            parallel_for(
                values, 4, [](int& each) { ++each; }, homes);
        };
    });
}

TEST_CASE("loops_inside_tokens_without_memory_fail_their_token_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto outer = rt.operation("outer", {.external_calls = {"loop"}}, [](int count) {
            std::vector<int> values(static_cast<std::size_t>(count), 1);
            parallel_for(values, 2, [](int& each) { ++each; });
            return parallel_reduce(values, 3, 0, std::identity(), std::plus<>());
        });
        return [=] {
            const token<int> a = outer(12);
            const token<int> b = outer(7);
            a.wait();
            b.wait();
            const int both = a.get() + b.get();
            CHECK(both == 38);
        };
    });
}

TEST_CASE("calls_with_limits_of_their_own_and_hooks_without_memory_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        return [=, &rt] {
            rt.on_alert([kept = word](const alert&) {});
            const token<int> limited = number.with({.queue_timeout = 1h, .run_timeout = 1h})(1);
            const int result = limited.get();
            CHECK(result == 2);
            const std::string shown = describe(rt.settings());
            CHECK_FALSE(shown.empty());
        };
    });
}

TEST_CASE("senders_without_memory_complete_once_and_leave_nothing") {
    run_at_each_fault([](runtime& rt) {
        const auto number = rt.operation("number", one_more);
        return [=, &rt] {
            run_of<int, token_sender<int>> token(as_sender(number(1)));
            run_of<void, scheduler::sender> begun(get_scheduler(rt).schedule());
            // From here on nothing may throw before both have completed.
            token.start();
            begun.start();
            const bool both = eventually(
                [&] { return token.seen.completions() != 0 && begun.seen.completions() != 0; });
            CHECK(both);
            const int completions = token.seen.completions() + begun.seen.completions();
            CHECK(completions == 2);
            if (token.seen.errors == 1) std::rethrow_exception(token.seen.error);
            if (begun.seen.errors == 1) std::rethrow_exception(begun.seen.error);
            const bool right = token.seen.value == 2;
            CHECK(right);
        };
    });
}

}  // namespace tokengate::test
