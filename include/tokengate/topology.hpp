// SPDX-License-Identifier: Apache-2.0
/// @file
/// The machine as the runtime sees it: domains, what they share, and how far apart they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tokengate {

/// What one domain covers.
enum class domain_scope : std::uint8_t {
    core,  ///< one physical core with all its hardware threads (the default)
    l2,    ///< the cores that share one L2 cache
    l3,    ///< the cores that share one L3 cache
    numa,  ///< the cores of one NUMA node
};

/// "core", "l2", "l3" or "numa".
[[nodiscard]] std::string_view to_string(domain_scope scope) noexcept;

/// The closest thing that two domains share. Smaller is nearer; stealing goes in this order.
enum class proximity : std::uint8_t {
    same_cpus,  ///< the same CPUs: one domain, or two that were wrapped onto one core
    l2,         ///< one L2 cache
    l3,         ///< one L3 cache
    numa,       ///< one NUMA node
    remote,     ///< nothing closer than the machine
};

/// One domain: a set of CPUs and what is known of them.
struct domain_info {
    unsigned index = 0;                 ///< position in the ranking, from 0
    std::vector<unsigned> cpus;         ///< OS indexes of its CPUs, ascending, never empty
    unsigned kind = 0;                  ///< core kind; 0 is the fastest on this machine
    std::optional<unsigned> l2;         ///< logical index of its L2 cache, where one is known
    std::optional<unsigned> l3;         ///< logical index of its L3 cache, where one is known
    std::uint64_t l2_bytes = 0;         ///< size of that L2 cache in bytes, 0 if unknown
    std::uint64_t l3_bytes = 0;         ///< size of that L3 cache in bytes, 0 if unknown
    std::optional<unsigned> numa_node;  ///< OS index of its (first) NUMA node
    std::optional<unsigned> package;    ///< OS index of its package (socket)
};

/// CPU indexes as Linux writes them: "0-3,8" for 0, 1, 2, 3 and 8. Expects them ascending.
[[nodiscard]] std::string cpu_list(const std::vector<unsigned>& cpus);

/// What to look for. The defaults describe the machine that the process runs on. The first source
/// that is set holds: `synthetic`, `xml_file`, HWLOC_SYNTHETIC, HWLOC_XMLFILE, this machine.
struct topology_request {
    domain_scope scope = domain_scope::core;  ///< what one domain covers
    std::optional<unsigned> domains = {};  ///< 1 to `max_domains`; more than there are wrap around
    std::string synthetic = {};            ///< hwloc synthetic description; empty: HWLOC_SYNTHETIC
    std::string xml_file = {};             ///< hwloc XML file; empty: HWLOC_XMLFILE
};

/// An immutable snapshot of the machine, cut into domains.
///
/// Only CPUs that the calling thread may use are in it (its affinity mask and cpuset are honoured),
/// and a cgroup CPU quota (v1 or v2) limits the number of domains unless `domains` says how many:
/// 2.5 CPUs of quota give three cores, or as many wider domains as hold three CPUs. Cores are
/// ranked fastest kind first (hybrid CPUs), then by locality, so that neighbours in the ranking are
/// neighbours on the chip. Where the level that `scope` names is unknown, the next smaller one that
/// is known takes its place. A synthetic or XML map is taken whole: no mask and no quota applies.
///
/// Thread safety: const members may be called from any thread. Source: hwloc, section "Topology".
class topology {
  public:
    /// The largest number of domains that can be asked for.
    static constexpr unsigned max_domains = 65'536;

    /// Reads the machine. Blocks for milliseconds (it reads /sys and /proc); call it once, keep the
    /// result. Reads the environment: do not call it while another thread changes that.
    /// @throws topology_error if hwloc cannot read the source, the description is invalid, or
    /// `request.domains` is out of range
    [[nodiscard]] static topology discover(const topology_request& request = {});

    /// Number of domains, at least 1.
    [[nodiscard]] std::size_t size() const noexcept { return domains_.size(); }

    /// The domain of the given index, 0 to size() - 1.
    /// @throws std::out_of_range for any other
    [[nodiscard]] const domain_info& domain(std::size_t index) const { return domains_.at(index); }

    /// All domains in ranking order.
    [[nodiscard]] const std::vector<domain_info>& domains() const noexcept { return domains_; }

    /// The closest thing that two domains share. Constant time.
    /// @throws std::out_of_range if there is no such domain
    [[nodiscard]] proximity between(std::size_t a, std::size_t b) const;

    /// The other domains, nearest first; those at one distance start after `index` and wrap around,
    /// so that thieves spread. Sorts, so keep the result.
    /// @throws std::out_of_range if there is no such domain
    [[nodiscard]] std::vector<unsigned> neighbours(std::size_t index) const;

    /// Where the map came from: "this machine", "synthetic: ..." or "xml: ..." with the description
    /// or path.
    [[nodiscard]] const std::string& source() const noexcept { return source_; }

    /// What shaped the number of domains, a sentence each: the affinity mask, a quota, what was
    /// asked for, what hwloc does not know of the machine. Empty if nothing did.
    [[nodiscard]] const std::vector<std::string>& limits() const noexcept { return limits_; }

    /// Number of distinct domains of hardware; smaller than size() when domains wrap around.
    [[nodiscard]] std::size_t distinct() const noexcept { return distinct_; }

    /// True if threads can really be bound to these CPUs: the map is of this machine, or
    /// HWLOC_THISSYSTEM=1 claims so.
    [[nodiscard]] bool binds() const noexcept { return binds_; }

  private:
    topology() = default;

    std::vector<domain_info> domains_;
    std::vector<std::string> limits_;
    std::string source_;
    std::size_t distinct_ = 0;
    bool binds_ = false;
};

}  // namespace tokengate
