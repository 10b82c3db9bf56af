// SPDX-License-Identifier: Apache-2.0
// How code, environment and defaults become settings.
#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/config.hpp>
#include <tokengate/error.hpp>

#include "config/defaults.hpp"
#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

namespace usual = detail::defaults;
using namespace std::chrono_literals;

/// None of our variables is set while it lives.
class clean_environment {
    clean_hwloc_environment hwloc_;
    scoped_variable cores_{"TOKENGATE_CORES", nullptr};
    scoped_variable workers_{"TOKENGATE_WORKERS_PER_CORE", nullptr};
    scoped_variable slots_{"TOKENGATE_ARENA_SLOTS", nullptr};
    scoped_variable mailbox_{"TOKENGATE_MAILBOX_CAPACITY", nullptr};
    scoped_variable in_flight_{"TOKENGATE_IN_FLIGHT_LIMIT", nullptr};
    scoped_variable memory_{"TOKENGATE_MEMORY_LIMIT", nullptr};
    scoped_variable memory_policy_{"TOKENGATE_MEMORY_POLICY", nullptr};
    scoped_variable operations_{"TOKENGATE_OPERATION_LIMIT", nullptr};
    scoped_variable stride_{"TOKENGATE_RETRY_STRIDE", nullptr};
    scoped_variable spin_{"TOKENGATE_SPIN_TIME", nullptr};
    scoped_variable depth_{"TOKENGATE_HELP_DEPTH", nullptr};
    scoped_variable history_{"TOKENGATE_HISTORY", nullptr};
    scoped_variable scope_{"TOKENGATE_SCOPE", nullptr};
    scoped_variable steal_{"TOKENGATE_STEAL", nullptr};
    scoped_variable binding_{"TOKENGATE_BINDING", nullptr};
    scoped_variable heavy_{"TOKENGATE_FIRST_HEAVY", nullptr};
    scoped_variable medium_{"TOKENGATE_FIRST_MEDIUM", nullptr};
    scoped_variable light_{"TOKENGATE_FIRST_LIGHT", nullptr};
};

settings resolved(const config& wanted) {
    std::optional<topology> machine;
    return resolve(wanted, machine);
}

/// What config_error says about it; empty if nothing is wrong.
std::string complaint(const config& wanted) {
    try {
        static_cast<void>(resolved(wanted));
    } catch (const config_error& wrong) {
        return wrong.what();
    }
    return "";
}

std::string source_of(const settings& from, std::string_view name) {
    for (const settings::line& each : from.lines) {
        if (each.name == name) return each.value + " from " + each.source;
    }
    return "no such line";
}

}  // namespace

TEST_CASE("defaults_hold_where_nobody_says_otherwise") {
    const clean_environment clean;
    const settings found = resolved({.synthetic = big_machine});
    CHECK(found.cores == 64);
    CHECK(found.workers_per_core == static_cast<unsigned>(usual::workers_per_core));
    CHECK(found.arena_slots == usual::arena_slots);
    CHECK(found.mailbox_capacity == static_cast<std::size_t>(usual::mailbox_capacity));
    CHECK(found.in_flight_limit == static_cast<std::size_t>(usual::in_flight_limit));
    CHECK(found.memory_limit == static_cast<std::size_t>(usual::memory_limit));
    CHECK(found.memory_policy == usual::memory_policy);
    CHECK(found.operation_limit == static_cast<unsigned>(usual::operation_limit));
    CHECK(found.retry_stride == static_cast<unsigned>(usual::retry_stride));
    CHECK(found.spin_time.count() == usual::spin_time_us);
    CHECK(found.help_depth == static_cast<unsigned>(usual::help_depth));
    CHECK(found.history == static_cast<std::size_t>(usual::history));
    CHECK(found.scope == usual::domain_scope);
    CHECK(found.binding == usual::binding);
    CHECK(source_of(found, "cores") == "64 from default");
    CHECK(source_of(found, "retry_stride") ==
          std::to_string(usual::retry_stride) + " from default");
}

