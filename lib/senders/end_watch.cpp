// SPDX-License-Identifier: Apache-2.0
// Operation states that wait for tokens. Protocol: README.md.
#include <tokengate/detail/end_watch.hpp>

namespace tokengate::detail {

namespace {

// What has come; `came_ready` and one of the others make it over.
constexpr std::uint8_t came_ready = 1;
constexpr std::uint8_t came_end = 2;
constexpr std::uint8_t came_stop = 4;

// How many may be over inside each other. Not tuned: deep enough for what people write, far from
// the end of any stack.
constexpr unsigned deepest = 32;

// Those of this thread that are over, but would be too deep.
struct put_off {
    continuation* first = nullptr;  ///< linked by `next`
    continuation* last = nullptr;
    unsigned depth = 0;
};
constinit thread_local put_off waiting;

}  // namespace

end_watch::end_watch(token_node& node, void (*over)(end_watch&, outcome) noexcept) noexcept
    : over_(over) {
    awaited = &node;
    tell = [](continuation& self) noexcept {
        owner_of<end_watch>(self).take(came_end, outcome::ended);
    };
}

void end_watch::take(std::uint8_t step, outcome how) noexcept {
    // Acquire and release: pairs with ready(), and the other way round: whoever comes second sees
    // what the first has done.
    const std::uint8_t before = steps_.fetch_or(step, std::memory_order_acq_rel);
    if ((before & came_ready) != 0) over_(*this, how);
}

void end_watch::ready() noexcept {
    // As in take().
    const std::uint8_t before = steps_.fetch_or(came_ready, std::memory_order_acq_rel);
    if ((before & came_end) != 0) {
        over_(*this, outcome::ended);
    } else if ((before & came_stop) != 0) {
        over_(*this, outcome::stopped);
    }
}

void end_watch::stop() noexcept {
    // Else somebody tells it of the end, or has: by then this may not touch it any more.
    if (detach(*this)) take(came_stop, outcome::stopped);
}

void end_watch::over_in_turn() noexcept {
    next = nullptr;
    if (waiting.depth == deepest) {
        (waiting.first == nullptr ? waiting.first : waiting.last->next) = this;
        waiting.last = this;
        return;
    }
    ++waiting.depth;
    over_(*this, outcome::ended);
    // The innermost one goes on with those that would have been inside it.
    while (waiting.depth == deepest && waiting.first != nullptr) {
        auto& each = owner_of<end_watch>(*waiting.first);
        waiting.first = each.next;
        each.over_(each, outcome::ended);
    }
    --waiting.depth;
}

}  // namespace tokengate::detail
