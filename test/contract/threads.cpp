// SPDX-License-Identifier: Apache-2.0
// Where worker threads run, and what they are called.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <oneapi/tbb/parallel_for.h>
#include <pthread.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "hold.hpp"
#include "ledger.hpp"
#include "scale.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {
namespace {

using detail::cpu_mask;
using detail::this_thread_mask;

/// The names of all threads of this process.
std::vector<std::string> thread_names() {
    std::vector<std::string> names;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream file(each.path() / "comm");
        std::string name;
        if (std::getline(file, name)) names.push_back(name);
    }
    return names;
}

/// The CPUs that each thread of this process with this name may run on, as the kernel writes them.
std::vector<std::string> masks_of_threads_called(const std::string& wanted) {
    std::vector<std::string> found;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream names(each.path() / "comm");
        std::string line;
        if (!std::getline(names, line) || line != wanted) continue;
        std::ifstream status(each.path() / "status");
        while (std::getline(status, line)) {
            if (line.starts_with("Cpus_allowed_list:")) found.push_back(line);
        }
    }
    return found;
}

/// The real machine, whatever the tests were started with.
config on_this_machine(int cores) { return {.cores = cores}; }

}  // namespace

TEST_CASE("worker_threads_are_named_after_their_domain_and_fit_linux") {
    const clean_hwloc_environment clean;
    runtime rt({.cores = 64, .workers_per_core = 2});
    const std::vector<std::string> names = thread_names();
    for (const char* expected : {"tg-0.0", "tg-0.1", "tg-9.0", "tg-63.1"}) {
        INFO(expected);
        // Threads of oneTBB have the name of whoever has made them: there may be more.
        CHECK(std::count(names.begin(), names.end(), expected) >= 1);
    }
    // The longest name that settings allow is not cut off.
    std::thread longest([] { CHECK(pthread_setname_np(pthread_self(), "tg-1023.63") == 0); });
    longest.join();
    for (const std::string& each : names) CHECK(each.size() <= 15);
    settle(rt);
}

TEST_CASE("workers_run_on_their_domains_cpus_and_nowhere_else") {
    const clean_hwloc_environment clean;
    for (const int cores : widths) {
        INFO(cores, " domains");
        runtime rt(on_this_machine(cores));
        REQUIRE(rt.topology().binds());
        hold gate;
        std::mutex lock;
        std::set<unsigned> wrong;
        std::set<unsigned> seen;
        std::vector<token<void>> tokens;
        const auto look = rt.operation("look", {.weight = weight::heavy}, [&] {
            const cpu_mask mask = this_thread_mask();
            const auto cpu = static_cast<unsigned>(sched_getcpu());
            std::string name(16, '\0');
            pthread_getname_np(pthread_self(), name.data(), name.size());
            const auto domain = static_cast<unsigned>(std::stoul(name.substr(3)));
            {
                const std::scoped_lock guard(lock);
                seen.insert(domain);
                const domain_info& home = rt.topology().domain(domain);
                if (mask != cpu_mask(home.cpus) || !mask.contains(cpu)) wrong.insert(domain);
            }
            gate.pass();
        });
        for (int i = 0; i < cores; ++i) tokens.push_back(look());
        REQUIRE(gate.await(static_cast<std::size_t>(cores)));
        CHECK(seen.size() == static_cast<std::size_t>(cores));
        CHECK(wrong.empty());
        gate.release();
        settle(rt);
        for (const domain_stats& each : rt.stats().domains) CHECK(each.bind_failures == 0);
        CHECK(rt.stats().bind_errors.empty());
    }
}

TEST_CASE("without_binding_workers_keep_the_mask_of_the_process") {
    const clean_hwloc_environment clean;
    const cpu_mask usual = this_thread_mask();
    runtime rt({.cores = 4, .binding = false});
    const auto look = rt.operation("look", [&] { return this_thread_mask() == usual; });
    std::vector<token<bool>> tokens;
    for (int i = 0; i < 50; ++i) tokens.push_back(look());
    for (const auto& each : tokens) CHECK(result_of(each));
    settle(rt);
}

TEST_CASE("the_thread_that_makes_a_runtime_keeps_its_mask") {
    const clean_hwloc_environment clean;
    const cpu_mask before = this_thread_mask();
    {
        runtime rt({.cores = 2});
        const auto op = rt.operation("op", [] {});
        op().wait();
        CHECK(this_thread_mask() == before);
    }
    CHECK(this_thread_mask() == before);
}

TEST_CASE("the_thread_that_keeps_the_time_is_not_bound_to_where_it_was_first_asked_for") {
    const clean_hwloc_environment clean;
    std::string own_name(16, '\0');
    pthread_getname_np(pthread_self(), own_name.data(), own_name.size());
    const auto all = masks_of_threads_called(own_name.c_str());
    REQUIRE_FALSE(all.empty());
    for (const bool binding : {true, false}) {
        runtime rt({.cores = 1, .binding = binding});
        std::thread pinned([&] {
            const cpu_mask one({this_thread_mask().cpus().front()});
            REQUIRE(detail::set_this_thread_mask(one));
            static_cast<void>(rt.operation("op", {.run_timeout = std::chrono::hours(1)}, [] {}));
        });
        pinned.join();
        // It has its name when all else is done.
        REQUIRE(eventually([] { return masks_of_threads_called("tg-timer").size() == 1; }));
        CHECK(masks_of_threads_called("tg-timer").front() == all.front());
    }
}

