// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a benchmark consists of: a work, the contenders that do it, and the goals.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tokengate::bench {

/// What is the same for all contenders of a work.
struct setting {
    unsigned threads = 2;     ///< threads that execute tasks
    std::uint64_t tasks = 0;  ///< tasks of one repetition
};

/// A contender did not do the work.
class wrong_result : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// @throws wrong_result unless both are equal
void expect_equal(std::string_view what, std::int64_t found, std::int64_t expected);

/// One way of doing a work. It is built before its first repetition and kept until the work is
/// over, so that its threads and memory pools are warm when they are timed.
class contender {
  public:
    contender() = default;
    contender(const contender&) = delete;
    contender& operator=(const contender&) = delete;
    virtual ~contender() = default;

    /// Makes ready for run(). Not timed.
    virtual void prepare() {}

    /// Does the work once. This is what is timed.
    virtual void run() = 0;

    /// Checks what the last run() did. Not timed.
    /// @throws wrong_result
    virtual void verify() = 0;
};

/// Who provides the threads of a contender.
enum class family : std::uint8_t { serial, onetbb, tokengate };

/// "serial", "oneTBB" or "TokenGate".
[[nodiscard]] std::string_view to_string(family value) noexcept;

/// A contender that can be built.
struct entry {
    std::string_view name;  ///< unique in its work: "task_group"
    bench::family family = bench::family::serial;
    std::unique_ptr<contender> (*make)(const setting&) = nullptr;
};

/// The entry of a class.
template <std::derived_from<contender> C>
    requires std::constructible_from<C, const setting&>
[[nodiscard]] entry enter(std::string_view name, family owner) {
    return {name, owner, [](const setting& given) -> std::unique_ptr<contender> {
                return std::make_unique<C>(given);
            }};
}

/// What a contender should reach, compared by medians with the fastest of others.
struct goal {
    enum class kind : std::uint8_t {
        time_ratio,  ///< its time over theirs is at most `limit`
        speed_up,    ///< their time over its time is at least `limit`
    };

    std::string_view of;                    ///< the contender that is judged
    std::vector<std::string_view> against;  ///< compared with the fastest of these
    kind measure = kind::time_ratio;
    double limit = 1.0;
    bool floor = false;  ///< the least that is acceptable, rather than the aim
};

/// A work with everything that is needed to run and to judge it.
struct work {
    std::string_view id;     ///< "P1"
    std::string_view title;  ///< what is done, in one line
    std::uint64_t tasks = 0;
    std::uint64_t quick_tasks = 0;       ///< with --quick
    std::vector<entry> contenders = {};  ///< in the order of their turns
    std::vector<goal> goals = {};
};

/// Adds a work to the suite; one such object in each file of bench/micro.
class registration {
  public:
    explicit registration(work added);
};

/// All works, in the order of their numbers.
[[nodiscard]] std::vector<work> all_works();

}  // namespace tokengate::bench
