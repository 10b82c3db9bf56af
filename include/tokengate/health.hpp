// SPDX-License-Identifier: Apache-2.0
/// @file
/// How operations are doing: their reputation, what is done about a bad one, and alerts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tokengate/stats.hpp>

namespace tokengate {

/// When an operation that fails is blocked: its calls throw operation_blocked then. What was
/// accepted before runs on.
struct health_limits {
    /// Whether it is blocked at all.
    bool block = false;

    /// Blocked if a larger part of the attempts in the window has failed: 0 to less than 1.
    double block_above = 0.9;

    /// Fewer attempts in the window than that never block: 1 to 1,000,000.
    std::size_t attempts = 10;

    /// How long attempts count, in op.health() too; more than 0. It is cut into ten slices, which
    /// are forgotten one by one.
    std::chrono::nanoseconds window = std::chrono::seconds(60);

    /// How long after that, and after each probe that has failed, one call is let through as a
    /// probe: 0, which is the next call, or more.
    std::chrono::nanoseconds probe_after = std::chrono::seconds(30);
};

/// What counts as a spike: a run time, or a size of arguments, that is out of the ordinary. The
/// ordinary is a moving average, of which each sample, spikes too, moves an eighth.
struct spike_limits {
    /// How many times the average is a spike: 1 to 1,000,000,000. 0: nothing is.
    double factor = 0;

    /// How many samples an average needs before it says anything: 1 to 1,000,000.
    std::size_t samples = 5;

    /// Whether a spike pauses the operation, as op.pause() does: op.resume() lets its tokens go on,
    /// op.cancel() discards them. A token whose arguments are the spike is one of them: it waits
    /// before its callable has begun.
    bool quarantine = false;
};

/// What is to be thought of an operation, by the part of its attempts that succeed.
enum class health_level : std::uint8_t {
    unknown,      ///< fewer than 5 attempts
    excellent,    ///< 95 % or more
    healthy,      ///< 80 % or more
    at_risk,      ///< 50 % or more
    problematic,  ///< less than that
};

/// The name as in the enumeration.
[[nodiscard]] constexpr std::string_view to_string(health_level value) noexcept {
    switch (value) {
        case health_level::unknown: return "unknown";
        case health_level::excellent: return "excellent";
        case health_level::healthy: return "healthy";
        case health_level::at_risk: return "at_risk";
        case health_level::problematic: return "problematic";
    }
    return "unknown";
}

/// How an operation is doing. An attempt is a run of its callable that has ended: it has succeeded
/// if it has returned, and failed if it has thrown or run into its run_timeout. One that was killed
/// meanwhile is none.
struct health_report {
    std::string_view operation;                  ///< its name; valid to the end of the process
    health_level level = health_level::unknown;  ///< what is to be thought of it
    std::uint64_t attempts = 0;                  ///< in the window
    std::uint64_t failures = 0;                  ///< of these
    double failure_rate = 0;                     ///< 0 to 1; 0 without attempts

    /// The length of the window. 0 for an operation that is not timed: then all is counted since
    /// the runtime was made, and a token that timed out while it waited counts as an attempt.
    std::chrono::nanoseconds window{};

    std::optional<time_stats> wait;  ///< as in operation_stats
    std::optional<time_stats> run;   ///< as in operation_stats
    bool blocked = false;            ///< its calls throw operation_blocked
    bool probing = false;            ///< blocked, and a probe is under way
};

/// What an alert is about.
enum class alert_kind : std::uint8_t {
    slow,         ///< a callable has run for longer than slow_after, and still does
    blocked,      ///< an operation fails too often, or its probe has failed
    unblocked,    ///< its probe has succeeded, or somebody has called unblock()
    probing,      ///< a call is let through as a probe
    spike,        ///< a run time or a size of arguments is out of the ordinary
    quarantined,  ///< an operation was paused because of that
};

/// The name as in the enumeration.
[[nodiscard]] constexpr std::string_view to_string(alert_kind value) noexcept {
    switch (value) {
        case alert_kind::slow: return "slow";
        case alert_kind::blocked: return "blocked";
        case alert_kind::unblocked: return "unblocked";
        case alert_kind::probing: return "probing";
        case alert_kind::spike: return "spike";
        case alert_kind::quarantined: return "quarantined";
    }
    return "unknown";
}

/// Something that somebody should know.
struct alert {
    alert_kind kind = alert_kind::slow;  ///< what it is about
    std::string_view operation;          ///< its name; valid to the end of the process
    std::uint64_t token = 0;             ///< the id of the token that it is about; 0: of none
    std::optional<unsigned> domain;      ///< where that runs; nothing if it does not
    std::string worker;       ///< the name of the thread that runs it, "tg-0.1"; or empty
    std::int64_t thread = 0;  ///< the system's number of that thread; or 0
    std::string text;         ///< what has happened, in a sentence
    double measured = 0;      ///< slow, spike: what was seen; blocked: the failure rate
    double limit = 0;         ///< what it is beyond
    std::string_view unit;    ///< of both: "ns", "bytes", "rate"; empty: there are none
};

}  // namespace tokengate
