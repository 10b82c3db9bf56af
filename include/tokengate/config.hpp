// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a runtime can be told, and what holds in the end.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tokengate/resilience.hpp>
#include <tokengate/topology.hpp>
#include <tokengate/weight.hpp>

namespace tokengate {

/// Whether idle workers below a class's core range may take its free tokens.
enum class stealing : std::uint8_t {
    automatic,  ///< strict from 4 domains up, soft below (the default)
    strict,     ///< only workers inside the class's range
    soft,       ///< any idle worker, so that no core idles while free work waits
};

/// "automatic", "strict" or "soft".
[[nodiscard]] std::string_view to_string(stealing value) noexcept;

/// The first domain of each class's range; unset ones follow the contract (0, 1, 2).
struct first_cores {
    std::optional<int> heavy = {};   ///< of heavy tokens
    std::optional<int> medium = {};  ///< of medium ones
    std::optional<int> light = {};   ///< of light ones
};

/// What the program asks for. A field that is not set is taken from its `TOKENGATE_*` environment
/// variable, and where there is none, from the default compiled in by Meson.
///
/// | field | environment | range |
/// |---|---|---|
/// | cores | TOKENGATE_CORES | 1 to 1024; default: what the topology gives |
/// | workers_per_core | TOKENGATE_WORKERS_PER_CORE | 1 to 64, at most 4096 workers in all |
/// | arena_slots | TOKENGATE_ARENA_SLOTS | 0 to 1024, or -1: the domain's CPUs less its workers |
/// | mailbox_capacity | TOKENGATE_MAILBOX_CAPACITY | 1 to 2^30 tokens a lane |
/// | in_flight_limit | TOKENGATE_IN_FLIGHT_LIMIT | 1 to 2^40 tokens a runtime |
/// | memory_limit | TOKENGATE_MEMORY_LIMIT | 0 (none) to 2^50 bytes of tokens in flight |
/// | memory_policy | TOKENGATE_MEMORY_POLICY | block, refuse, drop_oldest |
/// | deque_capacity | TOKENGATE_DEQUE_CAPACITY | 2 to 2^20 a kind, rounded up to a power of two |
/// | sticky_slots | TOKENGATE_STICKY_SLOTS | 16 to 2^24, rounded up to a power of two |
/// | operation_limit | TOKENGATE_OPERATION_LIMIT | 1 to 2^20 operations a runtime |
/// | reserve_workers | TOKENGATE_RESERVE_WORKERS | 0 to 256 a domain |
/// | retry_stride | TOKENGATE_RETRY_STRIDE | 1 to 1,000,000 fresh tokens |
/// | spin_time | TOKENGATE_SPIN_TIME | 0 to 1,000,000 microseconds |
/// | help_depth | TOKENGATE_HELP_DEPTH | 0 to 1024 tokens run on top of each other while waiting |
/// | history | TOKENGATE_HISTORY | 0 to 1,000,000 executions to remember, 64 bytes each |
/// | scope | TOKENGATE_SCOPE | core, l2, l3, numa |
/// | steal | TOKENGATE_STEAL | automatic, strict, soft |
/// | binding | TOKENGATE_BINDING | true, false (also 1, 0, on, off, yes, no) |
/// | first_core | TOKENGATE_FIRST_HEAVY, _MEDIUM, _LIGHT | 0 to cores - 1 |
/// | synthetic | HWLOC_SYNTHETIC | a description as in hwloc(7) |
/// | xml_file | HWLOC_XMLFILE | a file written by lstopo |
struct config {
    std::optional<int> cores = {};             ///< domains; one core each unless `scope` says else
    std::optional<int> workers_per_core = {};  ///< worker threads of each domain
    std::optional<int> arena_slots = {};       ///< places for oneTBB's own threads in each domain
    std::optional<std::int64_t> mailbox_capacity = {};  ///< tokens that one lane of a mailbox holds
    std::optional<std::int64_t> in_flight_limit = {};   ///< tokens accepted and not yet finished
    /// Bytes that tokens in flight may take, with their arguments and what these hold
    /// (tokengate/argument.hpp), as far as that can be told before the call; 0: any number. Costs
    /// each call two locks. A call that is larger by itself is refused.
    std::optional<std::int64_t> memory_limit = {};
    /// What becomes of a call beyond them: drop_oldest kills tokens of the same operation.
    std::optional<when_full> memory_policy = {};
    std::optional<int> deque_capacity = {};   ///< tokens that a worker keeps of those it creates
    std::optional<int> sticky_slots = {};     ///< places for sticky keys in flight
    std::optional<int> operation_limit = {};  ///< operations that a runtime can have
    std::optional<int> reserve_workers = {};  ///< threads that stand in for blocked workers
    std::optional<int> retry_stride = {};     ///< fresh tokens between two retries
    std::optional<std::chrono::microseconds> spin_time = {};  ///< an idle worker's spin
    std::optional<int> help_depth = {};  ///< how deep a waiting worker runs other tokens
    /// Executions that runtime::history() tells of. If it is not 0, each token costs what a timed
    /// one does (basic_operation_traits::timed), and bulks are made of single tokens.
    std::optional<std::int64_t> history = {};
    std::optional<domain_scope> scope = {};  ///< what one domain covers
    std::optional<stealing> steal = {};      ///< what idle workers may take
    std::optional<bool> binding = {};        ///< pin workers to their domain's CPUs
    first_cores first_core = {};             ///< first domain of each class
    std::string synthetic = {};              ///< hwloc synthetic topology, for tests
    std::string xml_file = {};               ///< hwloc XML topology, for tests
};

/// What holds for a runtime, after code, environment and defaults were merged and checked.
struct settings {
    unsigned cores = 1;                          ///< domains
    unsigned workers_per_core = 1;               ///< worker threads of each domain
    int arena_slots = -1;                        ///< of each domain; -1: its CPUs less its workers
    std::size_t mailbox_capacity = 1;            ///< tokens that one lane of a mailbox holds
    std::size_t in_flight_limit = 1;             ///< tokens accepted and not yet finished
    std::size_t memory_limit = 0;                ///< bytes of tokens in flight; 0: any number
    when_full memory_policy = when_full::block;  ///< what becomes of a call beyond them
    std::size_t deque_capacity = 2;              ///< tokens of a kind that a worker keeps
    std::size_t sticky_slots = 16;               ///< places for sticky keys in flight
    std::uint32_t operation_limit = 1;           ///< operations that the runtime can have
    unsigned reserve_workers = 0;                ///< threads of each domain for blocked workers
    unsigned retry_stride = 1;                   ///< fresh tokens between two retries
    std::chrono::microseconds spin_time{0};      ///< an idle worker's spin
    unsigned help_depth = 0;                     ///< how deep a waiting worker runs other tokens
    std::size_t history = 0;                     ///< executions that runtime::history() tells of
    domain_scope scope = domain_scope::core;     ///< what one domain covers
    bool strict_stealing = false;                ///< `automatic` resolved
    bool binding = true;                         ///< workers are pinned to their domain's CPUs
    std::array<unsigned, weight_count> first_core{};  ///< by index_of(weight)

    /// One line for each setting: its name, its value and where it came from.
    struct line {
        std::string name;    ///< the field of config; or "topology"
        std::string value;   ///< what holds, as text
        std::string source;  ///< "code", "environment" or "default"; of the topology, "hwloc"
    };
    std::vector<line> lines;  ///< in the order of describe()
};

/// Merges code, environment and defaults, reads the topology, and checks everything at once.
/// `machine` receives the topology that the settings were checked against.
/// Reads the environment: do not call it while another thread changes that.
/// @throws config_error naming every wrong setting with its allowed range
/// @throws topology_error if the topology cannot be read
[[nodiscard]] settings resolve(const config& wanted, std::optional<topology>& machine);

/// The settings as text, one a line, as TOKENGATE_DISPLAY_ENV=1 prints them.
[[nodiscard]] std::string describe(const settings& resolved);

}  // namespace tokengate
