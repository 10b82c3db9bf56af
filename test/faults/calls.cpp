// SPDX-License-Identifier: Apache-2.0
// Calls that cannot have what they need.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "bulks.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

/// Too large for a node, as an argument and as a result.
using large = std::array<int, 500>;

int one_more(int n) { return n + 1; }

large filled(int n) {
    large made{};
    made.fill(n);
    return made;
}

/// A name that no operation has yet.
std::string unique(const std::string& name) {
    static int number = 0;
    return name + " " + std::to_string(++number);
}

/// True if room for as many tokens is left as the settings say: none was lost.
bool all_room_is_there(runtime& rt) {
    hold gate;
    const auto held = rt.operation(unique("held"), {.weight = weight::heavy}, [&] { gate.pass(); });
    std::size_t accepted = 0;
    while (held.try_call()) ++accepted;
    gate.release();
    settle(rt);
    return accepted == rt.settings().in_flight_limit;
}

/// Makes calls by make() on new threads: each makes so many tokens, or fails and makes none.
template <class Make>
void call_at_each_fault(runtime& rt, std::uint64_t tokens, bool in_one_piece, Make&& make) {
    const auto works = rt.operation(unique("works"), one_more);
    for_each_fault(false, [&](const fault& which) {
        const std::uint64_t before = rt.stats().total().accepted;
        const ending how = attempt_on_new_thread(which, make);
        settle_locality(rt);
        const std::uint64_t made = rt.stats().total().accepted - before;
        CHECK(made <= tokens);
        if (how.done) CHECK(made == tokens);
        if (!how.done && in_one_piece) CHECK(made == 0);
        check_it_works(rt, works);
        return how;
    });
    CHECK(rt.stats().total().failed == 0);
    CHECK(all_room_is_there(rt));
}

/// Runs a program of tokens, made by start(runtime) and waited for, while memory is refused to
/// everybody; each time in a new runtime. What has failed, has failed for lack of memory.
template <class Start>
void run_at_each_fault(Start&& start) {
    const clean_hwloc_environment clean;
    for_each_fault(true, [&](const fault& which) {
        runtime rt(small_machine());
        const ending how = attempt(which, start(rt));
        settle_locality(rt);
        check_it_works(rt, rt.operation("works", one_more));
        CHECK(all_room_is_there(rt));
        return how;
    });
}

}  // namespace

TEST_CASE("a_call_without_memory_for_it_accepts_nothing_and_keeps_no_room") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation("op", one_more);
    call_at_each_fault(rt, 1, true, [&] { op(1); });
    runtime posting(small_machine());
    const auto posted = posting.operation("op", {.weight = weight::heavy}, one_more);
    call_at_each_fault(posting, 1, true, [&] { posted.post(1); });
    runtime trying(small_machine());
    const auto tried = trying.operation("op", {.weight = weight::light}, one_more);
    call_at_each_fault(trying, 1, true, [&] { static_cast<void>(tried.try_call(1)); });
}

TEST_CASE("an_argument_without_memory_for_it_accepts_nothing") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation(
        "op", [](const large& a, const std::string& b) { return a[0] + static_cast<int>(b[0]); });
    const std::string text(1000, 'x');
    call_at_each_fault(rt, 1, true, [&] { op(filled(1), text); });
}

TEST_CASE("a_call_of_a_generic_operation_without_memory_accepts_nothing") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    int number = 0;
    for_each_fault(false, [&](const fault& which) {
        // New each time: what a name and a type share is made by the first call.
        const auto op = rt.operation("generic " + std::to_string(++number), [](auto... values) {
            return (0.0 + ... + static_cast<double>(values));
        });
        const std::uint64_t before = rt.stats().total().accepted;
        const ending how = attempt_on_new_thread(which, [&] { op(1, 2L, number * 1.0); });
        settle(rt);
        CHECK(rt.stats().total().accepted - before == (how.done ? 1U : 0U));
        CHECK(result_of(op(1, 2L, 3.0)) == 6.0);
        return how;
    });
    settle(rt);
    CHECK(all_room_is_there(rt));
}

