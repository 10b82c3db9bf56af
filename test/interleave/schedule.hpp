// SPDX-License-Identifier: Apache-2.0
/// @file
/// Runs the threads of a scenario one at a time, in an order that a seed decides: at each atomic
/// access another one may go on. README.md says what that finds, and what it does not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace tokengate::test {

/// One run of a scenario.
class schedule {
  public:
    explicit schedule(std::uint64_t seed);
    ~schedule();
    schedule(const schedule&) = delete;
    schedule& operator=(const schedule&) = delete;

    /// Adds a thread. It begins in run().
    void thread(std::function<void()> body);

    /// Runs all threads to their end, or to the first mistake, and says what it was: something that
    /// must() did not hold, an exception, threads of which none can go on, or that never end.
    [[nodiscard]] std::optional<std::string> run();

    class impl;

  private:
    std::unique_ptr<impl> impl_;
};

/// Ends the run with this mistake unless it holds.
void must(bool hold, const char* what);

/// Somebody else may go on: for loops that wait for something, and between steps that have no
/// access in between.
void pause();

/// A number below `limit` that the seed decides: for threads that do now this, now that.
[[nodiscard]] std::uint64_t choice(std::uint64_t limit);

/// Runs a scenario with TOKENGATE_SCHEDULES seeds (100,000 unless set): `lay_out` makes what the
/// threads share, adds them, and returns what is to be checked when all have ended. Fails the test
/// case at the first mistake, with the seed that repeats it: TOKENGATE_SEED=... runs that one only.
void explore(const std::function<std::function<void()>(schedule&)>& lay_out);

/// The same for a scenario that is a class: threads(schedule&) adds the threads, check() is called
/// when they have ended.
template <class Scenario>
void explore() {
    explore([](schedule& run) -> std::function<void()> {
        auto scene = std::make_shared<Scenario>();
        scene->threads(run);
        return [scene] { scene->check(); };
    });
}

}  // namespace tokengate::test
