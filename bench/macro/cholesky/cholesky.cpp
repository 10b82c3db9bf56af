// SPDX-License-Identifier: Apache-2.0
// Cholesky: a factorisation in tiles, whose kernels wait for each other in an irregular graph.
#include <map>
#include <string>

#include "macro/cholesky/contenders.hpp"

namespace tokengate::bench::cholesky {

// A matrix and its factor, from one thread.
struct solution {
    explicit solution(int tiles) : original(tiles), factor(tiles) {
        original.fill();
        factor.copy(original);
        factor.factorise();
        // Rounding alone leaves a few times 1e-16.
        const double error = factor.residual(original);
        if (!(error < 1e-14)) {
            throw wrong_result("the factor on one thread is wrong by " + std::to_string(error));
        }
    }

    matrix original;
    matrix factor;
};

namespace {

int tiles_for(std::uint64_t kernels) {
    int tiles = 1;
    while (kernels_of(tiles) < kernels) ++tiles;
    if (kernels_of(tiles) != kernels) {
        throw wrong_result("no matrix needs " + std::to_string(kernels) + " kernels");
    }
    return tiles;
}

// The contenders of a process all have the same matrix.
const solution& solution_for(int tiles) {
    static std::map<int, solution> known;
    return known.try_emplace(tiles, tiles).first->second;
}

}  // namespace

factoriser::factoriser(const setting& given)
    : expected_(solution_for(tiles_for(given.tasks))), field_(expected_.original.tiles()) {}

void factoriser::prepare() { field_.copy(expected_.original); }

void factoriser::verify() {
    if (!field_.same_as(expected_.factor)) {
        throw wrong_result("the factor differs from what one thread got");
    }
}

namespace {

class serial : public factoriser {
  public:
    using factoriser::factoriser;

    void run() override { field().factorise(); }
};

work factorisation() {
    work made{.id = "Cholesky",
              .title = "kernels of a Cholesky factorisation in tiles of 128 x 128",
              .tasks = kernels_of(16),
              .quick_tasks = kernels_of(4)};
    made.contenders.push_back(enter<serial>("serial", family::serial));
    add_onetbb(made.contenders);
    add_tokengate(made.contenders);
    add_openmp(made.contenders);
    for (const std::string_view each : {"tokengate", "heavy"}) {
        made.goals.push_back({.of = each, .against = {"flow graph", "task_group"}});
    }
    made.goals.push_back({.of = "dataflow", .against = {"flow graph"}});
    made.goals.push_back({.of = "dataflow", .against = {"new graph"}});
    return made;
}

const registration cholesky{factorisation()};

}  // namespace

}  // namespace tokengate::bench::cholesky
