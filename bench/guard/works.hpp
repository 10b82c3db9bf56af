// SPDX-License-Identifier: Apache-2.0
/// @file
/// The fixed small works whose instructions are counted.
#pragma once

#include <memory>
#include <span>
#include <string_view>

namespace tokengate::guard {

/// A work; built once, so that its repetitions find pools and tables warm.
class work {
  public:
    work() = default;
    work(const work&) = delete;
    work& operator=(const work&) = delete;
    virtual ~work() = default;

    /// Does it once; each counted stretch in it becomes a figure.
    /// @throws std::runtime_error if it did not do what it should have
    virtual void run() = 0;
};

/// A work that can be built. Each is run in a process of its own, so that a new one does not change
/// the counts of others.
struct entry {
    std::string_view name;
    std::unique_ptr<work> (*make)() = nullptr;
};

/// The works of neighbours.cpp, stealing.cpp and waits.cpp; all others are in works.cpp.
[[nodiscard]] std::unique_ptr<work> make_neighbours();
[[nodiscard]] std::unique_ptr<work> make_stealing();
[[nodiscard]] std::unique_ptr<work> make_dependents();
[[nodiscard]] std::unique_ptr<work> make_coroutines();

/// All of them.
[[nodiscard]] std::span<const entry> all_works();

}  // namespace tokengate::guard
