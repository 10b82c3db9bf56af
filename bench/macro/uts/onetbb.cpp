// SPDX-License-Identifier: Apache-2.0
// UTS by raw oneTBB.
#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_group.h>

#include "macro/uts/contenders.hpp"
#include "support/onetbb.hpp"

namespace tokengate::bench::uts {

namespace {

// The thread that begins the search takes part in it.
class in_arena : public with_arena<searcher> {
  public:
    using with_arena::with_arena;

    void run() final {
        arena().execute([this] { search(); });
    }

  protected:
    virtual void search() = 0;
};

// One group for all nodes, for which only the first thread waits.
class task_group : public in_arena {
  public:
    using in_arena::in_arena;

  protected:
    void search() override {
        tbb::task_group all;
        search_from(root(), all);
        all.wait();
    }

  private:
    void search_from(const node& from, tbb::task_group& all) {
        all.run([this, from, &all] {
            visit(from, [this, &all](const node& child) { search_from(child, all); });
        });
    }
};

// Each node waits for its children: they have a counter of their own, and find their parent, which
// stays until they are done, instead of a copy. One context for all, since to make one for each
// group or loop takes time.
class nested_groups : public in_arena {
  public:
    using in_arena::in_arena;

  protected:
    void search() override {
        tbb::task_group_context context;
        search_from(root(), context);
    }

  private:
    void search_from(const node& from, tbb::task_group_context& context) {
        const std::uint32_t children = count(from);
        if (children == 0) return;
        tbb::task_group group(context);
        for (std::uint32_t number = 0; number < children; ++number) {
            group.run([this, number, &from, &context] {
                search_from(tree::child_of(from, number), context);
            });
        }
        group.wait();
    }
};

// The same by a loop that is split down to single children.
class parallel_for : public in_arena {
  public:
    using in_arena::in_arena;

  protected:
    void search() override {
        tbb::task_group_context context;
        search_from(root(), context);
    }

  private:
    void search_from(const node& from, tbb::task_group_context& context) {
        const std::uint32_t children = count(from);
        if (children == 0) return;
        tbb::parallel_for(
            tbb::blocked_range<std::uint32_t>(0, children),
            [this, &from, &context](const tbb::blocked_range<std::uint32_t>& one) {
                search_from(tree::child_of(from, one.begin()), context);
            },
            tbb::simple_partitioner{}, context);
    }
};

}  // namespace

void add_onetbb(shape wanted, std::vector<entry>& contenders) {
    contenders.push_back(enter<task_group>("task_group", family::onetbb, wanted));
    contenders.push_back(enter<nested_groups>("nested groups", family::onetbb, wanted));
    contenders.push_back(enter<parallel_for>("parallel_for", family::onetbb, wanted));
}

}  // namespace tokengate::bench::uts
