// SPDX-License-Identifier: Apache-2.0
// P8: what it costs to submit when several threads do it at once.
#include "support/submitted.hpp"
#include "support/work.hpp"

namespace tokengate::bench {
namespace {

using namespace submitting;

constexpr unsigned submitters = 4;

const registration four_submitters{{
    .id = "P8",
    .title = "empty tasks that four threads submit at once, one by one, all waited for",
    .tasks = 1'000'000,
    .quick_tasks = 50'000,
    .contenders = {enter<task_group>("task_group", family::onetbb, submitters),
                   enter<narrow_task_group>("narrow task_group", family::onetbb, submitters),
                   enter<enqueue>("enqueue", family::onetbb, submitters),
                   enter<tokens<weight::medium>>("tokengate", family::tokengate, submitters),
                   enter<tokens<weight::heavy>>("heavy", family::tokengate, submitters)},
    .goals = {{.of = "tokengate", .against = {"task_group", "narrow task_group"}, .limit = 1.0}},
}};

}  // namespace
}  // namespace tokengate::bench
