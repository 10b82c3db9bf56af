// SPDX-License-Identifier: Apache-2.0
// Pause, resume, kill and cancel, of one operation or of all. Protocol: lib/domain/backlog.md.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include <tokengate/error.hpp>
#include <tokengate/operation.hpp>

#include "dataflow/dependents.hpp"
#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "fork.hpp"
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
    hold_back(operation);
}

void runtime_core::hold_back(operation_core& operation) noexcept {
    operation.aside->pause();
    operation.special.store(true, std::memory_order_relaxed);
}

void runtime_core::open_again(operation_core& operation) noexcept {
    operation.closed.store(false, std::memory_order_relaxed);
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
    for_each_operation([this](operation_core& each) { hold_back(each); });
}

void runtime_core::resume_all() {
    in_parent_or_throw("resume");
    const std::scoped_lock guard(operations_lock_);
    paused_ = false;
    for_each_operation([this](operation_core& each) { open_again(each); });
    if (!stopping_) crew_.advance(phase::draining, phase::open);
}

void runtime_core::outside_or_throw(const char* what) const {
    in_parent_or_throw(what);
    if (!called_from_own_worker()) return;
    throw error(std::string(what) +
                "() was called inside a token of the same runtime, which it would have to wait "
                "for: call it from a thread that is not a worker");
}

bool runtime_core::drain(operation_core& operation, std::optional<steady_ns> deadline) {
    outside_or_throw("drain");
    {
        const std::scoped_lock guard(operations_lock_);
        operation.closed.store(true, std::memory_order_relaxed);
        operation.aside->resume_all();
        operation.special.store(true, std::memory_order_relaxed);
    }
    for (;;) {
        const event_count::ticket ticket = crew_.quiet.prepare();
        if (stats_of(operation).counts.in_flight() == 0) {
            crew_.quiet.cancel();
            return true;
        }
        if (deadline && steady_now() >= *deadline) {
            crew_.quiet.cancel();
            return false;
        }
        // Workers that are busy with other operations tell nobody.
        static_cast<void>(crew_.quiet.wait(ticket, steady_after(look_again)));
    }
}

void runtime_core::end_pauses() noexcept {
    const std::scoped_lock guard(operations_lock_);
    paused_ = false;
    for_each_operation([this](operation_core& each) {
        open_again(each);
        each.aside->resume_all();
    });
}

bool runtime_core::drain_all(std::optional<steady_ns> deadline) {
    outside_or_throw("drain");
    crew_.advance(phase::open, phase::draining);
    end_pauses();
    return wait_idle(deadline);
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
    dead += operation.supervised_by->kill_waiting(operation.aside, reason);
    dead += kill_waiters(operation, operation.aside, reason);
    if (executing) dead += crew_.kill_executing_of(operation, reason);
    return dead;
}

void runtime_core::count_killed(const operation_core& operation, std::size_t dead) noexcept {
    if (dead == 0) return;
    crew_.outside[operation.number].killed.add(dead, std::memory_order_seq_cst);
    crew_.tell_quiet();
}

bool pause(token_node& node) noexcept { return node.state.pause(); }

bool resume(token_node& node) noexcept {
    const state_word::resumed was = node.state.resume();
    if (!was.paused) return false;
    // Its runtime may end as soon as it has ended itself, and another have the same address.
    const auto hold = hold_runtimes();
    if (is_terminal(node.state.phase()) || find_runtime(runtime_of(node)) == nullptr) return true;
    node.operation->aside->let_out(node);
    if (was.helper) waiting_workers::notify(&node);
    return true;
}

void operation_handle::pause() const { core().runtime->pause(core()); }

void operation_handle::resume() const { core().runtime->resume(core()); }

bool operation_handle::paused() const { return core().aside->paused(); }

void operation_handle::drain() const {
    static_cast<void>(core().runtime->drain(core(), std::nullopt));
}

bool operation_handle::drain_for(std::chrono::nanoseconds limit) const {
    return core().runtime->drain(core(), steady_after(limit));
}

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

void runtime::drain() { static_cast<void>(core_->drain_all(std::nullopt)); }

bool runtime::drain_for(std::chrono::nanoseconds limit) {
    return core_->drain_all(detail::steady_after(limit));
}

std::size_t runtime::kill(std::string_view reason) { return core_->kill_all(reason, true); }

std::size_t runtime::cancel(std::string_view reason) { return core_->kill_all(reason, false); }

}  // namespace tokengate
