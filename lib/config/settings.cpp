// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include <tokengate/config.hpp>
#include <tokengate/error.hpp>

#include "config/defaults.hpp"

namespace tokengate {

namespace {

constexpr std::int64_t largest_cores = 1024;
constexpr std::int64_t largest_workers_per_core = 64;
constexpr std::int64_t largest_workers = 4096;
constexpr std::int64_t largest_arena_slots = 1024;
constexpr std::int64_t largest_mailbox = std::int64_t{1} << 30;
constexpr std::int64_t largest_in_flight = std::int64_t{1} << 40;
constexpr std::int64_t largest_memory = std::int64_t{1} << 50;
constexpr std::int64_t largest_deque = std::int64_t{1} << 20;
constexpr std::int64_t fewest_sticky_slots = 16;
constexpr std::int64_t most_sticky_slots = std::int64_t{1} << 24;
constexpr std::int64_t most_operations = std::int64_t{1} << 20;
constexpr std::int64_t most_reserve_workers = 256;
constexpr std::int64_t largest_stride = 1'000'000;
constexpr std::int64_t largest_spin_us = 1'000'000;
constexpr std::int64_t largest_help_depth = 1024;
constexpr std::int64_t longest_history = 1'000'000;

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return std::string(value);
}

/// Takes each setting from code, environment or default, in this order; keeps what holds and
/// collects what is wrong.
class resolver {
  public:
    /// A whole number in [low, high].
    std::int64_t number(const char* field, const char* environment,
                        std::optional<std::int64_t> code, std::int64_t fallback, std::int64_t low,
                        std::int64_t high) {
        const std::string allowed =
            "allowed are " + std::to_string(low) + " to " + std::to_string(high);
        if (code) {
            if (*code < low || *code > high) {
                wrong(std::string(field) + " is " + std::to_string(*code) + "; " + allowed);
                return fallback;
            }
            note(field, std::to_string(*code), "code");
            return *code;
        }
        if (const auto text = variable(environment)) {
            std::int64_t value = 0;
            const char* end = text->data() + text->size();
            const auto parsed = std::from_chars(text->data(), end, value);
            if (parsed.ec != std::errc() || parsed.ptr != end) {
                wrong(quoted(environment, *text) + ", which is not a whole number; " + allowed);
                return fallback;
            }
            if (value < low || value > high) {
                wrong(quoted(environment, *text) + "; " + allowed);
                return fallback;
            }
            note(field, *text, "environment");
            return value;
        }
        note(field, std::to_string(fallback), "default");
        return fallback;
    }

    /// One of several words.
    template <class T>
    T choice(const char* field, const char* environment, std::optional<T> code, T fallback,
             std::initializer_list<T> all) {
        if (code) {
            note(field, std::string(to_string(*code)), "code");
            return *code;
        }
        if (const auto text = variable(environment)) {
            note(field, *text, "environment");
            std::string allowed;
            for (const T each : all) {
                if (to_string(each) == *text) return each;
                allowed += (allowed.empty() ? "" : ", ") + std::string(to_string(each));
            }
            wrong(quoted(environment, *text) + "; allowed are " + allowed);
            return fallback;
        }
        note(field, std::string(to_string(fallback)), "default");
        return fallback;
    }

    bool flag(const char* field, const char* environment, std::optional<bool> code, bool fallback) {
        if (code) {
            note(field, *code ? "true" : "false", "code");
            return *code;
        }
        if (const auto text = variable(environment)) {
            note(field, *text, "environment");
            for (const char* word : {"true", "1", "on", "yes"}) {
                if (*text == word) return true;
            }
            for (const char* word : {"false", "0", "off", "no"}) {
                if (*text == word) return false;
            }
            wrong(quoted(environment, *text) +
                  "; allowed are true, false, 1, 0, on, off, yes and no");
            return fallback;
        }
        note(field, fallback ? "true" : "false", "default");
        return fallback;
    }

    /// The first core of a class. What the user did not choose falls back on small machines.
    unsigned first_core(const char* field, const char* environment, std::optional<int> code,
                        int fallback, unsigned cores) {
        const bool chosen = code.has_value() || variable(environment).has_value();
        const auto last = static_cast<std::int64_t>(cores) - 1;
        const std::int64_t usual = chosen ? fallback : std::min<std::int64_t>(fallback, last);
        return static_cast<unsigned>(number(field, environment, code, usual, 0, last));
    }