TEST_CASE("the_environment_goes_over_defaults_and_code_over_both") {
    const clean_environment clean;
    const scoped_variable cores("TOKENGATE_CORES", "5");
    const scoped_variable spin("TOKENGATE_SPIN_TIME", "77");
    const scoped_variable operations("TOKENGATE_OPERATION_LIMIT", "12");
    const scoped_variable memory("TOKENGATE_MEMORY_LIMIT", "4096");
    const scoped_variable policy("TOKENGATE_MEMORY_POLICY", "drop_oldest");
    const scoped_variable steal("TOKENGATE_STEAL", "soft");
    const scoped_variable binding("TOKENGATE_BINDING", "off");
    const scoped_variable scope("TOKENGATE_SCOPE", "l3");
    const scoped_variable light("TOKENGATE_FIRST_LIGHT", "4");
    const settings from_environment = resolved({.synthetic = big_machine});
    CHECK(from_environment.cores == 5);
    CHECK(from_environment.spin_time == 77us);
    CHECK(from_environment.operation_limit == 12);
    CHECK(from_environment.memory_limit == 4096);
    CHECK(from_environment.memory_policy == when_full::drop_oldest);
    CHECK_FALSE(from_environment.strict_stealing);
    CHECK_FALSE(from_environment.binding);
    CHECK(from_environment.scope == domain_scope::l3);
    CHECK(from_environment.first_core[index_of(weight::light)] == 4);
    CHECK(source_of(from_environment, "cores") == "5 from environment");

    const settings from_code = resolved({.cores = 3,
                                         .memory_limit = 0,
                                         .memory_policy = when_full::refuse,
                                         .operation_limit = 7,
                                         .spin_time = 1us,
                                         .scope = domain_scope::core,
                                         .steal = stealing::strict,
                                         .binding = true,
                                         .first_core = {.heavy = {}, .medium = {}, .light = 1},
                                         .synthetic = big_machine});
    CHECK(from_code.cores == 3);
    CHECK(from_code.spin_time == 1us);
    CHECK(from_code.operation_limit == 7);
    CHECK(from_code.memory_limit == 0);
    CHECK(from_code.memory_policy == when_full::refuse);
    CHECK(from_code.strict_stealing);
    CHECK(from_code.binding);
    CHECK(from_code.scope == domain_scope::core);
    CHECK(from_code.first_core[index_of(weight::light)] == 1);
    CHECK(source_of(from_code, "cores") == "3 from code");
    CHECK(source_of(from_code, "steal") == "strict from code");
}

TEST_CASE("an_empty_variable_is_as_good_as_none") {
    const clean_environment clean;
    const scoped_variable cores("TOKENGATE_CORES", "");
    CHECK(source_of(resolved({.synthetic = big_machine}), "cores") == "64 from default");
}

TEST_CASE("every_wrong_field_is_named_with_its_range_in_one_message") {
    const clean_environment clean;
    const std::string text = complaint({.cores = 0,
                                        .workers_per_core = 65,
                                        .arena_slots = -2,
                                        .mailbox_capacity = 0,
                                        .in_flight_limit = -1,
                                        .memory_limit = -1,
                                        .operation_limit = 0,
                                        .retry_stride = 0,
                                        .spin_time = -1us,
                                        .help_depth = 1025,
                                        .history = 1'000'001});
    for (const char* part :
         {"cores is 0; allowed are 1 to 1024", "workers_per_core is 65; allowed are 1 to 64",
          "arena_slots is -2; allowed are -1 to 1024", "mailbox_capacity is 0; allowed are 1 to",
          "in_flight_limit is -1; allowed are 1 to",
          "memory_limit is -1; allowed are 0 to 1125899906842624",
          "operation_limit is 0; allowed are 1 to 1048576",
          "retry_stride is 0; allowed are 1 to 1000000",
          "spin_time is -1; allowed are 0 to 1000000", "help_depth is 1025; allowed are 0 to 1024",
          "history is 1000001; allowed are 0 to 1000000"}) {
        INFO(std::string(part));
        CHECK(contains(text, part));
    }
}

TEST_CASE("a_wrong_first_core_is_named_together_with_other_wrong_fields") {
    const clean_environment clean;
    const std::string text =
        complaint({.workers_per_core = 0, .first_core = {.heavy = -1, .medium = {}, .light = {}}});
    CHECK(contains(text, "workers_per_core"));
    CHECK(contains(text, "first_core.heavy"));
}

TEST_CASE("negative_and_huge_numbers_are_refused") {
    const clean_environment clean;
    CHECK(contains(complaint({.cores = -4}), "cores is -4"));
    CHECK(contains(complaint({.cores = 1025}), "cores is 1025"));
    CHECK(
        contains(complaint({.mailbox_capacity = (std::int64_t{1} << 30) + 1}), "mailbox_capacity"));
    CHECK(contains(complaint({.in_flight_limit = (std::int64_t{1} << 40) + 1}), "in_flight_limit"));
    CHECK(contains(complaint({.operation_limit = (1 << 20) + 1}), "operation_limit"));
    CHECK(contains(complaint({.cores = 1024, .workers_per_core = 5}), "at most 4096"));
}

