// SPDX-License-Identifier: Apache-2.0
/// @file
/// The trees of UTS, the Unbalanced Tree Search benchmark: Olivier, Huan, Liu, Prins, Dinan,
/// Sadayappan, Tseng, "UTS: An Unbalanced Tree Search Benchmark", LCPC 2006.
#pragma once

#include <array>
#include <cstdint>

namespace tokengate::bench::uts {

/// A node: the digest that its subtree follows from, and how far it is from the root.
struct node {
    std::array<std::uint8_t, 20> digest{};
    std::int32_t depth = 0;
};

/// How large a tree, or a part of it, is.
struct counts {
    std::uint64_t nodes = 0;
    std::uint64_t leaves = 0;
    std::int32_t depth = 0;  ///< of the deepest node

    friend bool operator==(const counts&, const counts&) noexcept = default;
};

/// How the number of a node's children is drawn.
enum class shape : std::uint8_t {
    geometric,  ///< geometrically distributed with the same mean at all depths, down to a limit
    binomial,   ///< none or a fixed number, with the same probability everywhere but at the root
};

/// A tree that is known in advance, although nobody can tell how large a subtree is before it has
/// been searched: a node's children are drawn from its digest, and the digest of child number i is
/// the SHA-1 of that digest and i.
struct tree {
    uts::shape shape = shape::geometric;
    std::uint32_t seed = 0;
    std::uint32_t branching =
        0;  ///< geometric: mean number of children; binomial: those of the root
    std::int32_t depth_limit = 0;  ///< geometric: nodes at this depth are leaves
    double probability = 0.0;      ///< binomial: that a node has children
    std::uint32_t many = 0;        ///< binomial: how many children it has then
    counts size;                   ///< what a search must find

    [[nodiscard]] node root() const;
    [[nodiscard]] std::uint32_t children_of(const node& parent) const;
    [[nodiscard]] static node child_of(const node& parent, std::uint32_t number);
};

/// The tree of a family that has so many nodes.
/// @throws wrong_result if there is none
[[nodiscard]] const tree& tree_of(shape wanted, std::uint64_t nodes);

}  // namespace tokengate::bench::uts