    void wrong(std::string what) { errors_.push_back(std::move(what)); }

    void note(std::string name, std::string value, std::string source) {
        lines_.push_back(
            {.name = std::move(name), .value = std::move(value), .source = std::move(source)});
    }

    /// Replaces the value of a line, once it is known.
    void settle(std::string_view name, std::string value) {
        const auto named = std::find_if(lines_.begin(), lines_.end(),
                                        [&](const auto& each) { return each.name == name; });
        if (named != lines_.end()) named->value = std::move(value);
    }

    void throw_if_wrong() const {
        if (errors_.empty()) return;
        std::string message = "the configuration is wrong: ";
        for (std::size_t i = 0; i < errors_.size(); ++i) {
            message += (i == 0 ? "" : "; and ") + errors_[i];
        }
        throw config_error(message);
    }

    [[nodiscard]] std::vector<settings::line> take_lines() { return std::move(lines_); }

  private:
    static std::string quoted(const char* environment, const std::string& text) {
        return std::string(environment) + " is '" + text + "'";
    }

    std::vector<settings::line> lines_;
    std::vector<std::string> errors_;
};

template <class T>
std::optional<std::int64_t> wide(std::optional<T> value) {
    return value ? std::optional<std::int64_t>(*value) : std::nullopt;
}

}  // namespace

std::string_view to_string(stealing value) noexcept {
    switch (value) {
        case stealing::automatic: return "automatic";
        case stealing::strict: return "strict";
        case stealing::soft: return "soft";
    }
    return "unknown";
}