TEST_CASE("a_parallel_algorithm_inside_a_token_stays_on_its_domains_cpus") {
    const clean_hwloc_environment clean;
    for (const int slots : {-1, 0, 1, 3}) {
        for (const int cores : {1, 2, 4}) {
            INFO(slots, " arena slots, ", cores, " domains");
            runtime rt({.cores = cores, .arena_slots = slots});
            const auto run = rt.operation("run", {.weight = weight::heavy}, [&] {
                // Where this worker belongs.
                std::string name(16, '\0');
                pthread_getname_np(pthread_self(), name.data(), name.size());
                const auto domain = static_cast<unsigned>(std::stoul(name.substr(3)));
                const cpu_mask home(rt.topology().domain(domain).cpus);
                std::atomic<int> outside{0};
                std::atomic<int> chunks{0};
                tbb::parallel_for(0, 200, [&](int) {
                    if (!home.contains(static_cast<unsigned>(sched_getcpu()))) outside.fetch_add(1);
                    if (this_thread_mask() != home) outside.fetch_add(1);
                    chunks.fetch_add(1);
                    for (int i = 0; i < 5000; ++i) {
                        std::atomic_signal_fence(std::memory_order_seq_cst);
                    }
                });
                return chunks.load() == 200 ? outside.load() : -1;
            });
            std::vector<token<int>> tokens;
            for (int i = 0; i < 20; ++i) tokens.push_back(run());
            for (const auto& each : tokens) CHECK(result_of(each) == 0);
            settle(rt);
        }
    }
}

TEST_CASE("no_more_threads_than_slots_take_part_in_a_nested_algorithm") {
    const clean_hwloc_environment clean;
    for (const int slots : {0, 1, 3}) {
        INFO(slots, " arena slots");
        runtime rt({.cores = 1, .arena_slots = slots});
        const auto run = rt.operation("run", [&] {
            std::mutex lock;
            std::set<std::thread::id> threads;
            for (int round = 0; round < 20; ++round) {
                tbb::parallel_for(0, 100, [&](int) {
                    std::this_thread::yield();
                    const std::scoped_lock guard(lock);
                    threads.insert(std::this_thread::get_id());
                });
            }
            return threads.size();
        });
        // Different threads may come in turns, but with no slot the worker is alone.
        const std::size_t threads = result_of(run());
        CHECK(threads >= 1);
        if (slots == 0) CHECK(threads == 1);
        settle(rt);
    }
}

TEST_CASE("a_failed_binding_is_counted_and_named_and_the_worker_works_all_the_same") {
    // A machine that claims to be this one, with a CPU that does not exist.
    const clean_hwloc_environment clean;
    const scoped_variable claim("HWLOC_THISSYSTEM", "1");
    const std::string machine =
        "core:" + std::to_string(std::thread::hardware_concurrency() + 300) + " pu:1";
    runtime rt({.cores = static_cast<int>(std::thread::hardware_concurrency()) + 300,
                .synthetic = machine});
    REQUIRE(rt.topology().binds());
    std::atomic<int> ran{0};
    const auto op = rt.operation("op", [&] { ran.fetch_add(1); });
    for (int i = 0; i < 2000; ++i) op();
    settle(rt);
    CHECK(ran == 2000);
    const runtime_stats seen = rt.stats();
    CHECK(seen.domains.front().bind_failures == 0);
    CHECK(seen.domains.back().bind_failures == 1);
    std::uint64_t failures = 0;
    for (const domain_stats& each : seen.domains) failures += each.bind_failures;
    CHECK(failures == seen.bind_errors.size());
    CHECK(failures >= 300 - 1);
    REQUIRE_FALSE(seen.bind_errors.empty());
    CHECK(contains(seen.bind_errors.back(),
                   "domain " + std::to_string(rt.settings().cores - 1) + " "));
    CHECK(contains(seen.bind_errors.back(), "cannot bind"));
}

TEST_CASE("guests_of_a_domain_get_their_masks_back_when_the_runtime_is_gone") {
    const cpu_mask everything = this_thread_mask();
    for (int round = 0; round < 3; ++round) {
        runtime rt({.cores = 2, .arena_slots = 2, .binding = true});
        const auto nested = rt.operation("nested", [] {
            tbb::parallel_for(
                0, 200, [](int) { std::this_thread::sleep_for(std::chrono::microseconds(100)); });
        });
        const auto t = nested();
        REQUIRE(ends(t));
    }
    std::mutex lock;
    std::vector<cpu_mask> masks;
    tbb::parallel_for(0, 400, [&](int) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        const std::scoped_lock guard(lock);
        masks.push_back(this_thread_mask());
    });
    for (const cpu_mask& each : masks) CHECK(each == everything);
}

}  // namespace tokengate::test
