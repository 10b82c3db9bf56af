// SPDX-License-Identifier: Apache-2.0
// P12 by tbb::parallel_for over the tiles, once for each time step.
#include <tbb/blocked_range2d.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>

#include "macro/heat/contenders.hpp"
#include "support/onetbb.hpp"

namespace tokengate::bench::heat {

namespace {

// The partitioner is one object for all steps and repetitions: an affinity_partitioner remembers in
// it which thread had which tiles.
template <class Partitioner>
class parallel_for : public with_arena<stepper> {
  public:
    using with_arena::with_arena;

    void run() override {
        arena().execute([this] {
            for (std::uint64_t step = 0; step < steps(); ++step) {
                for_each_tile(
                    [this, step](int row, int column) { field().relax(row, column, step); });
            }
        });
    }

  protected:
    void heat_up() override {
        arena().execute([this] {
            for_each_tile([this](int row, int column) { field().heat_up(row, column); });
        });
    }

  private:
    template <class Body>
    void for_each_tile(const Body& body) {
        tbb::parallel_for(
            tbb::blocked_range2d<int>(0, size().rows, 0, size().columns),
            [&body](const tbb::blocked_range2d<int>& part) {
                for (int row = part.rows().begin(); row < part.rows().end(); ++row) {
                    for (int column = part.cols().begin(); column < part.cols().end(); ++column) {
                        body(row, column);
                    }
                }
            },
            partitioner_);
    }

    Partitioner partitioner_;
};

using by_auto = parallel_for<tbb::auto_partitioner>;
using by_static = parallel_for<tbb::static_partitioner>;
using by_affinity = parallel_for<tbb::affinity_partitioner>;

}  // namespace

void add_onetbb(scale wanted, std::vector<entry>& contenders) {
    contenders.push_back(enter_at<by_auto>(wanted, "auto", family::onetbb));
    contenders.push_back(enter_at<by_static>(wanted, "static", family::onetbb));
    contenders.push_back(enter_at<by_affinity>(wanted, "affinity", family::onetbb));
}

}  // namespace tokengate::bench::heat
