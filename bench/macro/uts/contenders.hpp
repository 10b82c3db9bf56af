// SPDX-License-Identifier: Apache-2.0
/// @file
/// Who takes part in UTS. Each file of contenders defines some of these entries.
#pragma once

#include <cstdint>
#include <vector>

#include "macro/uts/census.hpp"
#include "macro/uts/tree.hpp"
#include "support/work.hpp"

namespace tokengate::bench::uts {

/// What all contenders have in common: the tree, and whether all of it was found.
class searcher : public contender {
  public:
    searcher(const setting& given, shape wanted) : tree_(tree_of(wanted, given.tasks)) {}

    void prepare() override { census::clear(); }

    /// Compares nodes, leaves and depth with those published.
    void verify() override;

  protected:
    [[nodiscard]] node root() const { return tree_.root(); }
    [[nodiscard]] std::uint64_t nodes() const noexcept { return tree_.size.nodes; }

    /// Counts a node. Returns how many children it has.
    [[nodiscard]] std::uint32_t count(const node& here) const {
        const std::uint32_t children = tree_.children_of(here);
        census::count(here, children == 0);
        return children;
    }

    /// Counts a node and calls `on_child` with each of its children.
    template <class OnChild>
    void visit(const node& here, const OnChild& on_child) const {
        const std::uint32_t children = count(here);
        for (std::uint32_t number = 0; number < children; ++number) {
            on_child(tree::child_of(here, number));
        }
    }

  private:
    const tree& tree_;
};

/// One thread, depth first.
class serial : public searcher {
  public:
    using searcher::searcher;
    void run() override;
};

/// Adds the contenders of one family to a work.
void add_onetbb(shape wanted, std::vector<entry>& contenders);
void add_tokengate(shape wanted, std::vector<entry>& contenders);
void add_openmp(shape wanted, std::vector<entry>& contenders);

}  // namespace tokengate::bench::uts
