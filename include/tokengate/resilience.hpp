// SPDX-License-Identifier: Apache-2.0
/// @file
/// What happens to calls that fail, come too often or come twice.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string_view>

#include <tokengate/argument.hpp>

namespace tokengate {

/// How often a callable that throws is called again, and how long after. The token fails with the
/// exception of its last attempt.
///
/// Before the n-th retry passes `initial_delay * factor^(n-1)`, at most `max_delay`, of which the
/// part `jitter` is random.
///
/// Each attempt gets copies of the arguments, but for parameters that are const references; a
/// parameter by value or rvalue reference must be of a type that may be copied for that, see
/// tokengate::copied_for_retry.
struct retry_policy {
    /// How often the callable is called at most: 1 to 1000. 1: no retries.
    unsigned attempts = 1;

    /// How long the first retry waits: 0 to max_delay.
    std::chrono::nanoseconds initial_delay = {};

    /// By what each further retry waits longer: 1 to 1000.
    double factor = 2;

    /// No retry waits longer: 0 or more.
    std::chrono::nanoseconds max_delay = std::chrono::seconds(30);

    /// The part of each delay that is random: 0 to 1. A delay d is drawn evenly from
    /// d * (1 - jitter) to d, both included: with 0 it is d, with 1 anything down to nothing. Calls
    /// that have failed together are thus retried apart.
    double jitter = 0;

    /// After which exceptions there is a retry; empty: after any. Called by the worker that has
    /// made the attempt, by several at once.
    std::function<bool(const std::exception_ptr&)> when = {};

    /// False if running the callable again may do harm. Then `when` is required, to say after which
    /// exceptions nothing has happened yet.
    bool idempotent = true;

    /// For work of microseconds: up to 5 retries, after 1, 2, 4, 8 and 16 ms. As in all presets,
    /// half of each delay is random.
    [[nodiscard]] static retry_policy trivial();

    /// For work of milliseconds: up to 4 retries, after 10, 20, 40 and 80 ms.
    [[nodiscard]] static retry_policy simple();

    /// For work of tenths of a second: up to 3 retries, after 100, 200 and 400 ms.
    [[nodiscard]] static retry_policy moderate();

    /// For work of seconds: up to 2 retries, after 1 and 2 s.
    [[nodiscard]] static retry_policy complex();

    /// For work of minutes: up to 2 retries, after 10 and 20 s.
    [[nodiscard]] static retry_policy extreme();
};

/// How fast the storage is that a callable works on: how many of its kind may run at once in the
/// whole process, all runtimes together.
enum class storage : std::uint8_t {
    none,      ///< it uses none; no limit
    slow,      ///< a disk, a network drive: 10
    moderate,  ///< a solid-state drive: 25
    fast,      ///< an NVMe drive: 50
    insane,    ///< several of those, or memory: 70
};

/// The name of a kind of storage as users write it.
[[nodiscard]] constexpr std::string_view to_string(storage value) noexcept {
    switch (value) {
        case storage::none: return "none";
        case storage::slow: return "slow";
        case storage::moderate: return "moderate";
        case storage::fast: return "fast";
        case storage::insane: return "insane";
    }
    return "unknown";
}

/// How many callables may work on such storage at once, in the whole process; 0: any number.
[[nodiscard]] constexpr std::size_t most_at_once(storage value) noexcept {
    switch (value) {
        case storage::none: return 0;
        case storage::slow: return 10;
        case storage::moderate: return 25;
        case storage::fast: return 50;
        case storage::insane: return 70;
    }
    return 0;
}

/// What a kind of storage is doing at this moment.
struct storage_stats {
    std::size_t limit = 0;       ///< callables that may work on it at once
    std::size_t executing = 0;   ///< those that do
    std::size_t waiting = 0;     ///< tokens that wait for their turn
    std::uint64_t executed = 0;  ///< callables that have returned
};

/// Changes how many callables may work on such storage at once, in the whole process. Those that do
/// go on; if there are more than that, nothing begins before they are fewer. Any thread. A lock.
/// @param kind   not none
/// @param limit  1 to 1,000,000
/// @throws config_error if there is no such storage or limit
void set_storage_limit(storage kind, std::size_t limit);

/// What a kind of storage is doing. Any thread. A lock.
/// @throws config_error if it is none
[[nodiscard]] storage_stats stats_of(storage kind);

/// What becomes of a call while a call of the same operation with equal arguments is in flight.
enum class duplicates : std::uint8_t {
    allow,     ///< it runs, too
    coalesce,  ///< it gets the token of the other: the callable runs once for both
};

/// The name as users write it.
[[nodiscard]] constexpr std::string_view to_string(duplicates value) noexcept {
    switch (value) {
        case duplicates::allow: return "allow";
        case duplicates::coalesce: return "coalesce";
    }
    return "unknown";
}

/// What becomes of a call for which a limit has no room. try_call() never blocks and never throws
/// call_refused: it returns nothing.
enum class when_full : std::uint8_t {
    /// It waits until there is room; a worker runs other tokens meanwhile. What a worker waits for
    /// may need that very call: so it goes beyond the limit if all that holds room is on its own
    /// stack (a token that calls its own operation), or if all workers wait for something and have
    /// done so for a while, and nothing of the operation is paused or about to be retried.
    block,
    /// It throws call_refused.
    refuse,
    /// It takes the place of the oldest token of its operation that has not begun, which is killed;
    /// if there is none, it throws call_refused.
    drop_oldest,
};

/// The name as users write it.
[[nodiscard]] constexpr std::string_view to_string(when_full value) noexcept {
    switch (value) {
        case when_full::block: return "block";
        case when_full::refuse: return "refuse";
        case when_full::drop_oldest: return "drop_oldest";
    }
    return "unknown";
}

/// Time limits of single calls, see operation::with(). 0: that of the operation.
struct time_limits {
    std::chrono::nanoseconds queue_timeout = {};  ///< how long the token may wait until it begins
    std::chrono::nanoseconds run_timeout = {};    ///< how long its callable may run
};

/// How often an operation may be called.
struct rate_limit {
    /// Calls per second in the long run: 0.000001 to 1000000000. 0: any number.
    double per_second = 0;

    /// How many calls may come at once after a pause: 1 to 1000000000.
    double burst = 1;

    /// What becomes of a call that comes too early.
    when_full policy = when_full::block;
};

/// How many tokens of an operation may be in flight, that is accepted and not ended.
struct in_flight_limit {
    /// Up to 1099511627776 (2^40). 0: any number.
    std::size_t tokens = 0;

    /// What becomes of a call beyond them.
    when_full policy = when_full::block;
};

}  // namespace tokengate