TEST_CASE("variables_that_cannot_be_read_are_named_with_what_is_allowed") {
    const clean_environment clean;
    struct expectation {
        const char* name;
        const char* value;
        const char* part;
    };
    for (const expectation& each :
         {expectation{"TOKENGATE_CORES", "four", "not a whole number; allowed are 1 to 1024"},
          expectation{"TOKENGATE_CORES", "4x", "not a whole number"},
          expectation{"TOKENGATE_CORES", "2.5", "not a whole number"},
          expectation{"TOKENGATE_CORES", "0", "allowed are 1 to 1024"},
          expectation{"TOKENGATE_CORES", "99999999999999999999", "not a whole number"},
          expectation{"TOKENGATE_OPERATION_LIMIT", "0", "allowed are 1 to 1048576"},
          expectation{"TOKENGATE_RETRY_STRIDE", "0", "allowed are 1 to 1000000"},
          expectation{"TOKENGATE_SCOPE", "socket", "allowed are core, l2, l3, numa"},
          expectation{"TOKENGATE_STEAL", "never", "allowed are automatic, strict, soft"},
          expectation{"TOKENGATE_BINDING", "maybe", "allowed are true, false"},
          expectation{"TOKENGATE_FIRST_HEAVY", "64", "allowed are 0 to 63"},
          expectation{"TOKENGATE_FIRST_HEAVY", "-1", "allowed are 0 to 63"}}) {
        const std::string name = each.name;
        const std::string value = each.value;
        INFO(name, "=", value);
        const scoped_variable variable(name, each.value);
        const std::string text = complaint({.synthetic = big_machine});
        CHECK(contains(text, name + " is '" + value + "'"));
        CHECK(contains(text, each.part));
    }
}

TEST_CASE("first_cores_fall_back_only_if_nobody_chose_them") {
    const clean_environment clean;
    const auto firsts = [](int cores) { return resolved({.cores = cores}).first_core; };
    CHECK(firsts(1) == std::array<unsigned, 3>{0, 0, 0});
    CHECK(firsts(2) == std::array<unsigned, 3>{0, 1, 1});
    CHECK(firsts(3) == std::array<unsigned, 3>{0, 1, 2});
    CHECK(firsts(64) == std::array<unsigned, 3>{0, 1, 2});
    const first_cores too_far{.heavy = {}, .medium = {}, .light = 2};
    CHECK(contains(complaint({.cores = 2, .first_core = too_far}),
                   "first_core.light is 2; allowed are 0 to 1"));
}

TEST_CASE("automatic_stealing_is_soft_below_four_domains_and_strict_from_there") {
    const clean_environment clean;
    for (const int cores : {1, 2, 3, 4, 8, 64}) {
        INFO(cores, " domains");
        const settings found = resolved({.cores = cores, .steal = stealing::automatic});
        CHECK(found.strict_stealing == (cores >= 4));
        CHECK(resolved({.cores = cores, .steal = stealing::strict}).strict_stealing);
        CHECK_FALSE(resolved({.cores = cores, .steal = stealing::soft}).strict_stealing);
    }
    CHECK(source_of(resolved({.cores = 4}), "steal") == "automatic (strict) from default");
    CHECK(source_of(resolved({.cores = 2}), "steal") == "automatic (soft) from default");
}

TEST_CASE("describe_lists_every_setting_with_its_source") {
    const clean_environment clean;
    const settings found = resolved({.cores = 3});
    const std::string text = describe(found);
    for (const char* name :
         {"cores", "workers_per_core", "arena_slots", "mailbox_capacity", "in_flight_limit",
          "memory_limit", "memory_policy", "operation_limit", "retry_stride", "spin_time",
          "help_depth", "history", "scope", "steal", "binding", "first_core.heavy",
          "first_core.medium", "first_core.light", "topology"}) {
        INFO(std::string(name));
        CHECK(contains(text, std::string("  ") + name + " "));
        CHECK(source_of(found, name) != "no such line");
    }
    CHECK(contains(text, "(code)"));
    CHECK(contains(text, "(default)"));
}

TEST_CASE("stealing_has_names") {
    CHECK(to_string(stealing::automatic) == "automatic");
    CHECK(to_string(stealing::strict) == "strict");
    CHECK(to_string(stealing::soft) == "soft");
}

}  // namespace tokengate::test
