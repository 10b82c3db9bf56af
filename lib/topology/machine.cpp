// SPDX-License-Identifier: Apache-2.0
#include "topology/machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <tokengate/error.hpp>

#include "topology/binding.hpp"
#include "topology/hwloc_map.hpp"

namespace tokengate::detail {
namespace {

// The largest number of CPUs that Linux can be built for.
constexpr std::uint64_t largest_synthetic = 8192;

/// Where the description of the machine comes from.
enum class origin { this_machine, synthetic, xml };

struct map_source {
    origin from = origin::this_machine;
    std::string text;        // the description or the path; empty for this machine
    std::string_view given;  // who asked for it, for error messages
};

/// An empty variable counts as unset.
std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

map_source choose_source(const topology_request& request) {
    if (!request.synthetic.empty()) {
        return {origin::synthetic, request.synthetic, "given in code"};
    }
    if (!request.xml_file.empty()) {
        return {origin::xml, request.xml_file, "given in code"};
    }
    // hwloc looks at these variables in the same order. Doing it here lets a bad value be an error:
    // hwloc itself would silently load the real machine instead.
    if (std::string text = environment("HWLOC_SYNTHETIC"); !text.empty()) {
        return {origin::synthetic, std::move(text), "from HWLOC_SYNTHETIC"};
    }
    if (std::string path = environment("HWLOC_XMLFILE"); !path.empty()) {
        return {origin::xml, std::move(path), "from HWLOC_XMLFILE"};
    }
    return {};
}

std::string name_of(const map_source& source) {
    switch (source.from) {
        case origin::this_machine: return "this machine";
        case origin::synthetic: return "synthetic: " + source.text;
        case origin::xml: return "xml: " + source.text;
    }
    return "unknown";
}

[[noreturn]] void throw_unreadable(const map_source& source, int error_number) {
    std::string quoted = '"' + source.text + "\" (" + std::string(source.given) + ')';
    switch (source.from) {
        case origin::synthetic:
            throw topology_error(
                "invalid synthetic topology " + quoted +
                ": hwloc does not understand it. List the levels from the outside in as type:count "
                "and end with pu, as hwloc(7) describes under \"synthetic topologies\", for "
                "example \"pack:2 [numa] l3:4 core:8 pu:1\"");
        case origin::xml:
            throw topology_error("cannot read the XML topology " + quoted + ": " +
                                 (error_number == 0
                                      ? std::string("it is not a topology that hwloc can load")
                                      : std::generic_category().message(error_number)) +
                                 ". Give the path of a file written by \"lstopo file.xml\"");
        case origin::this_machine: break;
    }
    throw topology_error("hwloc cannot read the topology of " + name_of(source) + ": " +
                         std::generic_category().message(error_number));
}

/// How many CPUs a synthetic description asks for: the product of its counts, or some number above
/// `most` once it exceeds that. What stands in brackets or parentheses does not count.
std::uint64_t synthetic_cpus(const std::string& description, std::uint64_t most) {
    std::uint64_t product = 1;
    int depth = 0;
    for (std::size_t i = 0; i < description.size() && product <= most; ++i) {
        const char c = description[i];
        if (c == '[' || c == '(') ++depth;
        if (c == ']' || c == ')') --depth;
        if (c != ':' || depth != 0) continue;
        std::uint64_t count = 0;
        const char* end = description.data() + description.size();
        const auto parsed = std::from_chars(description.data() + i + 1, end, count);
        if (parsed.ec == std::errc::result_out_of_range) return most + 1;
        if (parsed.ec == std::errc() && count > 0) product = count > most ? count : product * count;
    }
    return product;
}

void load(const hwloc_map& map, const map_source& source) {
    switch (source.from) {
        case origin::synthetic:
            // hwloc would try, for hours or until memory ends.
            if (synthetic_cpus(source.text, largest_synthetic) > largest_synthetic) {
                throw topology_error("the synthetic topology \"" + source.text + "\" (" +
                                     std::string(source.given) + ") describes more than " +
                                     std::to_string(largest_synthetic) +
                                     " CPUs, the most that Linux knows: make its counts smaller");
            }
            if (hwloc_topology_set_synthetic(map.get(), source.text.c_str()) != 0) {
                throw_unreadable(source, 0);
            }
            break;
        case origin::xml:
            // hwloc does not say why it cannot read a file, so the file is tried first. This also
            // refuses "-", for which hwloc would wait for its standard input.
            errno = 0;
            if (!std::ifstream(source.text)) {
                throw_unreadable(source, errno == 0 ? ENOENT : errno);
            }
            if (hwloc_topology_set_xml(map.get(), source.text.c_str()) != 0) {
                throw_unreadable(source, 0);
            }
            break;
        case origin::this_machine:
            if (hwloc_topology_set_flags(map.get(),
                                         HWLOC_TOPOLOGY_FLAG_IS_THISSYSTEM |
                                             HWLOC_TOPOLOGY_FLAG_RESTRICT_TO_CPUBINDING) != 0) {
                throw_unreadable(source, errno);
            }
            break;
    }
    errno = 0;
    if (hwloc_topology_load(map.get()) != 0) {
        throw_unreadable(source, source.from == origin::xml ? 0 : errno);
    }
}

/// Cuts the map down to the affinity mask of the calling thread, which its workers would inherit.
/// hwloc's own restriction is wider: it takes the union over all threads of the process.
/// @param again  whether the map may be read anew
/// @return false if it should be: the thread was moved meanwhile to CPUs that are not in it
bool restrict_to_this_thread(const hwloc_map& map, std::vector<std::string>& notes, bool again) {
    const cpu_mask mask = this_thread_mask();
    if (!mask.empty()) {
        const hwloc_bitmap_owner allowed(hwloc_bitmap_alloc());
        if (allowed == nullptr) {
            throw topology_error("no memory left for a set of CPUs");
        }
        for (const unsigned cpu : mask.cpus()) {
            hwloc_bitmap_set(allowed.get(), cpu);
        }
        if (hwloc_topology_restrict(map.get(), allowed.get(), 0) != 0) {
            if (errno == EINVAL && again) return false;
            throw topology_error("hwloc knows none of the CPUs that this thread may use (" +
                                 cpu_list(mask.cpus()) +
                                 "): " + std::generic_category().message(errno));
        }
    }

    std::vector<unsigned> usable;
    for (hwloc_obj_t pu = nullptr;
         (pu = hwloc_get_next_obj_by_type(map.get(), HWLOC_OBJ_PU, pu)) != nullptr;) {
        usable.push_back(pu->os_index);
    }
    std::sort(usable.begin(), usable.end());
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online > 0 && usable.size() < static_cast<std::size_t>(online)) {
        notes.push_back("This thread may run on " + std::to_string(usable.size()) + " of the " +
                        std::to_string(online) + " CPUs of this machine (CPU list " +
                        cpu_list(usable) + "): its affinity mask or cpuset allows no more.");
    }
    return true;
}

/// Kinds of CPUs by descending speed. hwloc ranks them by ascending efficiency, and gives -1 when
/// it cannot rank them: then all count as one kind.
class kind_ranking {
  public:
    explicit kind_ranking(const hwloc_map& map) : map_(map.get()) {
        const int kinds = hwloc_cpukinds_get_nr(map_, 0);
        for (int kind = 0; kind < kinds; ++kind) {
            int efficiency = -1;
            if (hwloc_cpukinds_get_info(map_, static_cast<unsigned>(kind), nullptr, &efficiency,
                                        nullptr, nullptr, 0) != 0 ||
                efficiency < 0) {
                return;
            }
        }
        count_ = kinds;
    }

