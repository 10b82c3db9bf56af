// SPDX-License-Identifier: Apache-2.0
// What `tokengate topology` shows.
#include "../../apps/tokengate/topology.hpp"

#include <string>

#include <doctest/doctest.h>

#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

settings settings_for(const topology& map) {
    settings held;
    held.cores = static_cast<unsigned>(map.size());
    held.workers_per_core = 2;
    held.first_core = {0, held.cores > 1 ? 1U : 0U, held.cores > 2 ? 2U : held.cores - 1};
    return held;
}

}  // namespace

TEST_CASE("printed_map_shows_every_domain_and_the_class_ranges") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(big_machine);
    const std::string text = app::format_topology(map, settings_for(map));
    CHECK(contains(text, "source   synthetic: pack:2 [numa] l3:4 core:8 pu:1\n"));
    CHECK(contains(text, "domains  64, scope core\n"));
    CHECK(contains(text, "classes  heavy 0-63, medium 1-63, light 2-63\n"));
    CHECK(contains(text, "workers  2 per domain, 128 in all\n"));
    CHECK(contains(text, "binding  not possible: the map is not of this machine\n"));
    CHECK(contains(text, "limits   none"));
    CHECK(contains(text, "\n     0  0     0     -   0 (16 MiB)  0     0\n"));
    CHECK(contains(text, "\n    63  63    0     -   7 (16 MiB)  1     1\n"));
}

TEST_CASE("printed_map_explains_its_width") {
    const clean_hwloc_environment clean;
    const topology map = synthetic("pack:1 core:2 pu:2", domain_scope::core, 3);
    settings held = settings_for(map);
    held.binding = false;
    const std::string text = app::format_topology(map, held);
    CHECK(contains(text, "domains  3, scope core, wrapped around 2 of hardware\n"));
    CHECK(contains(text, "heavy 0-2, medium 1-2, light 2\n"));
    CHECK(contains(text, "limits   3 domains were asked for"));
    CHECK(contains(text, "binding  off"));
    CHECK(contains(text, "\n     2  0-1 "));
}

TEST_CASE("printed_map_says_when_binding_is_real") {
    const clean_hwloc_environment clean;
    const topology map = topology::discover();
    CHECK(contains(app::format_topology(map, settings_for(map)), "binding  on: "));
}

TEST_CASE("json_map_holds_the_same_facts") {
    const clean_hwloc_environment clean;
    const topology map = synthetic(deep_machine, domain_scope::l3);
    settings held = settings_for(map);
    held.scope = domain_scope::l3;
    const nlohmann::ordered_json json = app::topology_json(map, held);
    CHECK(json["scope"] == "l3");
    CHECK(json["domains"] == 4);
    CHECK(json["distinct"] == 4);
    CHECK(json["classes"]["heavy"]["first"] == 0);
    CHECK(json["classes"]["medium"]["first"] == 1);
    CHECK(json["classes"]["light"]["first"] == 2);
    CHECK(json["classes"]["light"]["last"] == 3);
    CHECK(json["workers_per_domain"] == 2);
    CHECK(json["binding"] == true);
    CHECK(json["binds"] == false);
    REQUIRE(json["map"].size() == 4);
    CHECK(json["map"][1]["cpus"] == nlohmann::ordered_json{8, 9, 10, 11, 12, 13, 14, 15});
    CHECK(json["map"][1]["l2"].is_null());
    CHECK(json["map"][1]["l3"]["index"] == 1);
    CHECK(json["map"][1]["l3"]["bytes"] == 16U << 20);
    CHECK(json["map"][3]["numa_node"] == 1);
    CHECK(json["limits"].empty());
}

}  // namespace tokengate::test
