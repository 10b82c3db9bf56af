// SPDX-License-Identifier: Apache-2.0
#include "macro/uts/tree.hpp"

#include <cryptopp/sha.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/work.hpp"

namespace tokengate::bench::uts {

namespace {

// The numbers go into the digests in the byte order of the network.
void put(std::uint8_t* to, std::uint32_t number) noexcept {
    for (int byte = 0; byte < 4; ++byte)
        to[byte] = static_cast<std::uint8_t>(number >> (24 - 8 * byte));
}

// Uniform in [0, 1): 31 bits of the digest.
double draw(const node& from) noexcept {
    std::uint32_t number = 0;
    for (std::size_t byte = 16; byte < 20; ++byte) number = number << 8 | from.digest[byte];
    return (number & 0x7fff'ffffU) / 2147483648.0;
}

constexpr double most_children = 100.0;  // the published limit

// T1 and T3 are those of the published suite, with the sizes given there. The small ones differ
// from them in depth_limit and branching only; their sizes, like those of the large ones, were
// found by a program of 20 lines that shares nothing with this one (Python's hashlib).
constexpr std::array trees{
    tree{.shape = shape::geometric,
         .seed = 19,
         .branching = 4,
         .depth_limit = 10,
         .size = {.nodes = 4'130'071, .leaves = 3'305'118, .depth = 10}},
    tree{.shape = shape::geometric,
         .seed = 19,
         .branching = 4,
         .depth_limit = 7,
         .size = {.nodes = 63'914, .leaves = 51'124, .depth = 7}},
    tree{.shape = shape::binomial,
         .seed = 42,
         .branching = 2000,
         .probability = 0.124875,
         .many = 8,
         .size = {.nodes = 4'112'897, .leaves = 3'599'034, .depth = 1572}},
    tree{.shape = shape::binomial,
         .seed = 42,
         .branching = 100,
         .probability = 0.124875,
         .many = 8,
         .size = {.nodes = 6'797, .leaves = 5'959, .depth = 67}},
};

}  // namespace

node tree::root() const {
    std::array<std::uint8_t, 20> seeded{};
    put(&seeded[16], seed);
    node made;
    CryptoPP::SHA1().CalculateDigest(made.digest.data(), seeded.data(), seeded.size());
    return made;
}

node tree::child_of(const node& parent, std::uint32_t number) {
    std::array<std::uint8_t, 24> numbered;
    std::ranges::copy(parent.digest, numbered.begin());
    put(&numbered[20], number);
    node made{.digest = {}, .depth = parent.depth + 1};
    CryptoPP::SHA1().CalculateDigest(made.digest.data(), numbered.data(), numbered.size());
    return made;
}

std::uint32_t tree::children_of(const node& parent) const {
    if (shape == shape::binomial) {
        if (parent.depth == 0) return branching;
        return draw(parent) < probability ? many : 0;
    }
    if (parent.depth >= depth_limit) return 0;
    // The inverse of the distribution function of a geometric distribution with this mean.
    const double stop = 1.0 / (1.0 + branching);
    const double drawn = std::floor(std::log(1.0 - draw(parent)) / std::log(1.0 - stop));
    return static_cast<std::uint32_t>(std::min(drawn, most_children));
}

const tree& tree_of(shape wanted, std::uint64_t nodes) {
    const auto* const found = std::ranges::find_if(
        trees, [=](const tree& each) { return each.shape == wanted && each.size.nodes == nodes; });
    if (found == trees.end()) {
        throw wrong_result("there is no such tree of " + std::to_string(nodes) + " nodes");
    }
    return *found;
}

}  // namespace tokengate::bench::uts
