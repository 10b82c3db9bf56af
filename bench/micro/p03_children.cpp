// SPDX-License-Identifier: Apache-2.0
// P3: what a task costs that a task creates.
#include <tbb/task_group.h>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/openmp.hpp"
#include "support/tally.hpp"
#include "support/work.hpp"
#include "support/workers.hpp"

namespace tokengate::bench {
namespace {

constexpr std::uint64_t children_each = 100;

// The figures are per child; the parents' own price is spread over their children.
class family_tree : public counted {
  public:
    explicit family_tree(const setting& given)
        : counted(given.tasks + given.tasks / children_each),
          parents_(given.tasks / children_each) {}

  protected:
    [[nodiscard]] std::uint64_t parents() const noexcept { return parents_; }

  private:
    std::uint64_t parents_;
};

// Parents in one group, for which only the submitter waits.
class grouped_parents : public with_arena<family_tree> {
  public:
    using with_arena::with_arena;

  protected:
    template <class Parent>
    void run_parents(const Parent& parent) {
        start();
        arena().execute([&] {
            tbb::task_group group;
            for (std::uint64_t i = 0; i < parents(); ++i) {
                group.run([&] {
                    parent(group);
                    tally::count();
                });
            }
            group.wait();
        });
    }

    static void run_children(tbb::task_group& group) { run_empty(group, children_each); }
};

// The children are in that group, too.
class task_group : public grouped_parents {
  public:
    using grouped_parents::grouped_parents;

    void run() override { run_parents(run_children); }
};

// Each parent waits for its children: with one group for all, most of them stay until all parents
// have run, and there are more of them than fit a cache.
class nested_groups : public grouped_parents {
  public:
    using grouped_parents::grouped_parents;

    void run() override {
        run_parents([](tbb::task_group&) {
            tbb::task_group mine;
            run_children(mine);
            mine.wait();
        });
    }
};

// Nobody waits for the children but the end of the region.
class openmp_tasks : public with_team<family_tree> {
  public:
    using with_team::with_team;

    void run() override {
        start();
        team().run([this] {
            for (std::uint64_t i = 0; i < parents(); ++i) openmp_team::task(run_children);
        });
    }

  private:
    static void run_children() {
        for (std::uint64_t c = 0; c < children_each; ++c) {
            openmp_team::task([] { tally::count(); });
        }
        tally::count();
    }
};

template <weight Weight, bond Bond, calls Calls = calls::single>
class tokens : public with_runtime<family_tree> {
  public:
    using with_runtime::with_runtime;

    void run() override {
        start();
        submit_empty(parent_, parents());
        host().wait_idle();
    }

  private:
    [[nodiscard]] std::uint64_t expected_tokens() const override { return runs(); }

    operation<void()> child_ =
        host().operation("child", {.weight = Weight}, [] { tally::count(); });
    operation<void()> parent_ =
        host().operation("parent", parent_traits(Weight, Bond, "child"), [this] {
            if (Calls == calls::bulk) {
                static_cast<void>(child_.bulk(children_each));
            } else {
                submit_empty(child_, children_each);
            }
            tally::count();
        });
};

const registration children{{
    .id = "P3",
    .title = "children, 100 of each task that one thread submits",
    .tasks = 100'000,
    .quick_tasks = 10'000,
    .contenders = with_openmp<openmp_tasks>(
        {enter<task_group>("task_group", family::onetbb),
         enter<nested_groups>("nested groups", family::onetbb),
         enter<tokens<weight::medium, bond::none>>("tokengate", family::tokengate),
         enter<tokens<weight::medium, bond::none, calls::bulk>>("bulks", family::tokengate),
         enter<tokens<weight::medium, bond::chain>>("medium, chains", family::tokengate),
         enter<tokens<weight::heavy, bond::none>>("heavy", family::tokengate),
         enter<tokens<weight::heavy, bond::chain>>("heavy, chains", family::tokengate)}),
    .goals = {{.of = "tokengate", .against = {"task_group", "nested groups"}, .limit = 0.5},
              {.of = "bulks", .against = {"task_group", "nested groups"}, .limit = 0.5},
              {.of = "medium, chains", .against = {"tokengate"}, .limit = 1.15},
              {.of = "heavy, chains", .against = {"heavy"}, .limit = 1.15}},
}};

}  // namespace
}  // namespace tokengate::bench
