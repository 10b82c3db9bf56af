// SPDX-License-Identifier: Apache-2.0
// Tokens that schedulers make. Protocol: README.md.
#include <tokengate/detail/scheduled.hpp>

#include <memory>
#include <string>
#include <utility>

#include <tokengate/control.hpp>
#include <tokengate/detail/calls.hpp>
#include <tokengate/runtime.hpp>

#include "runtime_core.hpp"

namespace tokengate::detail {

/// A call that a thread is making.
struct submission {
    schedulable* what;
    submission* outer;     ///< the one that this is inside of
    bool dropped = false;  ///< the argument was destroyed by this thread, inside this call
};

namespace {

constinit thread_local submission* innermost = nullptr;

}  // namespace

void scheduled::run() const noexcept {
    using outcome = schedulable::outcome;
    schedulable& what = *std::exchange(what_, nullptr);
    what.over(what, this_token::stop_requested() ? outcome::dropped : outcome::runs, nullptr);
}

void scheduled::drop() noexcept {
    schedulable& what = *what_;
    for (submission* each = innermost; each != nullptr; each = each->outer) {
        // Another call may have been where `by_` was; not for the same operation state.
        if (each == by_ && each->what == &what) {
            each->dropped = true;
            return;
        }
    }
    what.over(what, schedulable::outcome::dropped, nullptr);
}

void submit(operation_core& operation, schedulable& what) noexcept {
    submission here{.what = &what, .outer = innermost};
    innermost = &here;
    std::exception_ptr error;
    try {
        static_cast<void>(make_call<void, const scheduled&>(
            operation, *operation.type, admission::wait, holders::runtime, scheduled(what, here)));
    } catch (...) {
        error = std::current_exception();
    }
    innermost = here.outer;
    // But for these two, it may be gone.
    if (error != nullptr) {
        what.over(what, schedulable::outcome::refused, error);
    } else if (here.dropped) {
        what.over(what, schedulable::outcome::dropped, nullptr);
    }
}

operation_core& scheduler_operation(runtime& rt, weight weight_class) {
    return core_of(rt).scheduler_operation(weight_class);
}

operation_core& runtime_core::scheduler_operation(weight weight_class) {
    return declare_once(schedulers_[index_of(weight_class)], [&] {
        return declaration{
            .name = "scheduler (" + std::string(to_string(weight_class)) + ")",
            .traits = {.weight = weight_class},
            .core = std::make_unique<callable_core<run_scheduled>>(
                &frame_functions<run_scheduled, void, const scheduled&>::type, run_scheduled{})};
    });
}

}  // namespace tokengate::detail
