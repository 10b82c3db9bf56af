// SPDX-License-Identifier: Apache-2.0
#include "topology.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <absl/strings/str_format.h>

#include <tokengate/weight.hpp>

namespace tokengate::app {
namespace {

using row = std::array<std::string, 7>;

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array<const char*, 4> units{"B", "KiB", "MiB", "GiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < units.size()) {
        value /= 1024.0;
        ++unit;
    }
    return absl::StrFormat("%.4g %s", value, units[unit]);
}

std::string number_text(const std::optional<unsigned>& value) {
    return value ? std::to_string(*value) : "-";
}

std::string cache_text(const std::optional<unsigned>& index, std::uint64_t bytes) {
    return number_text(index) + (index && bytes != 0 ? " (" + bytes_text(bytes) + ")" : "");
}

std::string range_text(unsigned first, unsigned last) {
    return first == last ? std::to_string(first) : absl::StrFormat("%u-%u", first, last);
}

std::string class_ranges(const settings& held) {
    std::string text;
    for (const weight each : all_weights) {
        text += absl::StrFormat("%s%s %s", text.empty() ? "" : ", ", std::string(to_string(each)),
                                range_text(held.first_core[index_of(each)], held.cores - 1));
    }
    return text;
}

std::string binding_text(const topology& map, const settings& held) {
    if (!held.binding) {
        return "off: workers run wherever the system puts them";
    }
    return map.binds() ? "on: each worker runs on its domain's CPUs only"
                       : "not possible: the map is not of this machine";
}

/// Columns as wide as their widest cell, left-aligned but for the first.
std::string domain_table(const std::vector<row>& rows) {
    std::array<std::size_t, std::tuple_size_v<row>> widths{};
    for (const row& cells : rows) {
        for (std::size_t column = 0; column < cells.size(); ++column) {
            widths[column] = std::max(widths[column], cells[column].size());
        }
    }
    std::string text;
    for (const row& cells : rows) {
        std::string line = absl::StrFormat("%*s", static_cast<int>(widths[0]), cells[0]);
        for (std::size_t column = 1; column < cells.size(); ++column) {
            absl::StrAppendFormat(&line, "  %-*s", static_cast<int>(widths[column]), cells[column]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + '\n';
    }
    return text;
}

nlohmann::ordered_json number_json(const std::optional<unsigned>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

nlohmann::ordered_json cache_json(const std::optional<unsigned>& index, std::uint64_t bytes) {
    if (!index) {
        return nullptr;
    }
    return {{"index", *index},
            {"bytes", bytes == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(bytes)}};
}

}  // namespace

std::string format_topology(const topology& map, const settings& held) {
    std::string text = absl::StrFormat("source   %s\n", map.source());
    absl::StrAppendFormat(&text, "domains  %u, scope %s", map.size(),
                          std::string(to_string(held.scope)));
    if (map.distinct() < map.size()) {
        absl::StrAppendFormat(&text, ", wrapped around %u of hardware", map.distinct());
    }
    absl::StrAppendFormat(&text, "\nclasses  %s\n", class_ranges(held));
    absl::StrAppendFormat(&text, "workers  %u per domain, %u in all\n", held.workers_per_core,
                          std::size_t{held.workers_per_core} * held.cores);
    absl::StrAppendFormat(&text, "binding  %s\n", binding_text(map, held));
    const char* label = "limits ";
    for (const std::string& sentence : map.limits()) {
        absl::StrAppendFormat(&text, "%s  %s\n", label, sentence);
        label = "       ";
    }
    if (map.limits().empty()) {
        absl::StrAppendFormat(&text, "%s  none: all the hardware there is\n", label);
    }

    std::vector<row> rows{{"domain", "CPUs", "kind", "L2", "L3", "NUMA", "package"}};
    for (const domain_info& domain : map.domains()) {
        rows.push_back({std::to_string(domain.index), cpu_list(domain.cpus),
                        std::to_string(domain.kind), cache_text(domain.l2, domain.l2_bytes),
                        cache_text(domain.l3, domain.l3_bytes), number_text(domain.numa_node),
                        number_text(domain.package)});
    }
    return text + '\n' + domain_table(rows);
}

nlohmann::ordered_json topology_json(const topology& map, const settings& held) {
    nlohmann::ordered_json result;
    result["source"] = map.source();
    result["scope"] = std::string(to_string(held.scope));
    result["domains"] = map.size();
    result["distinct"] = map.distinct();
    for (const weight each : all_weights) {
        result["classes"][std::string(to_string(each))] = {
            {"first", held.first_core[index_of(each)]}, {"last", held.cores - 1}};
    }
    result["workers_per_domain"] = held.workers_per_core;
    result["binding"] = held.binding;
    result["binds"] = held.binding && map.binds();
    result["limits"] = map.limits();
    result["map"] = nlohmann::ordered_json::array();
    for (const domain_info& domain : map.domains()) {
        result["map"].push_back({{"index", domain.index},
                                 {"cpus", domain.cpus},
                                 {"kind", domain.kind},
                                 {"l2", cache_json(domain.l2, domain.l2_bytes)},
                                 {"l3", cache_json(domain.l3, domain.l3_bytes)},
                                 {"numa_node", number_json(domain.numa_node)},
                                 {"package", number_json(domain.package)}});
    }
    return result;
}

}  // namespace tokengate::app
