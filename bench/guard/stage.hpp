// SPDX-License-Identifier: Apache-2.0
/// @file
/// Where a work is counted: a worker that stands still until it may go on.
#pragma once

#include <cstdint>
#include <optional>
#include <semaphore>
#include <string_view>

#include <tokengate/tokengate.hpp>

#include "guard/counting.hpp"

namespace tokengate::guard {

/// Every setting that a count could depend on, on a machine that is made up: neither this one, nor
/// the environment, nor the build options change anything.
[[nodiscard]] config fixed_settings(int cores);

/// @throws std::runtime_error if a work did not do what it should have
void expect(std::string_view what, std::uint64_t found, std::uint64_t expected);

/// What ends the part of a work that the worker does.
enum class ending : std::uint8_t {
    last_token,  ///< the last call of ran()
    the_work,    ///< the work's own call of end()
};

/// A runtime of one domain with one worker. While hold() keeps that in a token, the thread outside
/// submits; while the worker runs what was submitted, the thread outside sleeps.
class stage {
  public:
    /// The runtime in which works declare their operations.
    [[nodiscard]] runtime& get() noexcept { return runtime_; }

    /// Returns once the worker stands still, blocked in the system.
    void hold();

    /// The worker goes on. From there to the end its instructions are counted under `name`. Returns
    /// when nothing is left to do.
    /// @throws std::runtime_error unless ran() was called `tokens` times
    void release(std::string_view name, std::uint64_t tokens, ending by = ending::last_token);

    /// Called by each token of the work.
    void ran() noexcept {
        extra_work();
        if (++ran_ == last_) end();
    }

    /// On the worker, while it is counted.
    void end() noexcept {
        inside_->end();
        inside_.reset();
    }

  private:
    // The worker writes these while the thread outside waits for it, and the other way round.
    std::optional<stretch> inside_;
    std::uint64_t ran_ = 0;
    std::uint64_t last_ = 0;
    std::binary_semaphore held_{0};
    std::binary_semaphore go_{0};

    runtime runtime_{fixed_settings(1)};
    operation<void()> hold_ = runtime_.operation("hold", [this] {
        held_.release();
        go_.acquire();
        inside_->begin();
    });
};

}  // namespace tokengate::guard
