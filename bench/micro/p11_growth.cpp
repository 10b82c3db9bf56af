// SPDX-License-Identifier: Apache-2.0
// P11, first part: whether a task costs the same when there are many more of them, or many more
// domains than cores.
#include <tbb/task_group.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <tokengate/tokengate.hpp>

#include "support/counted.hpp"
#include "support/empty.hpp"
#include "support/onetbb.hpp"
#include "support/work.hpp"

namespace tokengate::bench {
namespace {

/// What grows.
struct scale {
    std::uint64_t wave;    ///< tasks that are submitted before all of them are awaited
    unsigned threads = 0;  ///< that run tasks; 0: as many as the setting says
};

setting sized(setting given, const scale& wanted) {
    if (wanted.threads != 0) given.threads = wanted.threads;
    return given;
}

// A repetition is wave after wave until all tasks have run: one small wave is too short to time.
class waves : public counted {
  public:
    waves(const setting& given, const scale& wanted)
        : counted(given.tasks), wave_(std::min(wanted.wave, given.tasks)) {}

  protected:
    [[nodiscard]] std::uint64_t wave() const noexcept { return wave_; }
    [[nodiscard]] std::uint64_t repeats() const noexcept { return runs() / wave_; }

  private:
    std::uint64_t wave_;
};

class task_group : public with_arena<waves> {
  public:
    task_group(const setting& given, const scale& wanted)
        : with_arena(sized(given, wanted), wanted) {}

    void run() override {
        start();
        arena().execute([this] {
            tbb::task_group group;
            for (std::uint64_t r = 0; r < repeats(); ++r) {
                run_empty(group, wave());
                group.wait();
            }
        });
    }
};

template <weight Weight>
class tokens : public with_empty_tokens<waves, Weight> {
  public:
    tokens(const setting& given, const scale& wanted)
        : with_empty_tokens<waves, Weight>(sized(given, wanted), wanted) {}

    void run() override {
        this->start();
        for (std::uint64_t r = 0; r < this->repeats(); ++r) {
            this->submit(this->wave());
            this->host().wait_idle();
        }
    }
};

std::vector<entry> contenders(const scale& wanted) {
    return {enter<task_group>("task_group", family::onetbb, wanted),
            enter<tokens<weight::medium>>("tokengate", family::tokengate, wanted),
            enter<tokens<weight::heavy>>("heavy", family::tokengate, wanted)};
}

std::vector<goal> stays_flat() {
    return {{.of = "tokengate", .measure = goal::kind::flat, .limit = 0.15}};
}

constexpr std::uint64_t power_of_two(unsigned exponent) { return std::uint64_t{1} << exponent; }

// Enough for a third of a second.
constexpr std::uint64_t usual_tasks = power_of_two(20);

work of_tokens(std::string_view id, std::string_view title, unsigned exponent) {
    const std::uint64_t wave = power_of_two(exponent);
    return {.id = id,
            .title = title,
            .tasks = std::max(usual_tasks, wave),
            .quick_tasks = std::clamp(wave, power_of_two(14), power_of_two(16)),
            .curve = "tokens",
            .at = static_cast<double>(wave),
            .most_rounds = wave > usual_tasks ? 5U : 0U,
            .contenders = contenders({.wave = wave}),
            .goals = stays_flat()};
}

work of_domains(std::string_view id, std::string_view title, unsigned domains) {
    return {.id = id,
            .title = title,
            .tasks = usual_tasks,
            .quick_tasks = power_of_two(14),
            .curve = "domains",
            .at = static_cast<double>(domains),
            .contenders = contenders({.wave = usual_tasks, .threads = domains}),
            .goals = stays_flat()};
}

const std::array<registration, 8> token_curve{
    registration(of_tokens("P11a", "empty tasks, submitted in waves of 2^10", 10)),
    registration(of_tokens("P11b", "empty tasks, submitted in waves of 2^12", 12)),
    registration(of_tokens("P11c", "empty tasks, submitted in waves of 2^14", 14)),
    registration(of_tokens("P11d", "empty tasks, submitted in waves of 2^16", 16)),
    registration(of_tokens("P11e", "empty tasks, submitted in waves of 2^18", 18)),
    registration(of_tokens("P11f", "empty tasks, submitted in one wave of 2^20", 20)),
    registration(of_tokens("P11g", "empty tasks, submitted in one wave of 2^22", 22)),
    registration(of_tokens("P11h", "empty tasks, submitted in one wave of 2^24", 24)),
};

const std::array<registration, 6> domain_curve{
    registration(of_domains("P11i", "empty tasks, 2 domains (or threads of oneTBB)", 2)),
    registration(of_domains("P11j", "empty tasks, 4 domains (or threads of oneTBB)", 4)),
    registration(of_domains("P11k", "empty tasks, 8 domains (or threads of oneTBB)", 8)),
    registration(of_domains("P11l", "empty tasks, 16 domains (or threads of oneTBB)", 16)),
    registration(of_domains("P11m", "empty tasks, 32 domains (or threads of oneTBB)", 32)),
    registration(of_domains("P11n", "empty tasks, 64 domains (or threads of oneTBB)", 64)),
};

}  // namespace
}  // namespace tokengate::bench
