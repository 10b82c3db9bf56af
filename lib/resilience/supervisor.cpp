// SPDX-License-Identifier: Apache-2.0
#include "resilience/supervisor.hpp"

#include <functional>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "domain/backlog.hpp"
#include "domain/ending.hpp"
#include "domain/permit.hpp"
#include "domain/tier.hpp"
#include "domain/worker.hpp"
#include "resilience/health.hpp"
#include "resilience/limits.hpp"
#include "resilience/retries.hpp"
#include "runtime_core.hpp"

namespace tokengate::detail {

namespace {

std::string text_of(std::chrono::nanoseconds limit) {
    const auto count = limit.count();
    const auto whole = [&](std::int64_t unit) { return count % unit == 0; };
    if (whole(1'000'000'000)) return std::to_string(count / 1'000'000'000) + " s";
    if (whole(1'000'000)) return std::to_string(count / 1'000'000) + " ms";
    if (whole(1'000)) return std::to_string(count / 1'000) + " us";
    return std::to_string(count) + " ns";
}

// Without memory the error says less.
std::string explain(const char* what, std::chrono::nanoseconds limit) noexcept {
    try {
        return what + text_of(limit);
    } catch (const std::bad_alloc&) {
        return {};
    }
}

// A sequence for each thread: nothing depends on how good they are.
std::uint64_t some_random_number() noexcept {
    using engine = std::independent_bits_engine<std::minstd_rand, 64, std::uint64_t>;
    thread_local engine numbers(std::hash<std::thread::id>{}(std::this_thread::get_id()));
    return numbers();
}

void* claim_token(alarm& which) noexcept {
    token_node& node = owner_of<supervision>(which).node;
    node.state.retain();
    return &node;
}

void end_wait(void* subject) noexcept {
    token_node& node = *static_cast<token_node*>(subject);
    time_out_waiting(node, explain("it did not begin within its queue_timeout of ",
                                   supervision_of(node).queue_timeout));
    drop_reference(node);
}

// The alarm owns the entry, which goes on to the lane.
void* claim_entry(alarm& which) noexcept { return &owner_of<supervision>(which).node; }

void end_back_off(void* subject) noexcept {
    token_node& node = *static_cast<token_node*>(subject);
    node.operation->runtime->workers().readmit(node);
}

constexpr alarm_kind backs_off{.claim = claim_entry, .ring = end_back_off};

/// One timed run; on the stack of the worker, for as long as the callable runs.
class timed_run final : public alarm {
  public:
    timed_run(timers& by, const supervision& record) noexcept
        : alarm(runs_too_long), clock_(by), node_(record.node) {
        clock_.arm(*this, steady_after(record.run_timeout));
    }
    ~timed_run() { clock_.disarm(*this); }
    timed_run(const timed_run&) = delete;
    timed_run& operator=(const timed_run&) = delete;

  private:
    // The run cannot end before it is disarmed, or sees that it cannot be: the node is there.
    static void* claim(alarm& which) noexcept {
        token_node& node = owner_of<timed_run>(which).node_;
        node.state.retain();
        return &node;
    }

    static void ring(void* subject) noexcept {
        token_node& node = *static_cast<token_node*>(subject);
        supervision& record = supervision_of(node);
        const bool was_in_time = time_out(
            node, explain("its callable ran longer than its run_timeout of ", record.run_timeout));
        // Its callable may not return for long.
        health_monitor* const health = node.operation->supervised_by->health();
        if (was_in_time && health != nullptr) health->judge_late(record);
        drop_reference(node);
    }

    static constexpr alarm_kind runs_too_long{.claim = claim, .ring = ring};

    timers& clock_;
    token_node& node_;
};

}  // namespace

const alarm_kind supervisor::waits_too_long{.claim = claim_token, .ring = end_wait};

bool supervisor::is_needed_for(const operation_traits& traits,
                               const memory_budget& memory) noexcept {
    return memory.limited() || traits.in_flight.tokens != 0 || traits.rate.per_second != 0 ||
           traits.duplicates != tokengate::duplicates::allow || traits.queue_timeout.count() != 0 ||
           traits.run_timeout.count() != 0 || traits.retry.attempts != 1 ||
           traits.arena.domains != 1 || traits.storage != storage::none ||
           health_monitor::is_needed_for(traits);
}

std::string supervisor::complain(const operation_traits& traits) {
    std::string all;
    const auto add = [&](const std::string& what) {
        if (!what.empty()) all += (all.empty() ? "" : "; and ") + what;
    };
    const auto check = [&](const char* name, std::chrono::nanoseconds limit) {
        if (limit.count() < 0) {
            add(std::string(name) + " is " + std::to_string(limit.count()) +
                " ns; allowed are 0, which is none, and more");
        }
    };
    check("queue_timeout", traits.queue_timeout);
    check("run_timeout", traits.run_timeout);
    check("slow_after", traits.slow_after);
    add(detail::complain(traits.retry));
    add(detail::complain(traits.storage));
    add(health_monitor::complain(traits));
    add(detail::complain(traits.in_flight));
    add(detail::complain(traits.rate));
    add(detail::complain(traits.duplicates));
    if (traits.arena.domains == 0) add("arena is over 0 domains; allowed are 1 and more");
    return all;
}

supervisor::supervisor(crew& workers, timers& clock, const operation_traits& traits,
                       memory_budget& memory, health_monitor* health)
    : crew_(workers),
      timers_(clock),
      queue_timeout_(traits.queue_timeout),
      run_timeout_(traits.run_timeout),
      retry_(traits.retry),
      arena_width_(traits.arena.domains),
      tier_(tier_of(traits.storage)),
      health_(health),
      coalesces_(traits.duplicates == tokengate::duplicates::coalesce),
      limits_(workers.room, traits, memory) {}

void supervisor::check(std::string_view operation, const frame_type& type) const {
    if (coalesces_ && !type.coalescible) {
        throw operation_error(
            "operation '" + std::string(operation) +
            "' has duplicates::coalesce, but an argument cannot be compared with that of another "
            "call: give its type an operator==, an AbslHashValue and a copy constructor, or leave "
            "the trait out");
    }
    if (retry_.attempts == 1 || type.attempt != nullptr) return;
    if (type.prepare != nullptr) {
        throw operation_error(
            "operation '" + std::string(operation) +
            "' has retries, but its callable is a coroutine: leave the trait out, and let the "
            "coroutine retry what it waits for, or declare what may fail as an operation of its "
            "own, with retries, and let the coroutine wait for that");
    }
    throw operation_error(
        "operation '" + std::string(operation) +
        "' has retries, but an argument cannot be copied, so that there is none for a second "
        "attempt: take it by const reference, give its class a copy constructor that does not "
        "throw, or specialise tokengate::copied_for_retry for it");
}

void supervisor::attach(token_node& node, const limit_share& share,
                        const time_limits* own) const noexcept {
    node.supervised = true;
    auto* const record = ::new (&supervision_of(node)) supervision(node);
    record->queue_timeout = queue_timeout_;
    record->run_timeout = run_timeout_;
    if (own != nullptr && own->queue_timeout.count() != 0) {
        record->queue_timeout = own->queue_timeout;
    }
    if (own != nullptr && own->run_timeout.count() != 0) record->run_timeout = own->run_timeout;
    record->limits = share;
    if (health_ != nullptr) record->called_at = steady_now();
}

void supervisor::give_up(token_node& node) noexcept {
    if (health_ != nullptr) health_->lose(supervision_of(node).seen.probe);
    limits_.give_up(supervision_of(node).limits);
}

void supervisor::drop_arguments(token_node& node) noexcept {
    plain_frame(node.type()).drop_arguments(node);
}

void supervisor::make_unique(token_node& node, std::unique_ptr<call_value> value) {
    supervision& record = supervision_of(node);
    record.value_hash = value->hash;
    duplicates_.add(node, std::move(value));
    record.is_unique = true;
}

supervisor::prospect supervisor::outlook() noexcept {
    const std::scoped_lock guard(lock_);
    return {.waiting = first_ != nullptr, .backing_off = backing_off_ != 0};
}

bool supervisor::drop_oldest(const std::string& reason) noexcept {
    // What has been begun, or is about to die, will leave the list by itself.
    const auto oldest = [&]() -> token_node* {
        const std::scoped_lock guard(lock_);
        for (const supervision* each = first_; each != nullptr; each = each->next) {
            if (each->attempts.load(std::memory_order_relaxed) != 0) continue;
            if (each->node.state.phase() >= token_state::executing) continue;
            each->node.state.retain();
            return &each->node;
        }
        return nullptr;
    };
    while (token_node* node = oldest()) {
        auto why = prepare_reason(*node, reason);
        const bool dropped = kill_if_waiting(*node, why ? &*why : nullptr);
        drop_reference(*node);
        if (dropped) {
            dropped_.fetch_add(1, std::memory_order_relaxed);
            return true;
        }
    }
    return false;
}

void supervisor::commit(token_node& node) noexcept {
    supervision& record = supervision_of(node);
    {
        const std::scoped_lock guard(lock_);
        // It may have begun, and even ended, since it was pushed.
        if (record.where == supervision::place::unlisted) {
            list(record);
            if (record.queue_timeout.count() != 0) {
                timers_.arm(record, steady_after(record.queue_timeout));
            }
        }
    }
    drop_reference(node);
}

token_state supervisor::run(token_node& node) noexcept {
    supervision& record = supervision_of(node);
    {
        const std::scoped_lock guard(lock_);
        if (record.where == supervision::place::listed) unlist(record);
        record.where = supervision::place::running;
        if (record.backs_off) --backing_off_;
        record.backs_off = false;
    }
    timers_.disarm(record);
    const token_state outcome = attempt(record);
    if (record.seen.steps_aside || record.suspends) return outcome;
    if (health_ != nullptr) health_->judge(record, outcome);
    if (outcome != token_state::waiting) release(record);
    return outcome;
}

token_state supervisor::attempt(supervision& record) noexcept {
    token_node& node = record.node;
    const frame_type& plain = plain_frame(node.type());
    std::exception_ptr error;
    token_state outcome{};
    {
        std::optional<permit_use> permit;
        if (tier_ != nullptr) permit.emplace(*tier_, *worker::current());
        if (health_ != nullptr && health_->sets_aside(record)) return token_state::waiting;
        const bool goes_on = std::exchange(record.suspends, false);
        if (!goes_on) record.attempts.fetch_add(1, std::memory_order_relaxed);
        std::optional<blocking_section> waits_for_storage;
        if (tier_ != nullptr) waits_for_storage.emplace();
        std::optional<health_monitor::attempt> watched;
        if (health_ != nullptr) watched.emplace(*health_, record);
        std::optional<timed_run> limit;
        if (record.run_timeout.count() != 0) limit.emplace(timers_, record);
        const bool once = retry_.attempts == 1 || plain.attempt == nullptr;
        const auto call = [&] { outcome = once ? plain.run(node) : plain.attempt(node, error); };
        if (arena_width_ == 1) {
            call();
        } else {
            crew_.wide_arenas().run(arena_width_, call);
        }
        if (once) {
            record.suspends = outcome == token_state::waiting;
            return outcome;
        }
    }
    if (outcome != token_state::executing) return outcome;
    if (is_to_be_retried(record, error)) return token_state::waiting;
    plain.drop_arguments(node);
    keep_error(node, std::move(error));
    return token_state::failed;
}

// Whoever asks has nothing in hand: `when` is the user's.
bool supervisor::is_to_be_retried(const supervision& record,
                                  const std::exception_ptr& error) const noexcept {
    if (record.attempts.load(std::memory_order_relaxed) >= retry_.attempts) return false;
    if (crew_.current_phase() >= phase::killing) return false;
    if (is_terminal(record.node.state.phase())) return false;
    try {
        return !retry_.when || retry_.when(error);
    } catch (...) {
        // Whoever cannot say has not said yes.
        return false;
    }
}

bool supervisor::put_back(token_node& node, bool entry_in_hand) noexcept {
    supervision& record = supervision_of(node);
    if (record.suspends) return plain_frame(node.type()).put_back(node, entry_in_hand);
    const bool is_retry = !std::exchange(record.seen.steps_aside, false);
    const auto number = record.attempts.load(std::memory_order_relaxed);
    const auto delay =
        is_retry ? delay_before(retry_, number, some_random_number()) : std::chrono::nanoseconds(0);
    // The worker has counted a run that was none.
    if (!is_retry) worker::current()->counts[node.operation->number].executed.retract();
    {
        // Held until the alarm is armed: whoever kills the token lets go of it afterwards.
        const std::scoped_lock guard(lock_);
        if (entry_in_hand) {
            if (!node.state.put_back()) return false;
        } else {
            const auto left = node.state.leave_to_entry();
            if (left == state_word::left::ended) return false;
            // Whoever has taken its entry out has given it up: now there is one again.
            entry_in_hand = left == state_word::left::aside;
            if (entry_in_hand && node.way != route::here) crew_.give_back(crew_.in_flight, 1);
        }
        // Its wait for the first attempt goes on, and so does its limit, anew.
        if (is_retry && health_ != nullptr) record.called_at = record.seen.ended_at;
        list(record);
        if (is_retry) {
            between_.fetch_add(1, std::memory_order_relaxed);
            retries_.fetch_add(1, std::memory_order_relaxed);
        } else if (record.queue_timeout.count() != 0) {
            timers_.arm(record, steady_after(record.queue_timeout));
        }
        if (!entry_in_hand) return true;
        // Whoever kills what waits has looked for it before: then it comes back at once, to die.
        const bool doomed =
            crew_.current_phase() >= phase::killing || node.operation->aside->condemns(node);
        if (delay.count() != 0 && !doomed) {
            record.backs_off = true;
            ++backing_off_;
            record.become(backs_off);
            timers_.arm(record, steady_after(delay));
            return true;
        }
    }
    crew_.readmit(node);
    return true;
}

void supervisor::let_go(token_node& node) noexcept {
    if (health_ != nullptr) health_->lose(supervision_of(node).seen.probe);
    release(supervision_of(node));
}

std::chrono::nanoseconds supervisor::oldest_wait() noexcept {
    const std::scoped_lock guard(lock_);
    if (first_ == nullptr || first_->called_at == 0) return {};
    return std::chrono::nanoseconds(steady_now() - first_->called_at);
}

// The last that is done with a record. The caller has a reference to the token, besides.
void supervisor::release(supervision& record) noexcept {
    token_node& node = record.node;
    std::unique_ptr<call_value> value;
    if (record.is_unique) {
        const std::scoped_lock guard(duplicates_.lock);
        value = duplicates_.take_out(node, record.value_hash);
    }
    bool owned_entry = false;
    // In a child process locks may be held for ever, and nobody watches.
    if (crew_.current_phase() != phase::forked) {
        const std::scoped_lock guard(lock_);
        if (record.where == supervision::place::listed) unlist(record);
        record.where = supervision::place::gone;
        owned_entry = timers_.disarm(record) && record.backs_off;
        if (record.backs_off) --backing_off_;
        record.backs_off = false;
    }
    limits_.give_back(record.limits);
    // Killed while it backs off: nothing will come out of a lane.
    if (owned_entry) drop_husk(node);
    drop_reference(node);
}

void supervisor::list(supervision& record) noexcept {
    record.where = supervision::place::listed;
    record.previous = last_;
    record.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &record;
    last_ = &record;
}

void supervisor::unlist(supervision& record) noexcept {
    // It was put back: nobody else changes the number while it is listed.
    if (record.attempts.load(std::memory_order_relaxed) != 0) {
        between_.fetch_sub(1, std::memory_order_relaxed);
    }
    for (sweep* each = sweeps_; each != nullptr; each = each->outer) {
        if (each->next == &record) each->next = record.next;
    }
    (record.previous != nullptr ? record.previous->next : first_) = record.next;
    (record.next != nullptr ? record.next->previous : last_) = record.previous;
}

std::size_t supervisor::kill_waiting(const backlog* condemning, std::string_view reason) noexcept {
    std::size_t dead = 0;
    sweep mine;
    const auto next = [&]() -> token_node* {
        const std::scoped_lock guard(lock_);
        while (mine.next != nullptr) {
            const supervision& each = *std::exchange(mine.next, mine.next->next);
            if (condemning != nullptr && !condemning->condemns(each.node)) continue;
            each.node.state.retain();
            return &each.node;
        }
        return nullptr;
    };
    {
        const std::scoped_lock guard(lock_);
        mine = {.next = first_, .outer = sweeps_};
        sweeps_ = &mine;
    }
    // Nothing is held while they die: destructors of their arguments are the user's.
    while (token_node* node = next()) {
        auto why = prepare_reason(*node, reason);
        if (kill_if_waiting(*node, why ? &*why : nullptr)) ++dead;
        drop_reference(*node);
    }
    const std::scoped_lock guard(lock_);
    sweep** link = &sweeps_;
    while (*link != &mine) link = &(*link)->outer;
    *link = mine.outer;
    return dead;
}

}  // namespace tokengate::detail
