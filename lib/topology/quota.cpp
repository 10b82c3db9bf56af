// SPDX-License-Identifier: Apache-2.0
#include "topology/quota.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

namespace tokengate::detail {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(end + 1);
    }
}

bool lists(std::string_view comma_separated, std::string_view word) {
    const std::vector<std::string> parts = split(comma_separated, ',');
    return std::find(parts.begin(), parts.end(), word) != parts.end();
}

std::optional<std::int64_t> to_number(std::string_view text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

/// The words of the first line; empty if the file cannot be read.
std::vector<std::string> first_line_words(const fs::path& file) {
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    std::istringstream words(line);
    std::vector<std::string> result;
    for (std::string word; words >> word;) {
        result.push_back(std::move(word));
    }
    return result;
}

std::optional<std::int64_t> number_in(const fs::path& file) {
    const std::vector<std::string> words = first_line_words(file);
    return words.size() == 1 ? to_number(words[0]) : std::nullopt;
}

std::optional<cpu_quota> make_quota(std::optional<std::int64_t> quota,
                                    std::optional<std::int64_t> period, const fs::path& file) {
    if (!quota || !period || *quota <= 0 || *period <= 0) {
        return std::nullopt;  // v1 writes -1 for "no limit"
    }
    return cpu_quota{*quota, *period, file.string()};
}

std::optional<cpu_quota> read_v2(const fs::path& group) {
    const std::vector<std::string> words = first_line_words(group / "cpu.max");
    if (words.empty()) {
        return std::nullopt;  // the root cgroup has no such file
    }
    // "max 100000" is no limit: "max" is not a number. The period may be left out.
    return make_quota(to_number(words[0]), words.size() > 1 ? to_number(words[1]) : 100'000,
                      group / "cpu.max");
}

std::optional<cpu_quota> read_v1(const fs::path& group) {
    return make_quota(number_in(group / "cpu.cfs_quota_us"), number_in(group / "cpu.cfs_period_us"),
                      group / "cpu.cfs_quota_us");
}

/// mountinfo writes blanks, tabs, line ends and backslashes as \ooo.
std::string unescape(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        unsigned code = 0;
        if (text[at] == '\\' && at + 3 < text.size() &&
            std::from_chars(&text[at + 1], &text[at + 1] + 3, code, 8).ptr == &text[at + 1] + 3) {
            result.push_back(static_cast<char>(code));
            at += 3;
        } else {
            result.push_back(text[at]);
        }
    }
    return result;
}

enum class version { v1, v2 };

struct hierarchy {
    version kind = version::v2;
    fs::path root;   // the cgroup that is seen at the mount point
    fs::path point;  // the mount point
};

/// One line of mountinfo: "id parent device root point options [fields] - type source super".
std::optional<hierarchy> parse_mount(const std::string& line) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) {
        return std::nullopt;
    }
    const std::vector<std::string> head = split(std::string_view(line).substr(0, dash), ' ');
    const std::vector<std::string> tail = split(std::string_view(line).substr(dash + 3), ' ');
    if (head.size() < 6 || tail.size() < 3) {
        return std::nullopt;
    }
    if (tail[0] == "cgroup2") {
        return hierarchy{version::v2, unescape(head[3]), unescape(head[4])};
    }
    if (tail[0] == "cgroup" && lists(tail[2], "cpu")) {
        return hierarchy{version::v1, unescape(head[3]), unescape(head[4])};
    }
    return std::nullopt;
}

/// The process's cgroup in the v2 tree and in the v1 tree of the cpu controller.
struct membership {
    std::optional<fs::path> v1;
    std::optional<fs::path> v2;
};

/// Lines of /proc/self/cgroup are "id:controllers:path"; v2 has id 0 and no controllers.
membership read_membership(const fs::path& file) {
    membership result;
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first == std::string::npos ? first : first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        if (controllers.empty()) {
            result.v2 = line.substr(second + 1);
        } else if (lists(controllers, "cpu")) {
            result.v1 = line.substr(second + 1);
        }
    }
    return result;
}

/// The cgroup's directory below the mount point. A container may see its own cgroup mounted as the
/// root while /proc names it from the host's root: the common part is taken off. A cgroup outside
/// the mount (its path starts with "/..") is invisible: what is mounted is the nearest known.
fs::path below_mount(const hierarchy& tree, const fs::path& cgroup) {
    const fs::path relative = cgroup.lexically_relative(tree.root);
    const bool inside =
        !relative.empty() && std::find(relative.begin(), relative.end(), "..") == relative.end();
    return inside ? relative : fs::path(".");
}

void keep_tighter(std::optional<cpu_quota>& best, std::optional<cpu_quota> found) {
    const auto share = [](const cpu_quota& quota) {
        return static_cast<double>(quota.quota_us) / static_cast<double>(quota.period_us);
    };
    if (found && (!best || share(*found) < share(*best))) {
        best = std::move(found);
    }
}

}  // namespace

unsigned cpu_quota::cpus() const noexcept {
    const std::int64_t whole = quota_us / period_us + (quota_us % period_us != 0 ? 1 : 0);
    return static_cast<unsigned>(
        std::clamp<std::int64_t>(whole, 1, std::numeric_limits<unsigned>::max()));
}

std::string cpu_quota::text() const {
    std::array<char, 128> figures{};
    std::snprintf(figures.data(), figures.size(), "%g ms of CPU time every %g ms, %.2f CPUs",
                  static_cast<double>(quota_us) / 1000.0, static_cast<double>(period_us) / 1000.0,
                  static_cast<double>(quota_us) / static_cast<double>(period_us));
    return figures.data() + (", set in " + file);
}

std::optional<cpu_quota> read_cpu_quota(const quota_paths& paths) {
    const membership member = read_membership(paths.cgroup);
    std::optional<cpu_quota> best;
    std::ifstream mounts(paths.mountinfo);
    for (std::string line; std::getline(mounts, line);) {
        const std::optional<hierarchy> tree = parse_mount(line);
        if (!tree) {
            continue;
        }
        const std::optional<fs::path>& cgroup = tree->kind == version::v2 ? member.v2 : member.v1;
        if (!cgroup) {
            continue;
        }
        // A quota binds everything below it, so each level up to the mount point counts.
        fs::path group = paths.root / tree->point.relative_path();
        keep_tighter(best, tree->kind == version::v2 ? read_v2(group) : read_v1(group));
        for (const fs::path& level : below_mount(*tree, *cgroup)) {
            if (level.empty() || level == ".") {
                continue;
            }
            group /= level;
            keep_tighter(best, tree->kind == version::v2 ? read_v2(group) : read_v1(group));
        }
    }
    return best;
}

}  // namespace tokengate::detail
