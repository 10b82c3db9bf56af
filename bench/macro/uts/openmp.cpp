// SPDX-License-Identifier: Apache-2.0
// UTS by OpenMP tasks.
#include <vector>

#include "macro/uts/contenders.hpp"
#include "support/openmp.hpp"

namespace tokengate::bench::uts {

namespace {

// A task for each node; the end of the parallel region waits for all of them. The implementation
// may run a task in place where it is created, and GCC's does while many wait.
class openmp_tasks : public with_team<searcher> {
  public:
    using with_team::with_team;

    void run() override {
        team().run([this] { search_from(root()); });
    }

  private:
    void search_from(const node& from) {
        visit(from, [this](const node& child) {
            openmp_team::task([this, child] { search_from(child); });
        });
    }
};

}  // namespace

void add_openmp(shape wanted, std::vector<entry>& contenders) {
    if constexpr (has_openmp) {
        contenders.push_back(enter<openmp_tasks>("OpenMP", family::other, wanted));
    }
}

}  // namespace tokengate::bench::uts
