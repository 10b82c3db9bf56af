// SPDX-License-Identifier: Apache-2.0
// Bulks that are killed while they run: each element ends once, and is counted as it says.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tokengate/tokengate.hpp>

#include "figure.hpp"
#include "ledger.hpp"
#include "random.hpp"
#include "scale.hpp"

namespace tokengate::test {
namespace {

constexpr std::size_t bulks = 20'000;
constexpr std::size_t bulks_of_a_runtime = 500;

/// How the elements of a bulk have ended, as its handle says.
struct ends_of {
    std::uint64_t completed = 0;
    std::uint64_t killed = 0;

    bool operator==(const ends_of&) const = default;
};

ends_of ask(const bulk<std::string>& made) {
    ends_of seen;
    for (std::size_t i = 0; i < made.size(); ++i) {
        seen.completed += made.state(i) == token_state::completed ? 1 : 0;
        seen.killed += made.state(i) == token_state::killed ? 1 : 0;
    }
    return seen;
}

}  // namespace

TEST_CASE("elements_of_a_bulk_that_is_killed_are_counted_as_they_say") {
    seeded random;
    std::uint64_t completed = 0;
    std::uint64_t killed = 0;
    for (std::size_t done = 0; done < scaled(bulks); done += bulks_of_a_runtime) {
        // More workers than CPUs: they lose theirs at any step.
        runtime rt({.cores = widths[random.below(4)],
                    .workers_per_core = 1 + static_cast<int>(random.below(2)),
                    .spin_time = std::chrono::microseconds(random.below(2) * 20)});
        const auto op = rt.operation("op", {.weight = weight::light}, [](int n) {
            return std::string("of some length, ") + std::to_string(n);
        });
        ends_of before;
        for (std::size_t i = 0; i < bulks_of_a_runtime; ++i) {
            const std::vector<int> numbers(1 + random.below(40), 7);
            const bulk<std::string> made = op.bulk(numbers);
            // At any moment until about when it has ended.
            for (std::uint64_t j = random.below(3000); j > 0; --j) static_cast<void>(made.size());
            made.kill();
            made.join();
            const ends_of seen = ask(made);
            CHECK(seen.completed + seen.killed == numbers.size());
            REQUIRE(rt.wait_idle_for(hang_limit));
            const token_counts counts = op.stats().counts;
            const ends_of counted{.completed = counts.completed - before.completed,
                                  .killed = counts.killed - before.killed};
            CHECK(seen == counted);
            CHECK(ask(made) == seen);
            before = {.completed = counts.completed, .killed = counts.killed};
        }
        check_ledger(rt);
        completed += before.completed;
        killed += before.killed;
    }
    figure("elements of killed bulks that completed", completed);
    figure("elements of killed bulks that did not", killed);
}

}  // namespace tokengate::test
