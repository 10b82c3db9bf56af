// SPDX-License-Identifier: Apache-2.0
// The seeds of chains. Expected digests are those of Python's hashlib.
#include "locality/seed.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace tokengate::test {
namespace {

using detail::lead_traits;
using detail::lead_traits_for;
using detail::seed_of;

struct known_seed {
    std::uint64_t id;
    std::vector<std::string> calls;
    std::string sha256;
    std::string blake2s;
};

// hashlib.sha256(text).hexdigest(), hashlib.blake2s(text, digest_size=8).hexdigest()
const std::vector<known_seed> known_seeds{
    {1,
     {},  // "1:"
     "0758ffe9350a70a1adf269901b9aa458444de136e5b6d98091f8cc33580a0088",
     "8885416aff5695e3"},
    {42,
     {"refine"},  // "42:refine"
     "3642a033b0ecc65f928680b53b2907d616d538f3f127189d833e8bc4d3e4931f",
     "b37087b6da262b9c"},
    {7,
     {"a", "b"},  // "7:a,b"
     "881c38ea67b64e08234098f0df2b2a88a89c2d0d9888af36816615be48a67d80",
     "56d20d887d2b9eb2"},
    {std::numeric_limits<std::uint64_t>::max(),
     {"refine", "coarsen"},  // "18446744073709551615:refine,coarsen"
     "b88f5417f6aaeffdf8c96aca9132d6bc7768f3769c6886489612a182a54878b5",
     "56b188e44e7859ce"},
    {1'000'000,
     {std::string(200, 'x')},  // more than one block of the hash
     "cd45e8ab4ff28ff263c4ff7138565c2996561aee863db593378ed9cfce088c67",
     "5b03444ecaf6f85d"},
};

std::string seed_with(const known_seed& known, digest_policy policy) {
    return seed_of(known.id, lead_traits_for(known.calls, policy));
}

}  // namespace

TEST_CASE("seeds_are_those_of_another_implementation") {
    for (const known_seed& each : known_seeds) {
        INFO("id ", each.id);
        CHECK(seed_with(each, digest_policy::full) == each.sha256);
        CHECK(seed_with(each, digest_policy::brief) == each.sha256.substr(0, 16));
        CHECK(seed_with(each, digest_policy::minimal) == each.sha256.substr(0, 8));
        CHECK(seed_with(each, digest_policy::fast) == each.blake2s);
    }
}

TEST_CASE("external_calls_are_frozen_in_their_declared_order") {
    CHECK(lead_traits_for({"refine", "coarsen"}, digest_policy::full).calls == "refine,coarsen");
    CHECK(lead_traits_for({"coarsen", "refine"}, digest_policy::full).calls == "coarsen,refine");
    CHECK(lead_traits_for({"refine"}, digest_policy::full).calls == "refine");
    CHECK(lead_traits_for({}, digest_policy::full).calls.empty());
}

TEST_CASE("equal_lead_traits_are_one_object") {
    const lead_traits& first = lead_traits_for({"one", "two"}, digest_policy::brief);
    CHECK(first.policy == digest_policy::brief);
    CHECK(&lead_traits_for({"one", "two"}, digest_policy::brief) == &first);
    CHECK(&lead_traits_for({"one", "two"}, digest_policy::fast) != &first);
    CHECK(&lead_traits_for({"two", "one"}, digest_policy::brief) != &first);
    std::vector<const lead_traits*> found(4, nullptr);
    std::vector<std::thread> crowd;
    for (const lead_traits*& each : found) {
        crowd.emplace_back([&each] {
            for (int i = 0; i < 100; ++i) {
                static_cast<void>(lead_traits_for({std::to_string(i)}, digest_policy::full));
            }
            each = &lead_traits_for({"one", "two"}, digest_policy::brief);
        });
    }
    for (std::thread& each : crowd) each.join();
    for (const lead_traits* each : found) CHECK(each == &first);
}

}  // namespace tokengate::test
