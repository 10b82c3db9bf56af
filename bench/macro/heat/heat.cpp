// SPDX-License-Identifier: Apache-2.0
// P12: what it brings that the tiles of an iterative solver stay on their cores.
#include <map>
#include <string>
#include <utility>

#include "macro/heat/contenders.hpp"

namespace tokengate::bench::heat {

namespace {

// The digest of a plate that one thread has worked on. Not the serial contender's, so that this one
// is verified as well.
std::uint64_t right_digest(const extent& size, std::uint64_t steps) {
    plate field(size);
    size.for_each_tile([&](int row, int column) { field.heat_up(row, column); });
    for (std::uint64_t step = 0; step < steps; ++step) {
        size.for_each_tile([&](int row, int column) { field.relax(row, column, step); });
    }
    return field.digest(steps);
}

// The contenders of a process all have the same plate.
std::uint64_t expected_digest(const extent& size, std::uint64_t steps) {
    static std::map<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t> known;
    const auto [place, is_new] = known.try_emplace({size.tiles(), steps});
    if (is_new) place->second = right_digest(size, steps);
    return place->second;
}

}  // namespace

// Sizes for 2 MiB of L2 cache a core; a plate takes 16 bytes a cell. For each thread 8 tiles of
// 144 KiB; 64 MiB in 256 tiles; 576 MiB in 576 tiles that would each fit an L2 cache.
extent extent_of(scale wanted, unsigned threads) noexcept {
    switch (wanted) {
        case scale::l2: return {.rows = 2 * static_cast<int>(threads), .columns = 4, .cells = 96};
        case scale::l3: return {.rows = 16, .columns = 16, .cells = 128};
        default: return {.rows = 24, .columns = 24, .cells = 256};
    }
}

stepper::stepper(const setting& given, scale wanted)
    : size_(extent_of(wanted, given.threads)),
      steps_(given.tasks / size_.tiles()),
      expected_(expected_digest(size_, steps_)) {}

void stepper::prepare() {
    field_ = std::make_unique<plate>(size_);
    heat_up();
}

void stepper::verify() {
    const std::uint64_t found = field_->digest(steps_);
    field_.reset();
    if (found != expected_) throw wrong_result("the plate differs from what one thread got");
}

void serial::heat_up() {
    size().for_each_tile([this](int row, int column) { field().heat_up(row, column); });
}

void serial::run() {
    for (std::uint64_t step = 0; step < steps(); ++step) {
        size().for_each_tile(
            [this, step](int row, int column) { field().relax(row, column, step); });
    }
}

namespace {

work heat_work(std::string_view id, std::string_view title, scale wanted, std::uint64_t tasks,
               std::uint64_t quick_tasks) {
    work made{.id = id, .title = title, .tasks = tasks, .quick_tasks = quick_tasks};
    made.contenders.push_back(enter_at<serial>(wanted, "serial", family::serial));
    add_onetbb(wanted, made.contenders);
    add_tokengate(wanted, made.contenders);
    for (const std::string_view each : {"dependencies", "inside", "steps"}) {
        made.goals.push_back({.of = each,
                              .against = {"auto", "static", "affinity"},
                              .measure = goal::kind::speed_up,
                              .limit = 1.0});
    }
    return made;
}

const registration in_l2{
    heat_work("P12a", "tile steps of a stencil that fits the L2 caches", scale::l2, 64'000, 1'600)};
const registration in_l3{
    heat_work("P12b", "tile steps of a stencil of 64 MiB", scale::l3, 10'240, 1'024)};
const registration in_memory{
    heat_work("P12c", "tile steps of a stencil of 576 MiB", scale::memory, 4'608, 576)};

}  // namespace

}  // namespace tokengate::bench::heat
