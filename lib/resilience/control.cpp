// SPDX-License-Identifier: Apache-2.0
// Pause, resume, kill and cancel, of one operation or of all. Protocol: lib/domain/backlog.md.
#include <string>
#include <string_view>

#include <tokengate/error.hpp>
#include <tokengate/operation.hpp>

#include "domain/backlog.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

void runtime_core::in_parent_or_throw(const char* what) const {
    if (!forked()) return;
    throw runtime_forked(std::string(what) +
                         "() was called in a child process after fork(), where the runtime has no "
                         "workers. Call it in the parent process");
}

void runtime_core::pause(operation_core& operation) {
    in_parent_or_throw("pause");
    const std::scoped_lock guard(operations_lock_);
    // What drains must come to its end. stop() changes the phase first, and then takes this lock.
    if (crew_.current_phase() != phase::open) return;
    operation.aside->pause();
    operation.special.store(true, std::memory_order_relaxed);
}

void runtime_core::open_again(operation_core& operation) noexcept {
    operation.aside->resume();
    operation.special.store(operation.always_special, std::memory_order_relaxed);
}

void runtime_core::resume(operation_core& operation) {
    in_parent_or_throw("resume");
    const std::scoped_lock guard(operations_lock_);
    open_again(operation);
}

void runtime_core::pause_all() {
    in_parent_or_throw("pause");
    const std::scoped_lock guard(operations_lock_);
    if (crew_.current_phase() != phase::open) return;
    paused_ = true;
    for_each_operation([](operation_core& each) {
        each.aside->pause();
        each.special.store(true, std::memory_order_relaxed);
    });
}

void runtime_core::resume_all() {
    in_parent_or_throw("resume");
    const std::scoped_lock guard(operations_lock_);
    paused_ = false;
    for_each_operation([this](operation_core& each) { open_again(each); });
}

std::size_t runtime_core::kill(operation_core& operation, std::string_view reason, bool executing) {
    in_parent_or_throw("kill");
    {
        const std::scoped_lock guard(condemning_lock_);
        operation.aside->condemn(gate_.horizon(), reason);
    }
    return kill_condemned(operation, reason, executing);
}

std::size_t runtime_core::kill_all(std::string_view reason, bool executing) {
    in_parent_or_throw("kill");
    {
        const std::scoped_lock guard(condemning_lock_);
        const id_horizon before = gate_.horizon();
        for_each_operation([&](operation_core& each) { each.aside->condemn(before, reason); });
    }
    std::size_t dead = 0;
    for_each_operation(
        [&](operation_core& each) { dead += kill_condemned(each, reason, executing); });
    return dead;
}

std::size_t runtime_core::kill_condemned(operation_core& operation, std::string_view reason,
                                         bool executing) {
    std::size_t dead = operation.aside->kill_waiting(false, reason);
    count_killed(operation, dead);
    if (operation.supervised_by != nullptr) {
        dead += operation.supervised_by->kill_waiting(operation.aside, reason);
    }
    if (executing) dead += crew_.kill_executing_of(operation, reason);
    return dead;
}

void runtime_core::count_killed(const operation_core& operation, std::size_t dead) noexcept {
    if (dead == 0) return;
    crew_.outside[operation.number].killed.add(dead, std::memory_order_seq_cst);
    crew_.tell_quiet();
}

void operation_handle::pause() const { core().runtime->pause(core()); }

void operation_handle::resume() const { core().runtime->resume(core()); }

bool operation_handle::paused() const { return core().aside->paused(); }

std::size_t operation_handle::kill(std::string_view reason) const {
    return core().runtime->kill(core(), reason, true);
}

std::size_t operation_handle::cancel(std::string_view reason) const {
    return core().runtime->kill(core(), reason, false);
}

}  // namespace tokengate::detail

namespace tokengate {

void runtime::pause() { core_->pause_all(); }

void runtime::resume() { core_->resume_all(); }

std::size_t runtime::kill(std::string_view reason) { return core_->kill_all(reason, true); }

std::size_t runtime::cancel(std::string_view reason) { return core_->kill_all(reason, false); }

}  // namespace tokengate
