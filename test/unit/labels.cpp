// SPDX-License-Identifier: Apache-2.0
// Names and frame types of operations: one label for each pair, found without a lock.
#include "token/labels.hpp"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::find_label;
using detail::first_label_for;
using detail::frame_type;
using detail::label_for;
using detail::operation_label;

constexpr std::array<frame_type, 3> types{};

}  // namespace

TEST_CASE("a_name_and_a_frame_type_have_one_label") {
    const operation_label& first = label_for("one label", &types[0]);
    CHECK(first.name == "one label");
    CHECK(first.type == &types[0]);
    CHECK(&label_for("one label", &types[0]) == &first);
    CHECK(&label_for("one label", &types[1]) != &first);
    CHECK(&label_for("another label", &types[0]) != &first);
    CHECK(find_label(first, types[0]) == &first);
    CHECK(find_label(first, types[1]) == &label_for("one label", &types[1]));
}

TEST_CASE("the_first_label_of_a_name_leads_to_those_of_all_types") {
    const operation_label& typed = label_for("leads on", &types[0]);
    const operation_label& first = first_label_for("leads on");
    for (const frame_type& each : types) {
        CHECK(find_label(first, each) == &label_for("leads on", &each));
    }
    CHECK(find_label(first, types[0]) == &typed);
}

TEST_CASE("threads_that_ask_for_a_new_type_at_once_get_the_same_label") {
    for (int round = 0; round < 200; ++round) {
        CAPTURE(round);
        const operation_label& first = first_label_for("asked at once " + std::to_string(round));
        std::array<const operation_label*, 4> found{};
        std::vector<std::thread> threads;
        for (auto& each : found) {
            threads.emplace_back([&] { each = find_label(first, types[2]); });
        }
        for (std::thread& each : threads) each.join();
        for (const auto* each : found) CHECK(each == found[0]);
        CHECK(found[0]->type == &types[2]);
    }
}

}  // namespace tokengate::test
