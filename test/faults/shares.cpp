// SPDX-License-Identifier: Apache-2.0
// Control groups that give a process one CPU of several, or the time of one: the system's own, not
// texts of them.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "../unit/topology_fixture.hpp"
#include "child.hpp"
#include "injection.hpp"
#include "locality.hpp"
#include "topology/binding.hpp"

namespace tokengate::test {
namespace {

/// What is written into a file of a control group.
struct rule {
    const char* file;
    std::string text;
};

/// A control group of its own for processes, with rules; removed in the end.
class ruled_group {
  public:
    /// In the first of these folders where one can be made to hold all its rules.
    struct choice {
        const char* root;
        std::vector<rule> rules;
    };

    explicit ruled_group(const std::vector<choice>& choices) {
        for (const choice& each : choices) {
            path_ = std::filesystem::path(each.root) / ("tokengate-" + std::to_string(getpid()));
            std::error_code error;
            if (!std::filesystem::create_directory(path_, error)) continue;
            usable_ = true;
            for (const rule& wanted : each.rules) {
                usable_ = usable_ && write(wanted.file, wanted.text);
            }
            // Not all groups let a process in.
            usable_ = usable_ && in_child([&] { return join() ? 0 : 1; }) == "exit 0";
            if (usable_) return;
            rmdir(path_.c_str());
        }
    }
    ~ruled_group() {
        // rmdir() alone: the files in it cannot be removed and go with it.
        if (usable_) rmdir(path_.c_str());
    }
    ruled_group(const ruled_group&) = delete;
    ruled_group& operator=(const ruled_group&) = delete;

    /// False where such groups cannot be made.
    [[nodiscard]] bool usable() const { return usable_; }

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }

    /// Puts the calling process into it.
    [[nodiscard]] bool join() const { return write("cgroup.procs", std::to_string(getpid())); }

  private:
    [[nodiscard]] bool write(const char* file, const std::string& text) const {
        // Where there is no such file none is made.
        if (!std::filesystem::exists(path_ / file)) return false;
        std::ofstream out(path_ / file);
        out << text << std::flush;
        return static_cast<bool>(out);
    }

    std::filesystem::path path_;
    bool usable_ = false;
};

/// Version 2, then version 1.
ruled_group group_with_cpus(const std::string& cpus) {
    return ruled_group({{"/sys/fs/cgroup", {{"cpuset.cpus", cpus}}},
                        {"/sys/fs/cgroup/cpuset", {{"cpuset.mems", "0"}, {"cpuset.cpus", cpus}}}});
}

ruled_group group_with_quota(int microseconds) {
    const std::string quota = std::to_string(microseconds);
    return ruled_group(
        {{"/sys/fs/cgroup", {{"cpu.max", quota + " 100000"}}},
         {"/sys/fs/cgroup/cpu", {{"cpu.cfs_period_us", "100000"}, {"cpu.cfs_quota_us", quota}}}});
}

/// What a runtime has in this group, and that it works; `limit`: a word of what it says of it.
int work_in(const ruled_group& group, unsigned cores, const std::vector<unsigned>& cpus,
            const std::string& limit) {
    expect(group.join(), "the group can be joined");
    runtime rt;
    expect(rt.topology().size() == cores, "domains: " + std::to_string(rt.topology().size()));
    expect(rt.settings().cores == cores, "cores: " + std::to_string(rt.settings().cores));
    const std::string said = joined(rt.topology().limits());
    expect(contains(said, limit), "what limits it: " + said);
    std::vector<unsigned> covered;
    for (const domain_info& each : rt.topology().domains()) {
        covered.insert(covered.end(), each.cpus.begin(), each.cpus.end());
    }
    for (const unsigned each : covered) {
        expect(std::find(cpus.begin(), cpus.end(), each) != cpus.end(), "only allowed CPUs");
    }
    // Each worker is where its domain is, and all sorts of tokens run.
    const auto where = rt.operation("where", {.weight = weight::heavy},
                                    [] { return detail::this_thread_mask().cpus(); });
    const auto lead =
        rt.operation("lead", {.external_calls = {"where"}}, [&] { return where().get().size(); });
    for (int i = 0; i < 50; ++i) {
        for (const unsigned each : where().get()) {
            expect(std::find(covered.begin(), covered.end(), each) != covered.end(),
                   "workers are bound to CPUs of the map");
        }
        expect(lead().get() > 0, "chains work");
    }
    expect(rt.wait_idle_for(hang_limit), "the runtime comes to rest");
    const runtime_stats seen = rt.stats();
    expect(seen.total().in_flight() == 0 && seen.total().completed == 150, "the books balance");
    for (const domain_stats& each : seen.domains) {
        expect(each.escapes == 0 && each.bind_failures == 0, "nothing is out of its place");
    }
    expect(rt.stop().drained, "the runtime stops");
    return 0;
}

}  // namespace

TEST_CASE("a_process_in_a_group_of_one_cpu_has_one_core" * doctest::skip(no_threads_in_children)) {
    const clean_hwloc_environment clean;
    const std::vector<unsigned> there = detail::this_thread_mask().cpus();
    if (there.size() < 2) {
        MESSAGE("skipped: there is one CPU only");
        return;
    }
    for (const unsigned each : {there.front(), there.back()}) {
        INFO("CPU ", each);
        const ruled_group group = group_with_cpus(std::to_string(each));
        if (!group.usable()) {
            MESSAGE("skipped: no control group with a set of CPUs can be made here");
            return;
        }
        CHECK(in_child([&] { return work_in(group, 1, {each}, "affinity"); }) == "exit 0");
    }
}

TEST_CASE("a_process_in_a_group_with_the_time_of_one_cpu_has_one_core" *
          doctest::skip(no_threads_in_children)) {
    const clean_hwloc_environment clean;
    const std::vector<unsigned> there = detail::this_thread_mask().cpus();
    if (topology::discover().size() < 2) {
        MESSAGE("skipped: there is one core only");
        return;
    }
    // Half a CPU is one, too; one and a half are two.
    for (const int quota : {100'000, 50'000, 150'000}) {
        INFO(quota, " microseconds of each 100,000");
        const unsigned cores = quota > 100'000 ? 2 : 1;
        const ruled_group group = group_with_quota(quota);
        if (!group.usable()) {
            MESSAGE("skipped: no control group with a quota can be made here");
            return;
        }
        // Of two cores, one and a half leave both.
        const std::string said = cores == 1 ? group.path().string() : "";
        CHECK(in_child([&] { return work_in(group, cores, there, said); }) == "exit 0");
    }
}

}  // namespace tokengate::test
