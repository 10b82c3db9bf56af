// SPDX-License-Identifier: Apache-2.0
#include "resilience/timers.hpp"

#include <pthread.h>
#include <limits>
#include <memory>
#include <system_error>

#include <tokengate/detail/frame.hpp>
#include <tokengate/error.hpp>

#include "domain/ending.hpp"
#include "token/fork_lock.hpp"

namespace tokengate::detail {

namespace {

constexpr steady_ns never = std::numeric_limits<steady_ns>::max();

std::string text_of(std::chrono::nanoseconds limit) {
    const auto count = limit.count();
    const auto whole = [&](std::int64_t unit) { return count % unit == 0; };
    if (whole(1'000'000'000)) return std::to_string(count / 1'000'000'000) + " s";
    if (whole(1'000'000)) return std::to_string(count / 1'000'000) + " ms";
    if (whole(1'000)) return std::to_string(count / 1'000) + " us";
    return std::to_string(count) + " ns";
}

/// A frame type whose run() is timed.
struct timed_type {
    frame_type type;  ///< first, so that its address is that of the whole
    const frame_type* plain;
};

token_state run_timed(token_node& node) noexcept {
    const auto& timed = reinterpret_cast<const timed_type&>(node.type());
    const timer_list::run until_it_returns(*node.operation->run_timer, node);
    return timed.plain->run(node);
}

struct all_timed_types {
    std::mutex lock;
    std::map<const frame_type*, timed_type> by_plain;
};

// Never destroyed: tokens refer to them.
all_timed_types& timed_types() { return only_one<all_timed_types>(); }

}  // namespace

const frame_type& timed_frame(const frame_type& type) {
    if (type.run == run_timed) return type;
    all_timed_types& all = timed_types();
    const std::scoped_lock guard(all.lock);
    const auto [where, added] = all.by_plain.try_emplace(&type, timed_type{type, &type});
    if (added) where->second.type.run = run_timed;
    return where->second.type;
}

timer_list::timer_list(timers& owner, std::chrono::nanoseconds limit)
    : owner_(owner),
      limit_(limit),
      why_("its callable ran longer than its operation's run_timeout of " + text_of(limit)) {}

timer_list::run::run(timer_list& home, token_node& node) noexcept : home_(home), node_(node) {
    timers& all = home.owner_;
    const steady_ns now = steady_now();
    const steady_ns limit = home.limit_.count();
    const std::scoped_lock guard(all.lock_);
    deadline_ = now > never - limit ? never : now + limit;
    home.append(*this);
    if (all.sleeps_until_ > deadline_) all.changed_.notify_one();
}

timer_list::run::~run() {
    const std::scoped_lock guard(home_.owner_.lock_);
    if (listed_) home_.remove(*this);
}

void timer_list::append(run& newest) noexcept {
    // Two that begin at once may come in the other order: by less than a lock takes.
    newest.previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = &newest;
    last_ = &newest;
    newest.listed_ = true;
}

void timer_list::remove(run& which) noexcept {
    (which.previous_ != nullptr ? which.previous_->next_ : first_) = which.next_;
    (which.next_ != nullptr ? which.next_->previous_ : last_) = which.previous_;
    which.listed_ = false;
}

timers::~timers() {
    if (!thread_.joinable()) return;
    {
        const std::scoped_lock guard(lock_);
        over_ = true;
        changed_.notify_one();
    }
    thread_.join();
}

timer_list& timers::list_for(std::chrono::nanoseconds limit) {
    const std::scoped_lock guard(lock_);
    timer_list& list = lists_.try_emplace(limit, *this, limit).first->second;
    if (!thread_.joinable()) {
        try {
            thread_ = std::thread([this] { loop(); });
        } catch (const std::system_error& refused) {
            throw resource_error(std::string("the thread that keeps the time of run_timeout cannot "
                                             "be started: ") +
                                 refused.what() +
                                 ". Allow more threads (ulimit -u), or leave run_timeout out");
        }
    }
    return list;
}

timer_list::run* timers::earliest() noexcept {
    timer_list::run* found = nullptr;
    for (auto& [limit, list] : lists_) {
        timer_list::run* const first = list.first_;
        if (first != nullptr && (found == nullptr || first->deadline_ < found->deadline_)) {
            found = first;
        }
    }
    return found;
}

void timers::loop() noexcept {
    pthread_setname_np(pthread_self(), "tg-timer");
    using clock = std::chrono::steady_clock;
    std::unique_lock guard(lock_);
    while (!over_) {
        timer_list::run* const next = earliest();
        if (next == nullptr || next->deadline_ == never) {
            sleeps_until_ = never;
            changed_.wait(guard);
        } else if (next->deadline_ > steady_now()) {
            sleeps_until_ = next->deadline_;
            changed_.wait_until(guard,
                                clock::time_point(std::chrono::nanoseconds(next->deadline_)));
        } else {
            // The run cannot end before it is off the list, or sees that it is: the node is there.
            token_node& node = next->node_;
            node.state.retain();
            timer_list& list = next->home_;
            list.remove(*next);
            guard.unlock();
            // Callbacks of its stop token run here: nothing is held.
            time_out(node, list.why_);
            drop_reference(node);
            guard.lock();
        }
        sleeps_until_ = 0;
    }
}

}  // namespace tokengate::detail
