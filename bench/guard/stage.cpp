// SPDX-License-Identifier: Apache-2.0
#include "guard/stage.hpp"

#include <chrono>
#include <stdexcept>
#include <string>

namespace tokengate::guard {

config fixed_settings(int cores) {
    return {.cores = cores,
            .workers_per_core = 1,
            .arena_slots = 0,
            .mailbox_capacity = 65'536,
            .in_flight_limit = 1'048'576,
            .deque_capacity = 1024,
            .sticky_slots = 65'536,
            .reserve_workers = 0,
            .retry_stride = 4,
            // A worker without work sleeps at once.
            .spin_time = std::chrono::microseconds(0),
            .help_depth = 64,
            .scope = domain_scope::core,
            .steal = stealing::soft,
            .binding = false,
            .first_core = {.heavy = 0, .medium = 0, .light = 0},
            .synthetic = "core:" + std::to_string(cores) + " pu:1"};
}

void expect(std::string_view what, std::uint64_t found, std::uint64_t expected) {
    if (found == expected) return;
    throw std::runtime_error(std::string(what) + ": " + std::to_string(found) + " instead of " +
                             std::to_string(expected));
}

void stage::hold() {
    ran_ = 0;
    hold_.post();
    held_.acquire();
}

void stage::release(std::string_view name, std::uint64_t tokens, ending by) {
    inside_.emplace(name, tokens);
    last_ = by == ending::last_token ? tokens : 0;
    go_.release();
    runtime_.wait_idle();
    expect("tokens that ran", ran_, tokens);
}

}  // namespace tokengate::guard
