// SPDX-License-Identifier: Apache-2.0
/// @file
/// Memory and threads that the system refuses, one after another.
///
/// What is refused: operator new in all its forms, of this program and of the library, and
/// pthread_create(). What is not: malloc(), which hwloc, Crypto++, oneTBB and the C library call.
/// oneTBB's own allocator asks the system for large pieces, in an order that nothing here can
/// control, and its beginning in a process cannot be tried again (see programs.cpp); hwloc and
/// Crypto++ tell of a refusal as of any other error.
#pragma once

#include <cstdint>
#include <new>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "ledger.hpp"

namespace tokengate::test {

/// Which requests are refused. Counted from 1.
struct fault {
    std::uint64_t number = 1;  ///< the first that is refused
    bool lasting = false;      ///< all later ones, too
    bool all_threads = false;  ///< those of all threads count, not only those of the one that asks
};

/// While it lives, allocations are refused. One at a time in the process.
class refused_memory {
  public:
    explicit refused_memory(const fault& which) noexcept;
    ~refused_memory();
    refused_memory(const refused_memory&) = delete;
    refused_memory& operator=(const refused_memory&) = delete;

    /// How many the last one has refused.
    [[nodiscard]] static std::uint64_t count() noexcept;
};

/// Memory that was asked for.
struct memory_asked {
    std::uint64_t requests = 0;
    std::uint64_t bytes = 0;

    bool operator==(const memory_asked&) const = default;
};

/// While it lives, requests are counted and none is refused: those of the calling thread, or of
/// all. No other at the same time, and no refused_memory.
class counted_memory {
  public:
    explicit counted_memory(bool all_threads = false) noexcept;
    ~counted_memory();
    counted_memory(const counted_memory&) = delete;
    counted_memory& operator=(const counted_memory&) = delete;

    /// Since the last one began.
    [[nodiscard]] static memory_asked asked() noexcept;
};

/// While it lives, the system has no more thread to give (EAGAIN), to nobody in the process.
class refused_threads {
  public:
    explicit refused_threads(const fault& which) noexcept;
    ~refused_threads();
    refused_threads(const refused_threads&) = delete;
    refused_threads& operator=(const refused_threads&) = delete;

    /// How many the last one has refused.
    [[nodiscard]] static std::uint64_t count() noexcept;
};

/// How something ended that was refused something.
struct ending {
    bool done = false;     ///< nothing was thrown
    bool refused = false;  ///< a request was refused
    std::string error;     ///< what was thrown: nothing, "bad_alloc", or what a resource_error says
};

/// Runs `body` while requests are refused. Anything else than std::bad_alloc and resource_error
/// fails the test.
template <class Refused, class Body>
ending attempt_with(const fault& which, Body&& body) {
    ending how;
    try {
        const Refused now(which);  // ends before the exception is looked at
        body();
        how.done = true;
    } catch (const std::bad_alloc&) {
        how.error = "bad_alloc";
    } catch (const resource_error& error) {
        how.error = error.what();
        CHECK(how.error.size() > 20);
    } catch (const std::exception& error) {
        how.error = error.what();
        FAIL_CHECK("thrown: ", how.error);
    }
    how.refused = Refused::count() > 0;
    CHECK(how.error.empty() == how.done);
    // Nothing fails unless something was refused.
    CHECK((how.done || how.refused));
    return how;
}

template <class Body>
ending attempt(const fault& which, Body&& body) {
    return attempt_with<refused_memory>(which, std::forward<Body>(body));
}

/// The same on a thread that has not called the library before.
template <class Body>
ending attempt_on_new_thread(const fault& which, Body&& body) {
    ending how;
    std::thread([&] { how = attempt(which, body); }).join();
    return how;
}

/// Calls body(fault), which returns an ending, with the first request refused, then the second, and
/// so on, until nothing is refused any more: first that request alone, then all from there on.
template <class Body>
void for_each_fault(bool all_threads, Body&& body) {
    constexpr std::uint64_t most = 10'000;
    std::uint64_t refused = 0;
    for (const bool lasting : {false, true}) {
        for (std::uint64_t number = 1;; ++number) {
            INFO("request ", number, lasting ? " and all later ones" : " alone");
            REQUIRE(number < most);
            const ending how =
                body(fault{.number = number, .lasting = lasting, .all_threads = all_threads});
            if (!how.refused) {
                CHECK(how.done);
                CHECK(number > 1);  // something was refused at all
                break;
            }
            ++refused;
        }
    }
    figure("requests refused", refused);
}

/// A machine of two cores, which is read quickly, and mailboxes so small that room which is lost is
/// missed soon.
inline config small_machine() {
    return {.cores = 2,
            .workers_per_core = 1,
            .arena_slots = 0,
            .mailbox_capacity = 8,
            .in_flight_limit = 16,
            .deque_capacity = 4,
            .sticky_slots = 16,
            .reserve_workers = 2,
            .synthetic = "core:2 pu:1"};
}

/// What a runtime must be able to do after any refusal.
inline void check_it_works(runtime& rt, const operation<int(int)>& op) {
    CHECK(result_of(op(20)) == 21);
    settle(rt);
}

}  // namespace tokengate::test
