// SPDX-License-Identifier: Apache-2.0
#include "resilience/run_timeout.hpp"

#include <tokengate/detail/frame.hpp>

#include "domain/ending.hpp"
#include "token/fork_lock.hpp"

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

/// One timed run; on the stack of the worker, for as long as the callable runs.
class timed_run final : public alarm {
  public:
    explicit timed_run(token_node& token) noexcept
        : alarm(time_is_over), clock_(token.operation->run_timer->clock()), node_(token) {
        clock_.arm(*this, steady_after(token.operation->run_timer->longest()));
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
        // The operation is there, though the token may be terminal: timers end before operations.
        time_out(node, node.operation->run_timer->why());
        drop_reference(node);
    }

    static constexpr alarm_kind time_is_over{.claim = claim, .ring = ring};

    timers& clock_;
    token_node& node_;
};

/// A frame type whose run() is timed.
struct timed_type {
    frame_type type;  ///< first, so that its address is that of the whole
    const frame_type* plain;
};

token_state run_timed(token_node& node) noexcept {
    const auto& timed = reinterpret_cast<const timed_type&>(node.type());
    const timed_run until_it_returns(node);
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

run_limit::run_limit(timers& by, std::chrono::nanoseconds longest)
    : clock_(by),
      longest_(longest),
      why_("its callable ran longer than its operation's run_timeout of " + text_of(longest)) {}

const run_limit& run_limits::of(std::chrono::nanoseconds longest) {
    const std::scoped_lock guard(lock_);
    return limits_.try_emplace(longest, clock_, longest).first->second;
}

}  // namespace tokengate::detail
