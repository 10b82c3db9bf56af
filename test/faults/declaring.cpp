// SPDX-License-Identifier: Apache-2.0
// Operations that cannot have what they need when they are declared.
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "injection.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

int one_more(int n) { return n + 1; }

/// Declares operations by declare(runtime, name, number). One that could not be declared has not
/// taken its name.
template <class Declare>
void declare_at_each_fault(Declare&& declare) {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    int number = 0;
    for_each_fault(false, [&](const fault& which) {
        ++number;
        const std::string name = "an operation of a name that fits no string by itself, number " +
                                 std::to_string(number);
        std::optional<operation<int(int)>> op;
        const ending how = attempt(which, [&] { op.emplace(declare(rt, name, number)); });
        CHECK(op.has_value() == how.done);
        if (!op) op.emplace(declare(rt, name, number));
        CHECK_THROWS_AS(declare(rt, name, number), operation_error);
        check_it_works(rt, *op);
        return how;
    });
}

}  // namespace

TEST_CASE("an_operation_without_memory_for_it_is_not_declared_and_its_name_is_free") {
    declare_at_each_fault([](runtime& rt, const std::string& name, int) {
        return rt.operation(name, {.weight = weight::light, .placement = placement::staggered},
                            one_more);
    });
}

TEST_CASE("a_sticky_operation_without_memory_for_it_is_not_declared") {
    declare_at_each_fault([](runtime& rt, const std::string& name, int) {
        return rt.operation(name, {.sticky = sticky::by_arguments()}, one_more);
    });
    declare_at_each_fault([](runtime& rt, const std::string& name, int number) {
        const std::string anchor = "an anchor of a long name, number " + std::to_string(number);
        return rt.operation(name, {.sticky = sticky::by_anchor(anchor, sticky::serial)}, one_more);
    });
}

TEST_CASE("a_lead_without_memory_for_its_external_calls_is_not_declared") {
    for (const digest_policy policy : {digest_policy::full, digest_policy::fast}) {
        declare_at_each_fault([&](runtime& rt, const std::string& name, int number) {
            const std::string called = "a child of a long name, number " + std::to_string(number);
            return rt.operation(name, {.external_calls = {called, "other"}, .digest = policy},
                                one_more);
        });
    }
}

TEST_CASE("an_operation_without_memory_for_its_run_timeout_is_not_declared") {
    declare_at_each_fault([](runtime& rt, const std::string& name, int number) {
        return rt.operation(name, {.run_timeout = 1h + number * 1ns}, one_more);
    });
}

TEST_CASE("an_operation_that_takes_a_stop_token_and_has_no_memory_is_not_declared") {
    declare_at_each_fault([](runtime& rt, const std::string& name, int) {
        return rt.operation(name, [kept = std::string(100, 'x')](const std::stop_token&, int n) {
            return n + static_cast<int>(kept.size()) - 99;
        });
    });
}

}  // namespace tokengate::test
