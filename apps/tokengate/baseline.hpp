// SPDX-License-Identifier: Apache-2.0
/// @file
/// The main job on raw oneTBB, to measure against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "wave_run.hpp"

namespace tokengate::app {

/// A task_arena as wide as the runtime has workers. The caller's thread is one of its threads, as
/// oneTBB has it; its tasks go into a task_group one by one.
class baseline_side {
  public:
    baseline_side(unsigned threads, std::uint64_t seed);
    ~baseline_side();
    baseline_side(const baseline_side&) = delete;
    baseline_side& operator=(const baseline_side&) = delete;

    /// Runs one wave. An exception of a task ends the wave and comes out here.
    [[nodiscard]] wave_run run(std::size_t tasks);

  private:
    struct arena;
    std::unique_ptr<arena> arena_;
    std::uint64_t seed_;
};

}  // namespace tokengate::app
