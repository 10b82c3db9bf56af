// SPDX-License-Identifier: Apache-2.0
// What the library takes of its process: threads while a runtime lives, and nothing else. No work
// before main(), no signal handlers, no ports, no files that stay open.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <doctest/doctest.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>

#include <tokengate/tokengate.hpp>

#include "child.hpp"
#include "ledger.hpp"
#include "sanitizers.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// What a process has of the system.
struct belongings {
    std::string caught;                  ///< signals that it has handlers for
    std::string ignored;                 ///< signals that it ignores
    std::string blocked;                 ///< signals that the calling thread blocks
    std::multiset<std::string> files;    ///< what is open, sockets too
    std::multiset<std::string> threads;  ///< their names

    bool operator==(const belongings&) const = default;
};

std::string field_of(const std::filesystem::path& file, const std::string& name) {
    std::ifstream in(file);
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with(name + ":")) return line.substr(name.size() + 1);
    }
    throw std::logic_error("there is no field " + name);
}

belongings look_around() {
    belongings seen;
    const std::filesystem::path status = "/proc/thread-self/status";
    seen.caught = field_of(status, "SigCgt");
    seen.ignored = field_of(status, "SigIgn");
    seen.blocked = field_of(status, "SigBlk");
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::filesystem::path target = std::filesystem::read_symlink(each.path(), gone);
        // Not the folder that is being read.
        const std::string name = target.string();
        if (!gone && !name.ends_with("/fd")) seen.files.insert(name);
    }
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream in(each.path() / "comm");
        std::string name;
        if (std::getline(in, name)) seen.threads.insert(name);
    }
    return seen;
}

/// The C library has signal handlers of its own from the first thread of a process on.
void begin_a_thread() {
    std::thread([] {}).join();
}

void expect_same(const belongings& now, const belongings& before) {
    expect(now.caught == before.caught, "signal handlers are as before");
    expect(now.ignored == before.ignored, "ignored signals are as before");
    expect(now.blocked == before.blocked, "blocked signals are as before");
    expect(now.files == before.files, "open files are as before");
}

/// Uses most of what has threads, files or signals in it, and looks around meanwhile.
void work(runtime& rt, const belongings& before, bool nested) {
    const auto op = rt.operation(
        "op", {.run_timeout = 60s, .retry = {.attempts = 2}, .timed = true}, [](int n) {
            if (this_token::attempt() == 1) throw std::runtime_error("so");
            return n + 1;
        });
    const auto blocks =
        rt.operation("blocks", [&](int n) { return blocking([&] { return op(n).get(); }); });
    const auto loops = rt.operation("loops", [](int n) {
        tbb::parallel_for(0, 100, [](int) {});
        return n;
    });
    for (int round = 0; round < 2; ++round) {
        for (int i = 0; i < 50; ++i) {
            expect(blocks(i).get() == i + 1, "a token gives its result");
            if (nested) expect(loops(i).get() == i, "a token with a loop gives its result");
        }
        const belongings meanwhile = look_around();
        expect_same(meanwhile, before);
        expect(meanwhile.threads.size() >= before.threads.size() + 2, "workers are seen");
        expect(rt.wait_idle_for(hang_limit), "the runtime comes to rest");
        expect(rt.stats().total().in_flight() == 0, "the books balance");
        expect(rt.stop().drained, "the runtime stops");
        expect_same(look_around(), before);
        rt.start();
    }
}

/// In a child process without files and handlers, whatever its parent has done: what is there then
/// is the library's.
template <class Body>
std::string in_bare_child(Body&& body) {
    return in_child([&] {
        const int nothing = open("/dev/null", O_RDWR);
        for (const int each : {0, 1}) expect(dup2(nothing, each) == each, "a file can be replaced");
        for (int each = 3; each < 1024; ++each) close(each);
        for (int each = 1; each < SIGRTMAX; ++each) std::signal(each, SIG_DFL);
        begin_a_thread();
        return body();
    });
}

constexpr const char* in_own_process = "TOKENGATE_TEST_IN_ITS_OWN_PROCESS";
constexpr const char* at_start = "TOKENGATE_TEST_LOOKS_AROUND_AT_START";

constexpr bool handlers_of_a_sanitizer = finds_bad_addresses || finds_undefined_behavior;

/// Before main(), but after the libraries: looks around and ends the process, if it is asked to.
[[maybe_unused]] const bool looked = [] {
    const char* const ignored = std::getenv(at_start);
    if (ignored == nullptr) return false;
    int code = 0;
    const belongings seen = look_around();
    if (seen.threads.size() != 1) code = 2;
    if (!handlers_of_a_sanitizer && seen.caught.find_first_not_of("0\t") != std::string::npos)
        code = 3;
    if (seen.ignored != ignored) code = 4;
    if (seen.files.size() != 3) code = 5;
    if (detail::usage_of_pool().slab_bytes != 0) code = 6;
    _exit(code);
}();

}  // namespace

TEST_CASE("the_library_does_no_work_before_main" * doctest::skip(no_threads_in_children)) {
    CHECK(in_bare_child([] {
              expect(setenv(at_start, look_around().ignored.c_str(), 1) == 0, "it can be asked to");
              return become_a_fresh_process("--help");
          }) == "exit 0");
}

TEST_CASE("a_runtime_leaves_no_handler_no_socket_no_file_and_no_thread_behind" *
          doctest::skip(no_threads_in_children)) {
    CHECK(in_bare_child([] {
              const belongings before = look_around();
              expect(before.threads.size() == 1, "the child has one thread");
              expect(before.files.size() == 3, "the child has no files of its own");
              for (int round = 0; round < 3; ++round) {
                  {
                      runtime rt({.cores = 2, .history = 8});
                      work(rt, before, false);
                  }
                  expect(look_around() == before, "all is as before");
              }
              return 0;
          }) == "exit 0");
}

TEST_CASE("threads_that_onetbb_has_begun_are_its_own_and_end_when_it_does" *
          doctest::skip(no_threads_in_children)) {
    if (std::getenv(in_own_process) != nullptr) {
        begin_a_thread();
        const belongings before = look_around();
        tbb::task_scheduler_handle onetbb{tbb::attach{}};
        {
            // Places for oneTBB's threads, of which it may send some.
            runtime rt({.cores = 1, .workers_per_core = 1, .arena_slots = 1});
            work(rt, before, true);
        }
        // They stay for the next one who needs them, and have nothing else.
        expect_same(look_around(), before);
        expect(tbb::finalize(onetbb, std::nothrow), "oneTBB ends");
        expect(look_around() == before, "all is as before");
        return;
    }
    // A child that has forked only would wait for those of its parent.
    CHECK(in_bare_child([] {
              expect(setenv(in_own_process, "1", 1) == 0, "it can be told");
              // Without the thread that looks for hangs: this process does.
              expect(setenv("TOKENGATE_HANG_LIMIT", "0", 1) == 0, "it can be told");
              return become_a_fresh_process("-tc=threads_that_onetbb_has_begun*");
          }) == "exit 0");
}

}  // namespace tokengate::test