TEST_CASE("a_call_with_a_key_without_memory_leaves_nothing_anchored") {
    const clean_hwloc_environment clean;
    for (const sticky::mode how : {sticky::colocate, sticky::serial}) {
        runtime rt(small_machine());
        const auto op =
            rt.operation("op", {.sticky = sticky::by_arguments(how)},
                         [](const std::string& text) { return static_cast<int>(text.size()); });
        const std::string text(100, 'k');
        call_at_each_fault(rt, 3, false, [&] {
            op(text);
            op(text);
            op("another key, of a length that needs memory");
        });
        call_at_each_fault(rt, 0, true, [&] { static_cast<void>(op.hold(text)); });
    }
}

TEST_CASE("a_call_of_a_lead_without_memory_opens_no_chain") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto child = rt.operation("child", one_more);
    const auto lead = rt.operation("lead", {.external_calls = {"child"}},
                                   [&](int n) { return child(n).get() + 1; });
    call_at_each_fault(rt, 2, true, [&] { lead(1); });
    // More at once than there are records of chains at first.
    std::vector<token<int>> open;
    open.reserve(16);
    for (int i = 0; i < 10; ++i) open.push_back(lead(i));
    for (const auto& each : open) CHECK(each.get() >= 2);
    settle_locality(rt);
}

TEST_CASE("a_bulk_without_memory_for_it_accepts_nothing_or_what_it_has_accepted_runs") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation("op", one_more);
    const std::vector<int> all = numbers(0, 100);
    call_at_each_fault(rt, 100, false, [&] { op.bulk(all); });
    runtime texts(small_machine());
    const auto size = texts.operation("size", [](const std::string& text) { return text.size(); });
    const std::vector<std::string> many(20, std::string(100, 'x'));
    call_at_each_fault(texts, 20, false, [&] { size.bulk(many); });
    runtime anchored(small_machine());
    const auto sticks =
        anchored.operation("op", {.sticky = sticky::by_anchor("all", sticky::serial)}, one_more);
    call_at_each_fault(anchored, 20, false, [&] { sticks.bulk(numbers(0, 20)); });
}

TEST_CASE("a_result_without_memory_for_it_fails_its_token_alone") {
    run_at_each_fault([](runtime& rt) {
        const auto op = rt.operation("op", filled);
        return [op] {
            const token<large> first = op(1);
            const token<large> second = op(2);
            first.wait();
            second.wait();
            // Refused are one of the two, or both.
            const int sum = first.get()[499] + second.get()[499];
            CHECK(sum == 3);
        };
    });
}

TEST_CASE("tokens_that_create_tokens_without_memory_end") {
    run_at_each_fault([](runtime& rt) {
        const auto leaf = rt.operation("leaf", filled);
        const auto keyed =
            rt.operation("keyed", {.sticky = sticky::by_anchor("key", sticky::serial)}, one_more);
        const auto inner = rt.operation("inner", {.external_calls = {"leaf"}}, [leaf](int n) {
            const token<large> made = leaf(n);
            return leaf(n).get()[0] + made.get()[0];
        });
        const auto outer =
            rt.operation("outer", {.external_calls = {"inner", "keyed"}}, [inner, keyed](int n) {
                keyed.post(n);
                const token<int> made = inner(n);
                return keyed(n).get() + made.get();
            });
        return [outer] {
            const token<int> a = outer(1);
            const token<int> b = outer(2);
            a.wait();
            b.wait();
            const int sum = a.get() + b.get();
            CHECK(sum == 11);
        };
    });
}

TEST_CASE("tokens_that_create_bulks_and_block_without_memory_end") {
    run_at_each_fault([](runtime& rt) {
        const auto leaf = rt.operation("leaf", one_more);
        const auto outer = rt.operation("outer", {.external_calls = {"leaf"}}, [leaf](int n) {
            std::vector<int> all(static_cast<std::size_t>(n), 1);
            const bulk<int> made = leaf.bulk(std::move(all));
            blocking([] {});
            int sum = 0;
            for (const int each : made.get()) sum += each;
            return sum;
        });
        return [outer] {
            const token<int> a = outer(40);
            const token<int> b = outer(3);
            a.wait();
            b.wait();
            const int sum = a.get() + b.get();
            CHECK(sum == 86);
        };
    });
}

}  // namespace tokengate::test