    /// 0 is the fastest; CPUs of no known kind come last.
    [[nodiscard]] unsigned of(hwloc_obj_t pu) const noexcept {
        if (count_ <= 0) {
            return 0;
        }
        const int kind = hwloc_cpukinds_get_by_cpuset(map_, pu->cpuset, 0);
        return static_cast<unsigned>(kind < 0 ? count_ : count_ - 1 - kind);
    }

  private:
    hwloc_topology_t map_;
    int count_ = 0;
};

std::optional<cache_info> cache_of(const hwloc_map& map, hwloc_obj_t pu, hwloc_obj_type_t level) {
    const hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(map.get(), level, pu);
    if (cache == nullptr) {
        return std::nullopt;
    }
    return cache_info{cache->logical_index, cache->attr->cache.size};
}

std::optional<unsigned> package_of(const hwloc_map& map, hwloc_obj_t pu) {
    const hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(map.get(), HWLOC_OBJ_PACKAGE, pu);
    if (package == nullptr) {
        return std::nullopt;
    }
    return package->os_index == HWLOC_UNKNOWN_INDEX ? package->logical_index : package->os_index;
}

std::optional<unsigned> numa_node_of(hwloc_obj_t pu) {
    const int node = pu->nodeset == nullptr ? -1 : hwloc_bitmap_first(pu->nodeset);
    return node < 0 ? std::nullopt : std::optional(static_cast<unsigned>(node));
}

/// Numbers what is in use from 0, so that kind 0 exists even where the fastest CPUs are off limits.
void close_gaps_in_kinds(std::vector<cpu_info>& cpus) {
    std::set<unsigned> used;
    for (const cpu_info& cpu : cpus) {
        used.insert(cpu.kind);
    }
    for (cpu_info& cpu : cpus) {
        cpu.kind = static_cast<unsigned>(std::distance(used.begin(), used.find(cpu.kind)));
    }
}

void read_cpus(const hwloc_map& map, machine& result) {
    const kind_ranking kinds(map);
    hwloc_obj_t last_core = nullptr;
    unsigned cores = 0;
    std::size_t without_core = 0;
    for (hwloc_obj_t pu = nullptr;
         (pu = hwloc_get_next_obj_by_type(map.get(), HWLOC_OBJ_PU, pu)) != nullptr;) {
        // The PUs of one core follow each other in logical order. A PU outside any core, as on
        // machines that do not tell, is a core of its own.
        const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(map.get(), HWLOC_OBJ_CORE, pu);
        if (core == nullptr || core != last_core) {
            ++cores;
        }
        last_core = core;
        without_core += core == nullptr ? 1 : 0;

        cpu_info cpu;
        cpu.os_index = pu->os_index;
        cpu.core = cores - 1;
        cpu.kind = kinds.of(pu);
        cpu.l2 = cache_of(map, pu, HWLOC_OBJ_L2CACHE);
        cpu.l3 = cache_of(map, pu, HWLOC_OBJ_L3CACHE);
        cpu.numa_node = numa_node_of(pu);
        cpu.package = package_of(map, pu);
        result.cpus.push_back(cpu);
    }
    if (result.cpus.empty()) {
        throw topology_error("the topology (" + result.source + ") holds no CPU that may be used");
    }
    if (without_core > 0) {
        result.notes.push_back("The core is unknown for " + std::to_string(without_core) + " of " +
                               std::to_string(result.cpus.size()) +
                               " CPUs: each of these counts as a core of its own.");
    }
    close_gaps_in_kinds(result.cpus);
}

}  // namespace

machine read_machine(const topology_request& request) {
    const map_source source = choose_source(request);
    // Whoever shrinks a cpuset or moves the process does so once or twice, not all the time.
    constexpr int most_looks = 100;
    for (int look = 1;; ++look) {
        const hwloc_map map;
        load(map, source);

        machine result;
        result.source = name_of(source);
        // True for this machine, and for a foreign map when HWLOC_THISSYSTEM=1 vouches for it.
        result.binds = hwloc_topology_is_thissystem(map.get()) != 0;
        result.local = source.from == origin::this_machine && result.binds;
        if (result.local && !restrict_to_this_thread(map, result.notes, look < most_looks)) {
            continue;
        }
        read_cpus(map, result);
        return result;
    }
}

}  // namespace tokengate::detail
