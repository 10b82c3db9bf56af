// SPDX-License-Identifier: Apache-2.0
// What a child process may do with its parent's runtime.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "hold.hpp"
#include "ledger.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// 0 if runtime_forked is thrown, 1 if not.
template <class Ask>
int forked(Ask&& ask) {
    try {
        ask();
    } catch (const runtime_forked&) {
        return 0;
    }
    return 1;
}

/// fork(); the child is killed if it has not ended after so long.
pid_t fork_that_ends(unsigned seconds) {
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(seconds);
    }
    return child;
}

}  // namespace

TEST_CASE("a_child_process_is_told_that_it_has_no_workers") {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held one", [&] { gate.pass(); });
    const token<void> t = held();
    REQUIRE(gate.await(1));
    CHECK(in_child([&] { return forked([&] { held(); }); }) == "exit 0");
    CHECK(in_child([&] { return forked([&] { static_cast<void>(held.try_call()); }); }) ==
          "exit 0");
    CHECK(in_child([&] { return forked([&] { t.wait(); }); }) == "exit 0");
    CHECK(in_child([&] { return forked([&] { t.get(); }); }) == "exit 0");
    CHECK(in_child([&] { return forked([&] { static_cast<void>(t.wait_for(50s)); }); }) ==
          "exit 0");
    CHECK(in_child([&] { return forked([&] { rt.wait_idle(); }); }) == "exit 0");
    CHECK(in_child([&] { return rt.running() ? 1 : 0; }) == "exit 0");
    // The error names what was called.
    CHECK(in_child([&] {
              try {
                  held();
              } catch (const runtime_forked& error) {
                  const std::string text = error.what();
                  return text.find("'held one'") != std::string::npos ? 0 : 1;
              }
              return 2;
          }) == "exit 0");
    // The parent goes on as if nothing had happened.
    gate.release();
    REQUIRE(ends(t));
    settle(rt);
}

TEST_CASE("a_child_process_can_read_results_that_were_there") {
    runtime rt({.cores = 2});
    const token<std::string> t = rt.operation("op", [] { return std::string("done"); })();
    REQUIRE(ends(t));
    CHECK(in_child([&] { return t.get() == "done" ? 0 : 1; }) == "exit 0");
    settle(rt);
}

TEST_CASE("a_child_process_can_destroy_and_stop_its_parents_runtime") {
    auto rt = std::make_optional<runtime>(config{.cores = 2});
    hold gate;
    const auto held = rt->operation("held", [&] { gate.pass(); });
    held();
    REQUIRE(gate.await(1));
    CHECK(in_child([&] {
              rt.reset();
              return 0;
          }) == "exit 0");
    CHECK(in_child([&] {
              static_cast<void>(rt->stop());
              static_cast<void>(rt->stop(1s));
              return 0;
          }) == "exit 0");
    gate.release();
    settle(*rt);
}

TEST_CASE("a_child_process_can_have_a_runtime_of_its_own" * doctest::skip(no_threads_in_children)) {
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", [] { return 1; });
    REQUIRE(ends(op()));
    CHECK(in_child([] {
              runtime own({.cores = 2});
              const auto add = own.operation("op", [](int a, int b) { return a + b; });
              int sum = 0;
              for (int i = 0; i < 100; ++i) sum += add(i, 1).get();
              own.stop();
              own.start();
              return sum == 5050 && add(1, 2).get() == 3 ? 0 : 1;
          }) == "exit 0");
    CHECK(result_of(op()) == 1);
    settle(rt);
}

TEST_CASE("a_child_process_has_all_permits_of_a_storage_whatever_ran_in_its_parent" *
          doctest::skip(no_threads_in_children)) {
    runtime rt({.cores = 2});
    hold gate;
    const auto held = rt.operation("held", {.storage = storage::insane}, [&] { gate.pass(); });
    set_storage_limit(storage::insane, 1);
    const token<void> t = held();
    REQUIRE(gate.await(1));
    CHECK(in_child(
              [] {
                  runtime own({.cores = 2});
                  const auto op =
                      own.operation("op", {.storage = storage::insane}, [](int i) { return i; });
                  for (int i = 0; i < 100; ++i) {
                      if (op(i).get() != i) return 1;
                  }
                  return 0;
              },
              10) == "exit 0");
    gate.release();
    REQUIRE(ends(t));
    settle(rt);
    set_storage_limit(storage::insane, most_at_once(storage::insane));
}

TEST_CASE("a_process_forks_while_tokens_of_a_storage_go_on_whatever_it_asked_for_first" *
          doctest::skip(no_threads_in_children)) {
    constexpr const char* in_own_process = "TOKENGATE_TEST_FORKS_IN_ITS_OWN_PROCESS";
    if (std::getenv(in_own_process) == nullptr) {
        CHECK(in_child([] {
                  expect(setenv(in_own_process, "1", 1) == 0, "it can be told");
                  return become_a_fresh_process("-tc=a_process_forks_while_tokens*");
              }) == "exit 0");
        return;
    }
    // Before there is a runtime.
    set_storage_limit(storage::slow, 1);
    runtime rt({.cores = 2});
    const auto op = rt.operation("op", {.storage = storage::slow}, [] {});
    std::atomic<bool> over{false};
    std::thread other([&] {
        while (!over) {
            const token<void> t = op();
            static_cast<void>(t.pause());
            static_cast<void>(t.resume());
            t.get();
        }
    });
    for (int i = 0; i < 300; ++i) {
        const pid_t child = fork();
        if (child == 0) _exit(0);
        REQUIRE(child > 0);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child);
    }
    over = true;
    other.join();
}

TEST_CASE("a_child_process_of_a_token_is_told_too") {
    runtime rt({.cores = 2, .steal = stealing::strict});
    hold gate;
    const auto held = rt.operation("held", {.weight = weight::light}, [&] { gate.pass(); });
    const token<void> t = held();
    REQUIRE(gate.await(1));
    const auto forks = rt.operation("forks", {.weight = weight::heavy}, [&](int which) {
        return in_child(
            [&] {
                return forked([&] {
                    if (which == 0) held();
                    if (which == 1) t.wait();
                    if (which == 2) static_cast<void>(t.wait_for(50s));
                });
            },
            5);
    });
    CHECK(result_of(forks(0)) == "exit 0");
    CHECK(result_of(forks(1)) == "exit 0");
    CHECK(result_of(forks(2)) == "exit 0");
    gate.release();
    settle(rt);
}

TEST_CASE("a_child_process_forked_inside_blocking_goes_on_whoever_else_was_entering_it") {
    // Bounded tries: what other threads were doing when it was forked cannot be forced.
    runtime rt({.cores = 1, .workers_per_core = 3, .reserve_workers = 4, .spin_time = 0us});
    std::atomic<bool> over{false};
    const auto noise = rt.operation("noise", [&] {
        while (!over) blocking([] {});
    });
    const auto forks = rt.operation("forks", [&] {
        for (int i = 0; i < 50; ++i) {
            // It leaves the section in which it was forked, and enters another one.
            const pid_t child = blocking([] { return fork_that_ends(60); });
            if (child == 0) {
                blocking([] {});
                _exit(0);
            }
            int status = 0;
            if (child < 0 || waitpid(child, &status, 0) != child) return -1;
            if (!WIFEXITED(status)) return i;
        }
        return 50;
    });
    noise();
    noise();
    const token<int> tries = forks();
    CHECK(result_of(tries) == 50);
    over = true;
    settle(rt);
}

}  // namespace tokengate::test
