// SPDX-License-Identifier: Apache-2.0
// Cholesky by raw oneTBB.
#include <tbb/flow_graph.h>
#include <tbb/task_group.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

#include "macro/cholesky/contenders.hpp"
#include "support/onetbb.hpp"

namespace tokengate::bench::cholesky {

namespace {

/// When the graph is built.
enum class built : std::uint8_t { once, each_time };

// A node for each kernel and an edge for each dependency. What lies on the way to the next
// factorisation goes before updates.
template <built When>
class flow_graph : public with_arena<factoriser> {
  public:
    explicit flow_graph(const setting& given) : with_arena(given) {
        arena().execute([this] { build(); });  // a graph belongs to the arena it is made in
    }

    void run() override {
        arena().execute([this] {
            if constexpr (When == built::each_time) build();
            first_->try_put({});
            graph_->wait_for_all();
        });
    }

  private:
    using message = tbb::flow::continue_msg;
    using node = tbb::flow::continue_node<message>;

    static constexpr std::tuple<int, int, int> name(const kernel& which) {
        return {which.row, which.column, which.step};
    }

    void build() {
        nodes_.clear();
        graph_.emplace();
        std::map<std::tuple<int, int, int>, node*> nodes;
        for_each_kernel(field().tiles(), [&](const kernel& which) {
            const auto body = [this, which](const message&) { which.on(field()); };
            node& made = which.is_update()
                             ? nodes_.emplace_back(*graph_, body)
                             : nodes_.emplace_back(*graph_, body, tbb::flow::node_priority_t{1});
            nodes.emplace(name(which), &made);
        });
        for_each_kernel(field().tiles(), [&](const kernel& which) {
            for_each_successor(field().tiles(), which, [&](const kernel& next) {
                tbb::flow::make_edge(*nodes.at(name(which)), *nodes.at(name(next)));
            });
        });
        first_ = nodes.at(name(first_kernel));
    }

    std::optional<tbb::flow::graph> graph_;
    std::deque<node> nodes_;  // nodes cannot be moved
    node* first_ = nullptr;
};

// The last missing kernel starts the next in one group.
class task_group : public with_arena<counting_factoriser> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            tbb::task_group all;
            start(first_kernel, all);
            all.wait();
        });
    }

  private:
    void start(const kernel& which, tbb::task_group& all) {
        all.run([this, which, &all] {
            run_kernel(which, [this, &all](const kernel& next) { start(next, all); });
        });
    }
};

}  // namespace

void add_onetbb(std::vector<entry>& contenders) {
    contenders.push_back(enter<flow_graph<built::once>>("flow graph", family::onetbb));
    contenders.push_back(enter<flow_graph<built::each_time>>("new graph", family::onetbb));
    contenders.push_back(enter<task_group>("task_group", family::onetbb));
}

}  // namespace tokengate::bench::cholesky
