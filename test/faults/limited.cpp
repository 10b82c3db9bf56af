// SPDX-License-Identifier: Apache-2.0
// A control group that has no more threads to give (pids.max): the system itself says no.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "figure.hpp"
#include "injection.hpp"
#include "locality.hpp"

namespace tokengate::test {
namespace {

using namespace std::chrono_literals;

/// A control group of its own for processes, with a limit of threads; removed in the end.
class small_group {
  public:
    small_group() {
        for (const char* root : {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"}) {
            path_ = std::filesystem::path(root) / ("tokengate-" + std::to_string(getpid()));
            std::error_code error;
            if (!std::filesystem::create_directory(path_, error)) continue;
            usable_ = allow("max");
            if (usable_) return;
            std::filesystem::remove(path_, error);
        }
    }
    ~small_group() {
        // rmdir() alone: the files in it cannot be removed and go with it.
        if (usable_) rmdir(path_.c_str());
    }
    small_group(const small_group&) = delete;
    small_group& operator=(const small_group&) = delete;

    /// False where such groups cannot be made.
    [[nodiscard]] bool usable() const { return usable_; }

    /// So many processes and threads may be in it.
    [[nodiscard]] bool allow(const std::string& limit) const { return write("pids.max", limit); }

    /// Puts the calling process into it.
    [[nodiscard]] bool join() const { return write("cgroup.procs", std::to_string(getpid())); }

  private:
    [[nodiscard]] bool write(const char* file, const std::string& text) const {
        std::ofstream out(path_ / file);
        out << text << std::flush;
        return static_cast<bool>(out);
    }

    std::filesystem::path path_;
    bool usable_ = false;
};

int one_more(int n) { return n + 1; }

/// In a process whose test framework nobody asks.
void expect(bool fine) {
    if (!fine) throw std::logic_error("not as expected");
}

void expect_it_works(runtime& rt, const operation<int(int)>& op) {
    for (int i = 0; i < 20; ++i) expect(op(i).get() == i + 1);
    expect(rt.wait_idle_for(hang_limit));
    expect(rt.stats().total().in_flight() == 0);
}

/// What a runtime of four workers does where so many threads are left for it.
int start_with(const small_group& group, int threads) {
    expect(group.join());
    expect(group.allow(std::to_string(1 + threads)));
    config wanted = small_machine();
    wanted.workers_per_core = 2;
    std::optional<runtime> rt;
    try {
        rt.emplace(wanted);
        expect(threads >= 4);
    } catch (const resource_error& error) {
        expect(threads < 4);
        const std::string named = "worker thread " + std::to_string(threads + 1) + " of 4";
        expect(contains(error.what(), named));
    }
    if (!rt) {
        expect(group.allow("max"));
        rt.emplace(wanted);
    }
    const auto op = rt->operation("op", one_more);
    // Nobody stands in for whoever blocks if there is no thread, and it goes on all the same.
    const auto blocks = rt->operation("blocks", [&](int n) {
        const int result = blocking([n] { return n + 1; });
        return op(result).get();
    });
    for (int i = 0; i < 8; ++i) expect(blocks(i).get() == i + 2);
    expect_it_works(*rt, op);
    expect(rt->stop().drained);
    expect(group.allow("1"));
    bool started = true;
    try {
        rt->start();
    } catch (const resource_error&) {
        started = false;
    }
    expect(!started && !rt->running());
    expect(group.allow("max"));
    rt->start();
    expect_it_works(*rt, op);
    return 0;
}

}  // namespace

TEST_CASE("a_runtime_in_a_group_without_threads_says_so_and_never_hangs") {
    const clean_hwloc_environment clean;
    const small_group group;
    if (!group.usable()) {
        MESSAGE("skipped: no control group can be made here");
        return;
    }
    std::uint64_t starts = 0;
    for (int threads = 0; threads <= 6; ++threads) {
        INFO(threads, " threads are left");
        CHECK(in_child([&] { return start_with(group, threads); }) == "exit 0");
        ++starts;
    }
    figure("runtimes under pids.max", starts);
}

}  // namespace tokengate::test
