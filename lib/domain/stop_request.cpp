// SPDX-License-Identifier: Apache-2.0
// What a callable learns of its token's end. Protocol: README.md, "Stop requests and join".
#include <stop_token>

#include <tokengate/control.hpp>

#include "domain/worker.hpp"
#include "sleep/fence.hpp"

namespace tokengate {

namespace detail {

namespace {

execution_stack::frame* innermost_frame() noexcept {
    worker* const self = worker::current();
    return self != nullptr ? self->executing.innermost_frame() : nullptr;
}

// A source that has been asked for, and whose token is dead, but which has not been told.
bool is_due(const execution_stack::frame& running, const std::stop_source* made) noexcept {
    return made != nullptr && is_terminal(running.node->state.phase()) && !made->stop_requested();
}

}  // namespace

void worker::pass_stop_requests_on() noexcept {
    for (;;) {
        std::stop_source due(std::nostopstate);
        executing.inspect_frames([&](execution_stack::frame& each) {
            // Acquire: pairs with the release in stop_token().
            const std::stop_source* made = each.stop.load(std::memory_order_acquire);
            if (!due.stop_possible() && is_due(each, made)) due = *made;
        });
        if (!due.stop_possible()) return;
        // Callbacks run here: while they do, the worker must be able to go on.
        due.request_stop();
    }
}

void crew::pass_stop_request_on(const token_node& node) const noexcept {
    // Whoever has a source that is not seen below sees that the token is dead.
    heavy_fence();
    const unsigned home = node.domain.load(std::memory_order_relaxed);
    for_each_worker([&](worker& each) {
        if (each.domain_index() == home) each.pass_stop_requests_on();
    });
}

bool crew::runs(const token_node& node) const noexcept {
    bool found = false;
    // What was pushed before is seen.
    heavy_fence();
    for_each_worker([&](worker& each) {
        if (!found) each.executing.inspect([&](const token_node& on) { found |= &on == &node; });
    });
    return found;
}

}  // namespace detail

namespace this_token {

bool stop_requested() noexcept {
    const auto* const running = detail::innermost_frame();
    return running != nullptr && is_terminal(running->node->state.phase());
}

std::stop_token stop_token() {
    auto* const running = detail::innermost_frame();
    if (running == nullptr) return {};
    // Relaxed: only this thread writes it.
    std::stop_source* made = running->stop.load(std::memory_order_relaxed);
    if (made == nullptr) {
        made = new std::stop_source;
        // Release: pairs with the acquire in pass_stop_requests_on().
        running->stop.store(made, std::memory_order_release);
        // Between the store and the look at the state; pairs with the heavy fence of who kills:
        // either it finds the source, or its kill is seen here.
        detail::light_fence();
        if (is_terminal(running->node->state.phase())) made->request_stop();
    }
    return made->get_token();
}

unsigned attempt() noexcept {
    const auto* const running = detail::innermost_frame();
    if (running == nullptr) return 0;
    return running->node->supervised ? detail::attempts_of(*running->node) : 1;
}

unsigned domain() noexcept {
    return detail::innermost_frame() == nullptr ? 0 : detail::worker::current()->domain_index();
}

}  // namespace this_token

}  // namespace tokengate
