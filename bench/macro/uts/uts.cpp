// SPDX-License-Identifier: Apache-2.0
// UTS: search of a tree that nobody can divide beforehand, each node a task.
#include "macro/uts/contenders.hpp"

namespace tokengate::bench::uts {

void searcher::verify() {
    const counts found = census::total();
    expect_equal("nodes", static_cast<std::int64_t>(found.nodes),
                 static_cast<std::int64_t>(tree_.size.nodes));
    expect_equal("leaves", static_cast<std::int64_t>(found.leaves),
                 static_cast<std::int64_t>(tree_.size.leaves));
    expect_equal("depth", found.depth, tree_.size.depth);
}

void serial::run() {
    const auto search = [this](const auto& self, const node& here) -> void {
        visit(here, [&self](const node& child) { self(self, child); });
    };
    search(search, root());
}

namespace {

work search_work(std::string_view id, std::string_view title, shape wanted, std::uint64_t nodes,
                 std::uint64_t quick_nodes) {
    work made{.id = id, .title = title, .tasks = nodes, .quick_tasks = quick_nodes};
    made.contenders.push_back(enter<serial>("serial", family::serial, wanted));
    add_onetbb(wanted, made.contenders);
    add_tokengate(wanted, made.contenders);
    add_openmp(wanted, made.contenders);
    for (const std::string_view each : {"tokengate", "heavy"}) {
        made.goals.push_back(
            {.of = each, .against = {"task_group", "nested groups", "parallel_for"}});
    }
    return made;
}

const registration t1{search_work("UTS1", "nodes of an unbalanced tree, geometric (T1)",
                                  shape::geometric, 4'130'071, 63'914)};
const registration t3{search_work("UTS3", "nodes of an unbalanced tree, binomial (T3)",
                                  shape::binomial, 4'112'897, 6'797)};

}  // namespace

}  // namespace tokengate::bench::uts
