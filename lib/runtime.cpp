// SPDX-License-Identifier: Apache-2.0
#include <tokengate/runtime.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include <tokengate/error.hpp>

#include "dataflow/dependents.hpp"
#include "domain/share.hpp"
#include "domain/worker.hpp"
#include "fork.hpp"
#include "locality/chain.hpp"
#include "runtime_core.hpp"
#include "token/labels.hpp"

namespace tokengate {

namespace detail {

namespace {

// How long a stop that has begun to kill waits between two looks for tokens that were on their way
// from a mailbox to a worker.
constexpr std::chrono::milliseconds kill_round{1};

// How long a stop whose deadline has passed waits for another stop that is about to finish.
constexpr std::chrono::milliseconds lock_grace{100};

bool display_wanted() {
    const char* value = std::getenv("TOKENGATE_DISPLAY_ENV");
    return value != nullptr && *value != '\0' && std::string_view(value) != "0";
}

}  // namespace

runtime_core::runtime_core(const config& wanted)
    : settings_(resolve(wanted, machine_)),
      history_(settings_.history),
      crew_(this, settings_, *machine_),
      gate_(crew_, settings_),
      memory_(settings_),
      by_number_(settings_.operation_limit) {
    prepare_heavy_fences();
    enlist_runtime(*this);
    try {
        crew_.start();
    } catch (...) {
        delist_runtime(*this);
        throw;
    }
    if (display_wanted()) display();
}

runtime_core::~runtime_core() {
    static_cast<void>(stop(std::nullopt));
    delist_runtime(*this);
}

bool runtime_core::is_idle() const {
    if (!all_finished()) return false;
    // A worker between two tokens may still have to leave the chains of those that have ended. One
    // that executes has a token that was killed, which keeps its chain open by right.
    bool left = true;
    crew_.for_each_worker([&](const worker& each) {
        left = left && (each.memberships.empty() || each.executing.busy());
    });
    return left;
}

bool runtime_core::called_from_own_worker() const noexcept {
    const worker* self = worker::current();
    return self != nullptr && &self->owner() == &crew_;
}

bool runtime_core::wait_idle(std::optional<steady_ns> deadline) {
    if (called_from_own_worker() && !forked()) {
        throw error(
            "wait_idle() was called inside a token of the same runtime, which can never be idle "
            "then: wait for the tokens themselves with wait() or wait_all()");
    }
    for (;;) {
        if (forked()) {
            throw runtime_forked(
                "wait_idle() was called in a child process after fork(), where the runtime has no "
                "workers. Call it in the parent process");
        }
        const event_count::ticket ticket = crew_.quiet.prepare();
        // Between the announcement and the look at the counters; pairs with tell_quiet().
        full_fence();
        if (is_idle()) {
            crew_.quiet.cancel();
            return true;
        }
        if (!crew_.quiet.wait(ticket, deadline)) return is_idle();
    }
}

std::vector<straggler> runtime_core::stragglers() const {
    std::vector<straggler> found;
    crew_.for_each_worker([&](worker& each) {
        // The strings are made with the worker held, which is what keeps the names readable; a
        // straggler is in no hurry.
        each.executing.inspect_frames([&](const execution_stack::frame& running) {
            token_node& node = *running.node;
            std::uint64_t id = node.id;
            if (is_share(node)) id += current_element(running) - share_of(node).first;
            found.push_back(
                {.operation = node.label->name, .id = id, .domain = each.domain_index()});
        });
    });
    return found;
}

stop_report runtime_core::stop(std::optional<steady_ns> deadline) {
    if (forked()) return {};
    {
        // resume() opens nothing again from here on.
        const std::scoped_lock guard(operations_lock_);
        stopping_ = true;
        crew_.advance(phase::open, phase::draining);
    }
    // What waits could not end otherwise.
    end_pauses();
    if (called_from_own_worker()) return {};
    // Without the lock, so that a stop with a deadline can overtake one that waits for ever.
    bool in_time = wait_idle(deadline);
    const turn_guard guard(
        stop_lock_,
        deadline ? std::optional(std::max(*deadline, steady_after(lock_grace))) : std::nullopt);
    // Another stop() waits for a callable that does not return.
    if (!guard) return {.drained = false, .killed = 0, .stragglers = stragglers()};
    if (joined_) return last_stop_;
    if (crew_.current_phase() < phase::killing) {
        last_stop_ = {.drained = true, .killed = 0, .stragglers = {}};
        while (in_time && !closed()) in_time = wait_idle(deadline);
        if (!in_time) kill_at_deadline();
        crew_.enter(phase::stopped);
    }
    // Who waits for ever needs no list of them, nor memory for one: the destructor.
    if (deadline) last_stop_.stragglers = stragglers();
    if (deadline && !last_stop_.stragglers.empty()) return last_stop_;
    crew_.join();
    clear_away();
    joined_ = true;
    last_stop_.stragglers.clear();
    return last_stop_;
}

// What is left when the workers have gone: husks of tokens that were killed while they were aside,
// for which other runtimes might send passes, and passes, with permits that others wait for. The
// husks first, so that no more passes come.
void runtime_core::clear_away() noexcept {
    for_each_operation(
        [](operation_core& each) { static_cast<void>(each.aside->kill_waiting(true, {})); });
    crew_.kill_waiting();
}

// Looks a last time whether everything has finished, with the gate closed: a submitter has counted
// its token before it looked at the phase, so it is counted here or turned away there.
bool runtime_core::closed() {
    crew_.enter(phase::closing);
    if (is_idle()) return true;
    crew_.enter(phase::draining);
    return false;
}

operation_core& runtime_core::declare(own_operation& place, declaration&& what) {
    if (forked()) {
        throw runtime_forked("operation '" + what.name +
                             "' was called in a child process after fork(), where the runtime has "
                             "no workers. Nothing was accepted: create a new runtime in the child");
    }
    const std::scoped_lock guard(own_lock_);
    // Relaxed: written under the lock.
    if (operation_core* known = place.load(std::memory_order_relaxed)) return *known;
    operation_core& made = adopt(what.name, what.traits, std::move(what.core));
    // Release: pairs with the acquire in declare_once().
    place.store(&made, std::memory_order_release);
    return made;
}

void runtime_core::kill_at_deadline() {
    const std::uint64_t before = killed_so_far();
    crew_.enter(phase::killing);
    // A token that a worker had taken out of its mailbox, but not begun, escapes one look and is
    // seen by the next one, or killed by its worker, which knows the phase by then.
    while (!is_idle()) {
        // What waits aside first, so that no passes are left that hold permits.
        for_each_operation([&](operation_core& each) {
            count_killed(each, each.aside->kill_waiting(true, {}));
            each.supervised_by->kill_waiting(nullptr, {});
            kill_waiters(each, nullptr, {});
        });
        crew_.kill_waiting();
        crew_.kill_executing();
        static_cast<void>(wait_idle(steady_after(kill_round)));
    }
    last_stop_.drained = false;
    last_stop_.killed = killed_so_far() - before;
}

void runtime_core::start() {
    if (called_from_own_worker() || forked()) {
        throw error(forked() ? "start() was called in a child process after fork(): create a new "
                               "runtime there"
                             : "start() was called inside a token of the same runtime: call it "
                               "from a thread that is not a worker");
    }
    const turn_guard guard(stop_lock_);
    if (crew_.current_phase() == phase::open) return;
    if (!joined_) {
        const auto running = stragglers();
        if (crew_.current_phase() == phase::stopped && !running.empty()) {
            throw error("start() was called while a callable of operation '" +
                        running.front().operation +
                        "' still runs since the last stop(): wait for it to return, then call "
                        "stop() and start() again");
        }
        throw error("start() was called on a runtime that is stopping: call stop() first");
    }
    crew_.start();
    {
        const std::scoped_lock operations(operations_lock_);
        stopping_ = false;
    }
    joined_ = false;
}

std::vector<chain_info> runtime_core::chains() const {
    return open_chains(this, [this](std::uint32_t number) {
        std::uint32_t spare = 0;
        crew_.for_each_worker(
            [&](const worker& each) { spare += each.memberships.held_of(number); });
        return spare;
    });
}

void runtime_core::display() const noexcept {
    try {
        std::string text = describe(settings_);
        for (const auto& each : crew_.bind_failures()) {
            text += "binding failed: " + each.error + "\n";
        }
        std::fputs(text.c_str(), stderr);
    } catch (const std::bad_alloc&) {
        std::fputs("tokengate: no memory to show the settings\n", stderr);
    }
}

void abandon_call(token_node& node) noexcept { node.operation->runtime->entrance().abandon(node); }

void submit_bulk(bulk_core& bulk) { bulk.operation->runtime->entrance().submit(bulk); }

held_key hold_key(operation_core& operation, call_key key) {
    return operation.runtime->entrance().hold(operation, key);
}

void let_go(const held_key& held) noexcept {
    if (held.runtime == nullptr) return;
    crew& owner = held.runtime->workers();
    if (held.line != nullptr) {
        owner.strands.leave(*held.line);
    } else {
        owner.sticky_keys.release(held.slot);
    }
}

void throw_unhashable(const operation_core& operation) {
    throw operation_error("a call of '" + operation.label->name +
                          "', which is sticky by its arguments, has an argument that cannot be "
                          "hashed, or not before it is moved: give its type an AbslHashValue, pass "
                          "it as the type of the parameter, or use sticky::by_anchor(name)");
}

runtime_core& core_of(runtime& rt) noexcept { return *rt.core_; }

}  // namespace detail

runtime::runtime(const config& wanted) : core_(std::make_unique<detail::runtime_core>(wanted)) {}

runtime::~runtime() {
    if (core_->forked()) {
        // Its threads are not here to be joined, and its locks may be held by them for ever.
        static_cast<void>(core_.release());
        return;
    }
    const detail::worker* self = detail::worker::current();
    if (self != nullptr && &self->owner() == &core_->workers()) {
        std::fputs(
            "tokengate: a runtime was destroyed inside one of its own tokens, which it would "
            "have to wait for. Destroy it from another thread.\n",
            stderr);
        std::terminate();
    }
}

detail::operation_core& runtime::adopt(std::string_view name, const operation_traits& traits,
                                       std::unique_ptr<detail::operation_core> core) {
    return core_->adopt(name, traits, std::move(core));
}

void runtime::wait_idle() { static_cast<void>(core_->wait_idle(std::nullopt)); }

bool runtime::wait_idle_for(std::chrono::nanoseconds limit) {
    return core_->wait_idle(detail::steady_after(limit));
}

stop_report runtime::stop() { return core_->stop(std::nullopt); }

stop_report runtime::stop(std::chrono::nanoseconds deadline) {
    return core_->stop(detail::steady_after(deadline));
}

void runtime::start() { core_->start(); }

bool runtime::running() const noexcept {
    return core_->workers().current_phase() == detail::phase::open;
}

const settings& runtime::settings() const noexcept { return core_->chosen(); }

const topology& runtime::topology() const noexcept { return core_->machine(); }

runtime_stats runtime::stats() const { return core_->stats(); }

std::vector<chain_info> runtime::open_chains() const { return core_->chains(); }

}  // namespace tokengate
