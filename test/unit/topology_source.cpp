// SPDX-License-Identifier: Apache-2.0
// Where the map comes from, and what happens when that cannot be read.
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include <tokengate/error.hpp>
#include <tokengate/topology.hpp>

#include "topology_fixture.hpp"

namespace tokengate::test {
namespace {

/// The message of the topology_error that a request ends in, or "" if there is none.
std::string refusal(const topology_request& request = {}) {
    try {
        static_cast<void>(topology::discover(request));
    } catch (const topology_error& problem) {
        return problem.what();
    }
    return "";
}

topology_request described(std::string text) {
    topology_request request;
    request.synthetic = std::move(text);
    return request;
}

topology_request stored_in(std::string path) {
    topology_request request;
    request.xml_file = std::move(path);
    return request;
}

}  // namespace

TEST_CASE("synthetic_description_in_the_environment_holds") {
    const clean_hwloc_environment clean;
    const scoped_variable variable("HWLOC_SYNTHETIC", big_machine);
    const topology map = topology::discover();
    CHECK(map.size() == 64);
    CHECK(map.source() == std::string("synthetic: ") + big_machine);
}

TEST_CASE("synthetic_description_of_too_many_cpus_is_refused_at_once") {
    const clean_hwloc_environment clean;
    for (const char* text :
         {"pack:1000 core:1000 pu:1000", "pu:4294967295", "pu:99999999999999999999",
          "pack:2 [numa(memory=1000:1)] core:4097 pu:1"}) {
        CAPTURE(text);
        const std::string message = refusal(described(text));
        CHECK(message.find(text) != std::string::npos);
        CHECK(message.find("8192 CPUs") != std::string::npos);
    }
    CHECK(topology::discover(described("pack:2 core:128 pu:2")).size() == 256);
}

TEST_CASE("xml_file_in_the_environment_holds") {
    const clean_hwloc_environment clean;
    const scoped_variable variable("HWLOC_XMLFILE", data_file("hybrid.xml").c_str());
    CHECK(topology::discover().size() == 6);
}

TEST_CASE("code_wins_over_the_environment") {
    const clean_hwloc_environment clean;
    const scoped_variable text("HWLOC_SYNTHETIC", big_machine);
    const scoped_variable file("HWLOC_XMLFILE", data_file("hybrid.xml").c_str());
    CHECK(topology::discover(described("core:3 pu:1")).size() == 3);
    CHECK(topology::discover(stored_in(data_file("hybrid.xml"))).size() == 6);
    CHECK(topology::discover().size() == 64);  // the description goes before the file

    topology_request both = stored_in(data_file("hybrid.xml"));
    both.synthetic = "core:3 pu:1";
    CHECK(topology::discover(both).size() == 3);
}

TEST_CASE("an_empty_variable_counts_as_unset") {
    const clean_hwloc_environment clean;
    const scoped_variable text("HWLOC_SYNTHETIC", "");
    const scoped_variable file("HWLOC_XMLFILE", "");
    CHECK(topology::discover().source() == "this machine");
}

TEST_CASE("foreign_maps_do_not_bind_unless_vouched_for") {
    const clean_hwloc_environment clean;
    CHECK_FALSE(synthetic(big_machine).binds());
    CHECK_FALSE(topology::discover(stored_in(data_file("hybrid.xml"))).binds());
    const scoped_variable vouched("HWLOC_THISSYSTEM", "1");
    const topology map = synthetic(big_machine);
    CHECK(map.binds());
    CHECK(map.size() == 64);  // whatever this machine has: the map is still the synthetic one
}

TEST_CASE("invalid_synthetic_description_is_refused_with_its_text_and_origin") {
    const clean_hwloc_environment clean;
    for (const char* wrong : {"bogus:x", "pack:2 bogus:3", "pack:0 pu:1", "core:-1", "]"}) {
        CAPTURE(wrong);
        const std::string in_code = refusal(described(wrong));
        CHECK(contains(in_code, '"' + std::string(wrong) + "\" (given in code)"));
        CHECK(contains(in_code, "hwloc(7)"));
        CHECK(contains(in_code, "\"pack:2 [numa] l3:4 core:8 pu:1\""));

        // hwloc alone would load the real machine without a word.
        const scoped_variable variable("HWLOC_SYNTHETIC", wrong);
        CHECK(contains(refusal(), '"' + std::string(wrong) + "\" (from HWLOC_SYNTHETIC)"));
    }
}

TEST_CASE("unreadable_xml_is_refused_with_its_path_origin_and_reason") {
    const clean_hwloc_environment clean;
    const scratch_folder folder;
    folder.write("text.xml", "this is not XML");
    folder.write("empty.xml", "");
    folder.write("other.xml", "<?xml version=\"1.0\"?>\n<recipe><egg/></recipe>\n");
    folder.write("cut.xml",
                 "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                 "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
                 "<topology version=\"2.0\">\n<object type=\"Machine\" os_index=\"0\" cpuset=");
    for (const char* name : {"text.xml", "empty.xml", "other.xml", "cut.xml", "."}) {
        CAPTURE(name);
        const std::string path = (folder.path() / name).string();
        const std::string message = refusal(stored_in(path));
        CHECK(contains(message, '"' + path + "\" (given in code)"));
        CHECK(contains(message, "lstopo"));
    }
    const std::string missing = (folder.path() / "missing.xml").string();
    CHECK(contains(refusal(stored_in(missing)), "No such file or directory"));
    CHECK(contains(refusal(stored_in("-")), "\"-\""));  // hwloc would read its standard input

    const scoped_variable variable("HWLOC_XMLFILE", missing.c_str());
    CHECK(contains(refusal(), '"' + missing + "\" (from HWLOC_XMLFILE)"));
}

TEST_CASE("an_impossible_number_of_domains_is_refused") {
    const clean_hwloc_environment clean;
    topology_request request = described(big_machine);
    for (const unsigned wrong : {0U, topology::max_domains + 1, ~0U}) {
        request.domains = wrong;
        const std::string message = refusal(request);
        CHECK(contains(message, "into " + std::to_string(wrong) + " domains"));
        CHECK(contains(message, "1 to 65536"));
    }
    request.domains = topology::max_domains;
    CHECK(topology::discover(request).size() == topology::max_domains);
}

}  // namespace tokengate::test
