// SPDX-License-Identifier: Apache-2.0
// A whole program in a process that has not used the library before: what lives as long as the
// process is made by whoever needs it first, and can be made later if that fails.
#include <unistd.h>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <oneapi/tbb/task_arena.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "hold.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

int one_more(int n) { return n + 1; }

/// In a process whose test framework nobody asks.
void expect(bool fine) {
    if (!fine) throw std::logic_error("not as expected");
}

/// Something of everything.
void run_program() {
    hold gate;
    runtime rt(small_machine());
    const struct opener {
        hold& gate;
        ~opener() { gate.release(); }
    } at_end{gate};
    const auto free = rt.operation("free", {.weight = weight::light}, one_more);
    const auto generic = rt.operation("generic", [](auto a, auto b) { return a + b; });
    const auto sticks = rt.operation("sticks", {.sticky = sticky::by_arguments()}, one_more);
    const auto serial =
        rt.operation("serial", {.sticky = sticky::by_anchor("all", sticky::serial)}, one_more);
    const auto timed = rt.operation("timed", {.run_timeout = 1h}, one_more);
    const auto lead = rt.operation("lead", {.external_calls = {"free", "serial"}}, [&](int n) {
        const token<int> first = free(n);
        return serial(n).get() + first.get();
    });
    const auto large = rt.operation("large", [](std::array<int, 500> given) { return given; });
    const auto held = rt.operation("held", [&] { gate.pass(); });
    int sum = generic(1, 2).get() + sticks(1).get() + serial(1).get() + timed(1).get();
    sum += lead(1).get() + large(std::array<int, 500>{3}).get()[0];
    for (const int each : free.bulk(std::vector<int>{1, 2, 3}).get()) sum += each;
    expect(sum == 3 + 2 + 2 + 2 + 4 + 3 + 9);
    const std::string reason = "a reason that is too long to be kept in a string by itself";
    const token<void> waits = held();
    waits.kill(reason);
    try {
        waits.get();
        expect(false);
    } catch (const token_killed& killed) {
        expect(killed.reason() == reason);
    }
    gate.release();
    rt.wait_idle();
    const token_counts counts = rt.stats().total();
    expect(counts.failed == 0);
    expect(counts.killed == 1);
    expect(counts.in_flight() == 0);
}

enum outcome { refused = 0, all_went_well = 40, wrong_error = 41, runs_no_more = 42 };

/// For a process that has not used the library: the program fails because of a request that is
/// refused, then it runs, and then the process forks, with no lock held or taken twice.
template <class Refused>
int fail_then_run(const fault& which) {
    // oneTBB 2021.8 begins once in a process, and if that is refused memory, the next one who needs
    // it spins for ever: it begins here.
    tbb::task_arena(1, 1).initialize();
    bool done = false;
    try {
        const Refused now(which);
        run_program();
        done = true;
    } catch (const std::bad_alloc&) {
        done = false;
    } catch (const resource_error&) {
        done = false;
    } catch (...) {
        return wrong_error;
    }
    if (!done && Refused::count() == 0) return wrong_error;
    const bool over = Refused::count() == 0;
    run_program();
    if (in_child([] { return 0; }, 10) != "exit 0") return runs_no_more;
    return over ? all_went_well : refused;
}

/// The program in new processes, with the first request refused, with the second, and so on.
template <class Refused>
void fail_in_new_processes(bool all_threads) {
    const clean_hwloc_environment clean;
    for (const bool lasting : {false, true}) {
        std::string end = "exit 0";
        std::uint64_t number = 0;
        while (end == "exit 0" && ++number < 10'000) {
            end = in_child([&] {
                return fail_then_run<Refused>(
                    {.number = number, .lasting = lasting, .all_threads = all_threads});
            });
        }
        INFO("request ", number, lasting ? " and all later ones" : " alone");
        CHECK(number > 1);
        CHECK(end == "exit 40");
        figure("processes refused something", number - 1);
    }
}

/// A process of its own that runs one test case of this program, which is skipped otherwise.
std::string in_unused_process(const char* test_case) {
    return in_child([test_case] {
        const std::string filter = std::string("-tc=") + test_case;
        // It forks, and sanitizers do not see to it that no other thread holds a lock of theirs
        // then.
        setenv("TOKENGATE_HANG_LIMIT", "0", 1);
        dup2(STDERR_FILENO, STDOUT_FILENO);  // whoever counts test cases reads standard output
        execl("/proc/self/exe", "faults", "-m", "-ns", filter.c_str(), nullptr);
        return 119;
    });
}

}  // namespace

TEST_CASE("memory_refused_to_the_caller_in_unused_processes" * doctest::skip()) {
    fail_in_new_processes<refused_memory>(false);
}

TEST_CASE("memory_refused_to_all_in_unused_processes" * doctest::skip()) {
    fail_in_new_processes<refused_memory>(true);
}

TEST_CASE("threads_refused_in_unused_processes" * doctest::skip()) {
    fail_in_new_processes<refused_threads>(true);
}

TEST_CASE("a_process_that_began_without_memory_goes_on_when_there_is_some") {
    CHECK(in_unused_process("memory_refused_to_the_caller_in_unused_processes") == "exit 0");
    CHECK(in_unused_process("memory_refused_to_all_in_unused_processes") == "exit 0");
}

TEST_CASE("a_process_that_began_without_threads_goes_on_when_there_are_some") {
    CHECK(in_unused_process("threads_refused_in_unused_processes") == "exit 0");
}

}  // namespace tokengate::test
