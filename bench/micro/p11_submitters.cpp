// SPDX-License-Identifier: Apache-2.0
// P11, second part: whether a task costs the same when more threads submit.
#include <array>

#include "support/submitted.hpp"
#include "support/work.hpp"

namespace tokengate::bench {
namespace {

using namespace submitting;

work of_submitters(std::string_view id, std::string_view title, unsigned count) {
    return {.id = id,
            .title = title,
            .tasks = 1U << 20U,
            .quick_tasks = 1U << 14U,
            .curve = "submitters",
            .at = static_cast<double>(count),
            .contenders = {enter<task_group>("task_group", family::onetbb, count),
                           enter<enqueue>("enqueue", family::onetbb, count),
                           enter<tokens<weight::medium>>("tokengate", family::tokengate, count),
                           enter<tokens<weight::heavy>>("heavy", family::tokengate, count)},
            .goals = {{.of = "tokengate", .measure = goal::kind::flat, .limit = 0.15}}};
}

const std::array<registration, 5> submitter_curve{
    registration(of_submitters("P11o", "empty tasks, submitted by 1 thread", 1)),
    registration(of_submitters("P11p", "empty tasks, submitted by 2 threads at once", 2)),
    registration(of_submitters("P11q", "empty tasks, submitted by 4 threads at once", 4)),
    registration(of_submitters("P11r", "empty tasks, submitted by 8 threads at once", 8)),
    registration(of_submitters("P11s", "empty tasks, submitted by 16 threads at once", 16)),
};

}  // namespace
}  // namespace tokengate::bench
