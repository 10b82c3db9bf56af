// SPDX-License-Identifier: Apache-2.0
// A runtime that cannot have what it needs to begin.
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "injection.hpp"

namespace tokengate::test {
namespace {

int one_more(int n) { return n + 1; }

/// Makes runtimes while more and more memory is there, and sees whether each of them works.
void construct_at_each_fault(bool all_threads) {
    for_each_fault(all_threads, [](const fault& which) {
        std::optional<runtime> rt;
        const config wanted = small_machine();
        ending how = attempt(which, [&] { rt.emplace(wanted); });
        CHECK(rt.has_value() == how.done);
        if (!rt) rt.emplace(wanted);
        check_it_works(*rt, rt->operation("op", one_more));
        return how;
    });
}

}  // namespace

TEST_CASE("a_runtime_without_memory_to_begin_says_so_and_another_one_begins") {
    const clean_hwloc_environment clean;
    construct_at_each_fault(false);
    // Locks that fork() takes were given to it once each, whatever has failed between.
    const std::string end = in_child([] { return 0; }, 10);
    CHECK(end == "exit 0");
}

TEST_CASE("a_runtime_whose_workers_have_no_memory_to_begin_says_so") {
    const clean_hwloc_environment clean;
    construct_at_each_fault(true);
}

TEST_CASE("a_runtime_that_shows_its_settings_without_memory_for_them_leaves_no_thread_behind") {
    const clean_hwloc_environment clean;
    const scoped_variable shown("TOKENGATE_DISPLAY_ENV", "1");
    const std::string end = in_child([] {
        if (std::freopen("/dev/null", "w", stderr) == nullptr) return 1;
        construct_at_each_fault(false);
        return 0;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("a_runtime_shows_its_settings_if_it_is_asked_to") {
    const clean_hwloc_environment clean;
    const scoped_variable shown("TOKENGATE_DISPLAY_ENV", "1");
    const std::string end = in_child([] {
        std::FILE* const file = std::tmpfile();
        if (file == nullptr || dup2(fileno(file), STDERR_FILENO) < 0) return 1;
        { const runtime rt(small_machine()); }
        std::rewind(file);
        std::string text(1 << 16, '\0');
        text.resize(std::fread(text.data(), 1, text.size(), file));
        return text.find("reserve_workers") == std::string::npos ? 2 : 0;
    });
    CHECK(end == "exit 0");
}

TEST_CASE("a_stopped_runtime_without_memory_to_start_again_stays_stopped_and_starts_later") {
    const clean_hwloc_environment clean;
    runtime rt(small_machine());
    const auto op = rt.operation("op", one_more);
    for (const bool all_threads : {false, true}) {
        for_each_fault(all_threads, [&](const fault& which) {
            CHECK(rt.stop().drained);
            const ending how = attempt(which, [&] { rt.start(); });
            CHECK(rt.running() == how.done);
            if (!how.done) CHECK_THROWS_AS(op(1), runtime_stopped);
            rt.start();
            check_it_works(rt, op);
            return how;
        });
    }
}

TEST_CASE("a_runtime_ends_without_memory") {
    const clean_hwloc_environment clean;
    auto rt = std::make_unique<runtime>(small_machine());
    const auto op = rt->operation("op", one_more);
    const token<int> t = op(1);
    const ending how = attempt({.lasting = true, .all_threads = true}, [&] { rt.reset(); });
    CHECK(how.done);
    CHECK(t.get() == 2);
}

}  // namespace tokengate::test