settings resolve(const config& wanted, std::optional<topology>& machine) {
    namespace usual = detail::defaults;
    resolver ask;
    settings result;

    // 0 stands for what the topology gives; only a default can be that.
    const std::int64_t cores =
        ask.number("cores", "TOKENGATE_CORES", wide(wanted.cores), 0, 1, largest_cores);
    result.workers_per_core = static_cast<unsigned>(
        ask.number("workers_per_core", "TOKENGATE_WORKERS_PER_CORE", wide(wanted.workers_per_core),
                   usual::workers_per_core, 1, largest_workers_per_core));
    result.arena_slots = static_cast<int>(ask.number("arena_slots", "TOKENGATE_ARENA_SLOTS",
                                                     wide(wanted.arena_slots), usual::arena_slots,
                                                     -1, largest_arena_slots));
    result.mailbox_capacity = static_cast<std::size_t>(
        ask.number("mailbox_capacity", "TOKENGATE_MAILBOX_CAPACITY", wanted.mailbox_capacity,
                   usual::mailbox_capacity, 1, largest_mailbox));
    result.in_flight_limit = static_cast<std::size_t>(
        ask.number("in_flight_limit", "TOKENGATE_IN_FLIGHT_LIMIT", wanted.in_flight_limit,
                   usual::in_flight_limit, 1, largest_in_flight));
    result.memory_limit = static_cast<std::size_t>(
        ask.number("memory_limit", "TOKENGATE_MEMORY_LIMIT", wanted.memory_limit,
                   usual::memory_limit, 0, largest_memory));
    result.memory_policy = ask.choice(
        "memory_policy", "TOKENGATE_MEMORY_POLICY", wanted.memory_policy, usual::memory_policy,
        {when_full::block, when_full::refuse, when_full::drop_oldest});
    result.deque_capacity = std::bit_ceil(static_cast<std::size_t>(
        ask.number("deque_capacity", "TOKENGATE_DEQUE_CAPACITY", wide(wanted.deque_capacity),
                   usual::deque_capacity, 2, largest_deque)));
    result.sticky_slots = std::bit_ceil(static_cast<std::size_t>(
        ask.number("sticky_slots", "TOKENGATE_STICKY_SLOTS", wide(wanted.sticky_slots),
                   usual::sticky_slots, fewest_sticky_slots, most_sticky_slots)));
    result.operation_limit = static_cast<std::uint32_t>(
        ask.number("operation_limit", "TOKENGATE_OPERATION_LIMIT", wide(wanted.operation_limit),
                   usual::operation_limit, 1, most_operations));
    result.reserve_workers = static_cast<unsigned>(
        ask.number("reserve_workers", "TOKENGATE_RESERVE_WORKERS", wide(wanted.reserve_workers),
                   usual::reserve_workers, 0, most_reserve_workers));
    result.retry_stride = static_cast<unsigned>(ask.number("retry_stride", "TOKENGATE_RETRY_STRIDE",
                                                           wide(wanted.retry_stride),
                                                           usual::retry_stride, 1, largest_stride));
    std::optional<std::int64_t> spin;
    if (wanted.spin_time) spin = wanted.spin_time->count();
    result.spin_time = std::chrono::microseconds(ask.number(
        "spin_time", "TOKENGATE_SPIN_TIME", spin, usual::spin_time_us, 0, largest_spin_us));
    result.help_depth = static_cast<unsigned>(ask.number("help_depth", "TOKENGATE_HELP_DEPTH",
                                                         wide(wanted.help_depth), usual::help_depth,
                                                         0, largest_help_depth));
    result.history = static_cast<std::size_t>(ask.number(
        "history", "TOKENGATE_HISTORY", wanted.history, usual::history, 0, longest_history));
    result.scope =
        ask.choice("scope", "TOKENGATE_SCOPE", wanted.scope, usual::domain_scope,
                   {domain_scope::core, domain_scope::l2, domain_scope::l3, domain_scope::numa});
    const stealing steal = ask.choice("steal", "TOKENGATE_STEAL", wanted.steal, usual::stealing,
                                      {stealing::automatic, stealing::strict, stealing::soft});
    result.binding = ask.flag("binding", "TOKENGATE_BINDING", wanted.binding, usual::binding);

    topology_request request{.scope = result.scope,
                             .domains = std::nullopt,
                             .synthetic = wanted.synthetic,
                             .xml_file = wanted.xml_file};
    if (cores > 0) request.domains = static_cast<unsigned>(cores);
    try {
        machine = topology::discover(request);
    } catch (const topology_error&) {
        // What is wrong besides is said first; the rest cannot be checked without a topology.
        ask.throw_if_wrong();
        throw;
    }
    result.cores = static_cast<unsigned>(machine->size());
    ask.settle("cores", std::to_string(result.cores));

    result.first_core = {
        ask.first_core("first_core.heavy", "TOKENGATE_FIRST_HEAVY", wanted.first_core.heavy,
                       usual::first_core_heavy, result.cores),
        ask.first_core("first_core.medium", "TOKENGATE_FIRST_MEDIUM", wanted.first_core.medium,
                       usual::first_core_medium, result.cores),
        ask.first_core("first_core.light", "TOKENGATE_FIRST_LIGHT", wanted.first_core.light,
                       usual::first_core_light, result.cores)};
    const std::int64_t workers = std::int64_t{result.cores} * result.workers_per_core;
    if (workers > largest_workers) {
        ask.wrong("cores times workers_per_core is " + std::to_string(result.cores) + " times " +
                  std::to_string(result.workers_per_core) + ", " + std::to_string(workers) +
                  " worker threads; allowed are at most " + std::to_string(largest_workers));
    }
    ask.throw_if_wrong();

    // Below four domains strict ranges would idle a third of the machine or more.
    constexpr unsigned strict_from = 4;
    result.strict_stealing =
        steal == stealing::strict || (steal == stealing::automatic && result.cores >= strict_from);
    if (steal == stealing::automatic) {
        ask.settle("steal", result.strict_stealing ? "automatic (strict)" : "automatic (soft)");
    }
    ask.note("topology", machine->source(), "hwloc");
    result.lines = ask.take_lines();
    return result;
}

std::string describe(const settings& resolved) {
    std::size_t name_width = 0;
    std::size_t value_width = 0;
    for (const settings::line& each : resolved.lines) {
        name_width = std::max(name_width, each.name.size());
        value_width = std::max(value_width, each.value.size());
    }
    std::string text = "TokenGate runs with\n";
    for (const settings::line& each : resolved.lines) {
        text += "  " + each.name + std::string(name_width - each.name.size() + 2, ' ') + each.value;
        text += std::string(value_width - each.value.size() + 2, ' ') + "(" + each.source + ")\n";
    }
    return text;
}

}  // namespace tokengate
