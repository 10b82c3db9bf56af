// SPDX-License-Identifier: Apache-2.0
// Tokens of serial keys, and the table of their strands (lib/locality/README.md), under many
// schedules.
#include "locality/strands.hpp"

#include <array>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "schedule.hpp"
#include "token/pool.hpp"

namespace tokengate::test {
namespace {

using detail::key_id;
using detail::strand;
using detail::strand_table;
using detail::token_node;

/// Nodes for a scenario.
class nodes {
  public:
    token_node& make() {
        all_.push_back(detail::allocate_node(0));
        return *all_.back();
    }
    nodes() = default;
    ~nodes() {
        for (token_node* each : all_) detail::free_node(*each, 0);
    }
    nodes(const nodes&) = delete;
    nodes& operator=(const nodes&) = delete;

  private:
    std::vector<token_node*> all_;
};

/// What runs of one key: one at a time, each submitter's in its order.
struct line_up {
    int inside = 0;
    std::size_t ran = 0;
    std::vector<std::pair<const token_node*, std::size_t>> order;  ///< who ran, in which order

    void run(const token_node& node) {
        must(++inside == 1, "two tokens of a strand run at once");
        order.emplace_back(&node, ran++);
        pause();
        --inside;
    }
    [[nodiscard]] std::size_t place_of(const token_node& node) const {
        for (const auto& [each, place] : order) {
            if (each == &node) return place;
        }
        must(false, "a token of a strand did not run");
        return 0;
    }
};

/// Submitters of one key; whoever is let run runs, and all that come next.
struct one_strand {
    static constexpr std::size_t submitters = 3;
    static constexpr std::size_t each_submits = 2;
    strand_table table{1};
    nodes pool;
    std::array<std::vector<token_node*>, submitters> mine;
    line_up ran;

    void threads(schedule& run) {
        for (auto& own : mine) {
            for (std::size_t i = 0; i < each_submits; ++i) own.push_back(&pool.make());
            run.thread([this, &own] {
                strand& line = *table.enter({1, 2}, 0).which;
                for (token_node* node : own) {
                    if (!line.submit(*node)) continue;
                    for (token_node* next = node; next != nullptr; next = line.finish()) {
                        ran.run(*next);
                    }
                }
                // Tokens that wait are members of their own in the library; here whoever runs the
                // last one may be another thread, which is inside itself.
                while (ran.ran < submitters * each_submits) pause();
                table.leave(line);
            });
        }
    }
    void check() {
        must(ran.ran == submitters * each_submits, "a token of a strand was lost");
        for (const auto& own : mine) {
            must(ran.place_of(*own[0]) < ran.place_of(*own[1]), "tokens of a strand overtook");
        }
        must(table.count() == 0 && table.dead() == 0, "a strand was not given back");
    }
};

/// Threads that come to keys and go. All keys share the buckets.
struct keys_that_come_and_go {
    static constexpr std::size_t keys = 3;
    strand_table table{1};
    std::array<int, keys> inside{};            ///< members of each key
    std::array<const strand*, keys> record{};  ///< the live one of each key
    std::array<unsigned, keys> domain{};

    void visit(std::size_t key, unsigned candidate) {
        const auto [which, first] = table.enter({key, 7}, candidate);
        const unsigned home = which->domain();
        must(!first || home == candidate, "a new strand is elsewhere");
        // No access in between: who counts itself has written what the others compare with.
        if (inside[key]++ == 0) {
            record[key] = which;
            domain[key] = home;
        }
        must(record[key] == which, "a key has two strands");
        must(domain[key] == home, "a strand has moved");
        pause();
        must(which->domain() == home, "a strand was used again under a member");
        --inside[key];
        table.leave(*which);
    }
    void threads(schedule& run) {
        for (unsigned i = 0; i < 3; ++i) {
            run.thread([this, i] {
                for (int round = 0; round < 3; ++round) visit(choice(keys), i);
            });
        }
    }
    void check() { must(table.count() == 0 && table.dead() == 0, "a strand was not given back"); }
};

}  // namespace

TEST_CASE("tokens_of_a_strand_run_one_at_a_time_in_order") { explore<one_strand>(); }

TEST_CASE("a_key_has_one_strand_at_a_time") { explore<keys_that_come_and_go>(); }

}  // namespace tokengate::test
