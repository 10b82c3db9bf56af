// SPDX-License-Identifier: Apache-2.0
// CPU quotas of cgroups, read from fake trees.
#include "topology/quota.hpp"

#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

using detail::cpu_quota;

/// A made-up root file system.
class fake_root {
  public:
    fake_root(std::string_view membership, std::string_view mounts) {
        folder_.write("proc/cgroup", membership);
        folder_.write("proc/mountinfo", mounts);
    }

    void write(const std::string& file, std::string_view text) const { folder_.write(file, text); }

    [[nodiscard]] std::optional<cpu_quota> read() const {
        return detail::read_cpu_quota({.cgroup = folder_.path() / "proc/cgroup",
                                       .mountinfo = folder_.path() / "proc/mountinfo",
                                       .root = folder_.path()});
    }

    [[nodiscard]] std::string path(const std::string& file) const {
        return (folder_.path() / file).string();
    }

  private:
    scratch_folder folder_;
};

constexpr const char* v2_mount =
    "22 28 0:20 / /proc rw - proc proc rw\n"
    "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n";

constexpr const char* v1_mounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";

}  // namespace

TEST_CASE("cgroup_v2_quota_is_read_from_cpu_max") {
    const fake_root root("0::/jobs/one\n", v2_mount);
    root.write("sys/fs/cgroup/jobs/one/cpu.max", "150000 100000\n");
    const std::optional<cpu_quota> quota = root.read();
    REQUIRE(quota);
    CHECK(quota->quota_us == 150'000);
    CHECK(quota->period_us == 100'000);
    CHECK(quota->cpus() == 2);
    CHECK(quota->file == root.path("sys/fs/cgroup/jobs/one/cpu.max"));
    CHECK(contains(quota->text(), "150 ms of CPU time every 100 ms, 1.50 CPUs, set in "));
}

TEST_CASE("cgroup_v2_max_is_no_quota") {
    const fake_root root("0::/jobs/one\n", v2_mount);
    root.write("sys/fs/cgroup/jobs/one/cpu.max", "max 100000\n");
    CHECK_FALSE(root.read());
}

TEST_CASE("the_tightest_cgroup_on_the_way_up_counts") {
    const fake_root root("0::/a/b/c\n", v2_mount);
    root.write("sys/fs/cgroup/a/cpu.max", "300000 50000\n");  // 6 CPUs
    root.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    root.write("sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");    // 8 CPUs
    root.write("sys/fs/cgroup/a/other/cpu.max", "100000 100000\n");  // not ours
    std::optional<cpu_quota> quota = root.read();
    REQUIRE(quota);
    CHECK(quota->cpus() == 6);
    CHECK(quota->file == root.path("sys/fs/cgroup/a/cpu.max"));

    root.write("sys/fs/cgroup/a/b/c/cpu.max", "50000 100000\n");
    quota = root.read();
    REQUIRE(quota);
    CHECK(quota->cpus() == 1);
    CHECK(quota->file == root.path("sys/fs/cgroup/a/b/c/cpu.max"));
}

TEST_CASE("cgroup_v1_quota_is_read_from_the_cpu_controller") {
    const fake_root root("4:cpuset:/elsewhere\n3:cpu,cpuacct:/jobs/two\n0::/ignored\n", v1_mounts);
    const std::string folder = "sys/fs/cgroup/cpu,cpuacct/jobs/two/";
    root.write(folder + "cpu.cfs_quota_us", "250000\n");
    root.write(folder + "cpu.cfs_period_us", "100000\n");
    std::optional<cpu_quota> quota = root.read();
    REQUIRE(quota);
    CHECK(quota->cpus() == 3);
    CHECK(quota->file == root.path(folder + "cpu.cfs_quota_us"));

    root.write("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_quota_us", "100000\n");
    root.write("sys/fs/cgroup/cpu,cpuacct/jobs/cpu.cfs_period_us", "100000\n");
    quota = root.read();
    REQUIRE(quota);
    CHECK(quota->cpus() == 1);
}

TEST_CASE("cgroup_v1_minus_one_is_no_quota") {
    const fake_root root("3:cpu,cpuacct:/jobs/two\n", v1_mounts);
    root.write("sys/fs/cgroup/cpu,cpuacct/jobs/two/cpu.cfs_quota_us", "-1\n");
    root.write("sys/fs/cgroup/cpu,cpuacct/jobs/two/cpu.cfs_period_us", "100000\n");
    CHECK_FALSE(root.read());
}

TEST_CASE("a_hybrid_tree_is_searched_in_both_versions") {
    const fake_root root("3:cpu:/x\n0::/y\n",
                         "33 31 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
                         "34 31 0:31 / /cg/unified rw - cgroup2 cgroup2 rw\n");
    root.write("cg/cpu/x/cpu.cfs_quota_us", "400000");
    root.write("cg/cpu/x/cpu.cfs_period_us", "100000");
    root.write("cg/unified/y/cpu.max", "200000 100000");
    const std::optional<cpu_quota> quota = root.read();
    REQUIRE(quota);
    CHECK(quota->cpus() == 2);
}

TEST_CASE("a_container_finds_its_cgroup_at_the_mount_point") {
    SUBCASE("named from the host's root, mounted as the root") {
        const fake_root root("0::/docker/abc/inner\n",
                             "31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup ro\n");
        root.write("sys/fs/cgroup/inner/cpu.max", "200000 100000\n");
        root.write("sys/fs/cgroup/cpu.max", "500000 100000\n");
        REQUIRE(root.read());
        CHECK(root.read()->cpus() == 2);
    }
    SUBCASE("outside what is mounted") {
        const fake_root root("0::/../other\n", v2_mount);
        root.write("sys/fs/cgroup/cpu.max", "400000 100000\n");
        REQUIRE(root.read());
        CHECK(root.read()->cpus() == 4);
    }
    SUBCASE("in a cgroup namespace of its own") {
        const fake_root root("0::/\n", v2_mount);
        root.write("sys/fs/cgroup/cpu.max", "300000 100000\n");
        REQUIRE(root.read());
        CHECK(root.read()->cpus() == 3);
    }
    SUBCASE("below a folder with a blank in its name") {
        const fake_root root("0::/\n", "31 23 0:28 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
        root.write("my groups/cpu.max", "700000 100000\n");
        REQUIRE(root.read());
        CHECK(root.read()->cpus() == 7);
    }
}

TEST_CASE("what_cannot_be_read_limits_nothing") {
    SUBCASE("no files at all") {
        CHECK_FALSE(detail::read_cpu_quota(
            {.cgroup = "/nonexistent/a", .mountinfo = "/nonexistent/b", .root = "/nonexistent"}));
    }
    SUBCASE("no cgroup file system") {
        CHECK_FALSE(fake_root("0::/x\n", "22 28 0:20 / /proc rw - proc proc rw\n").read());
    }
    SUBCASE("nonsense in every file") {
        const fake_root root("hello\n:\n0:\n0::/x\n",
                             "- - -\nx - cgroup2\n\n" + std::string(v2_mount));
        for (const char* text : {"", "\n", "abc", "0 100000", "100000 0", "-5 100000", "1e5 100000",
                                 "99999999999999999999 100000", "100000 x"}) {
            CAPTURE(text);
            root.write("sys/fs/cgroup/x/cpu.max", text);
            CHECK_FALSE(root.read());
        }
    }
    SUBCASE("half of a version 1 quota") {
        const fake_root root("3:cpu,cpuacct:/x\n", v1_mounts);
        root.write("sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us", "100000\n");
        CHECK_FALSE(root.read());
    }
}

TEST_CASE("quotas_round_up_to_whole_cpus") {
    const auto cpus = [](std::int64_t quota, std::int64_t period) {
        return cpu_quota{quota, period, {}}.cpus();
    };
    CHECK(cpus(1'000, 100'000) == 1);
    CHECK(cpus(100'000, 100'000) == 1);
    CHECK(cpus(100'001, 100'000) == 2);
    CHECK(cpus(6'400'000, 100'000) == 64);
    CHECK(cpus(std::numeric_limits<std::int64_t>::max(), 1) ==
          std::numeric_limits<unsigned>::max());
}

}  // namespace tokengate::test
