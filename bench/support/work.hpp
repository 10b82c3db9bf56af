// SPDX-License-Identifier: Apache-2.0
/// @file
/// What a benchmark consists of: a work, the contenders that do it, and the goals.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
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

    /// What the last run() has measured, in the work's unit; it is what counts then, instead of the
    /// time for each task. By default none. Called after verify().
    [[nodiscard]] virtual std::optional<double> figure() const { return std::nullopt; }

    /// Single measurements of the last run(), such as latencies, in the work's unit. By default
    /// none. Called after verify(); they are read before the next prepare().
    [[nodiscard]] virtual std::span<const double> samples() const { return {}; }
};

/// Who provides the threads of a contender.
enum class family : std::uint8_t { serial, onetbb, tokengate, other };

/// "serial", "oneTBB", "TokenGate" or "others".
[[nodiscard]] std::string_view to_string(family value) noexcept;

/// A contender that can be built.
struct entry {
    std::string_view name;  ///< unique in its work: "task_group"
    bench::family family = bench::family::serial;
    std::function<std::unique_ptr<contender>(const setting&)> make = {};
};

/// The entry of a class; its constructor gets the setting and `more`.
template <std::derived_from<contender> C, std::copyable... A>
    requires std::constructible_from<C, const setting&, const A&...>
[[nodiscard]] entry enter(std::string_view name, family owner, A... more) {
    return {name, owner, [more...](const setting& given) -> std::unique_ptr<contender> {
                return std::make_unique<C>(given, more...);
            }};
}

/// What a contender should reach. What it has measured is the median of its figures, or of its
/// times for a task where it has none.
struct goal {
    enum class kind : std::uint8_t {
        time_ratio,  ///< its measure over the least of the others' is at most `limit`
        speed_up,    ///< the least of the others' measures over its own is at least `limit`
        absolute,    ///< its measure is at most `limit`, in the work's unit; no others
        flat,        ///< over the whole curve that the work belongs to, its measure is between
                     ///< 1 - `limit` and 1 + `limit` times the curve's median; no others
    };

    std::string_view of;                         ///< the contender that is judged
    std::vector<std::string_view> against = {};  ///< compared with the best of these
    std::string_view figure = "median";          ///< or "p50", "p99" of all rounds' samples
    kind measure = kind::time_ratio;
    double limit = 1.0;
    bool floor = false;  ///< the least that is acceptable, rather than the aim
};

/// The name of a kind as it is written above.
[[nodiscard]] std::string_view to_string(goal::kind value) noexcept;

/// A work with everything that is needed to run and to judge it.
struct work {
    std::string_view id;     ///< "P1"
    std::string_view title;  ///< what is done, in one line
    std::uint64_t tasks = 0;
    std::uint64_t quick_tasks = 0;       ///< with --quick
    std::string_view unit = "ns/task";   ///< of figures and samples
    std::string_view curve = {};         ///< works of one growth curve have the same name here
    double at = 0;                       ///< where on the curve this one is
    unsigned most_rounds = 0;            ///< for a work that takes long; 0: any number
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
