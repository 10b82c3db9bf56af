// SPDX-License-Identifier: Apache-2.0
#include "resilience/watchdog.hpp"

#include <unistd.h>

#include "domain/ending.hpp"
#include "domain/worker.hpp"
#include "resilience/health.hpp"
#include "resilience/supervisor.hpp"

namespace tokengate::detail {

std::string name_of_thread(const worker& which) {
    return "tg-" + std::to_string(which.domain_index()) + "." + std::to_string(which.index());
}

std::int64_t number_of_this_thread() noexcept {
    static constinit thread_local std::int64_t number = 0;
    if (number == 0) number = gettid();
    return number;
}

const alarm_kind slow_run::is_slow{.claim = claim, .ring = ring};

slow_run::slow_run(timers& by, supervision& record, std::chrono::nanoseconds after) noexcept
    : alarm(is_slow),
      clock_(by),
      record_(record),
      runner_(*worker::current()),
      thread_(number_of_this_thread()) {
    clock_.arm(*this, steady_after(after));
}

// The run cannot end before it is disarmed, or sees that it cannot be: all is there. The next run
// of the same token may have begun when this one's alarm rings; so what is to be told is noted now.
void* slow_run::claim(alarm& which) noexcept {
    auto& run = owner_of<slow_run>(which);
    supervision& record = run.record_;
    record.seen.slow_on = &run.runner_;
    record.seen.slow_thread = run.thread_;
    record.seen.slow_since = record.seen.begun_at;
    record.node.state.retain();
    return &record.node;
}

// The runtime is there, with all that belongs to it: its timers end before.
void slow_run::ring(void* subject) noexcept {
    token_node& node = *static_cast<token_node*>(subject);
    node.operation->supervised_by->health()->tell_slow(supervision_of(node));
    drop_reference(node);
}

}  // namespace tokengate::detail
