// SPDX-License-Identifier: Apache-2.0
#include "domain/worker.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "domain/ending.hpp"
#include "token/pool.hpp"

namespace tokengate::detail {

namespace {

// Pauses between the polls of a worker that has just run out of work: a submitter that is a little
// slower than the workers gets time to build a backlog, which is taken at a third of the price of
// single tokens. About a microsecond in all. Chosen by bench P1.
constexpr std::array<int, 5> poll_pauses{1, 2, 4, 8, 16};

// Once in so many looks a worker's own deques come last. Chosen by bench P3: it must be well above
// the number of children of a token, or each look brings more into the deques than was taken out.
constexpr unsigned turn_stride = 1024;

}  // namespace

// A reserve is not needed any more, perhaps: it finishes what it has created, and rests until it is
// made to stand in again.
void worker::rest_as_reserve() noexcept {
    while (token_node* node = pop_own(all_deques_mask)) run(*node);
    pay();
    settle_all();
    if (!crew_.may_rest(*this)) return;
    tell_all();
    const auto needed = [&] {
        return standing_.load(std::memory_order_seq_cst) || crew_.current_phase() >= phase::stopped;
    };
    while (!needed()) {
        const event_count::ticket ticket = resumed.prepare();
        if (needed()) {
            resumed.cancel();
        } else {
            resumed.wait(ticket);
        }
    }
}

bool worker::run_one() noexcept {
    if (token_node* node = find()) {
        run(*node);
        return true;
    }
    pay();
    return false;
}

bool worker::help() noexcept {
    if (isolation_ == nullptr) return may_nest() && run_one();
    if (token_node* node = pop_created()) {
        run(*node);
        return true;
    }
    return false;
}

token_node* worker::find() noexcept {
    if (token_node* node = find_at_home()) return node;
    return find_elsewhere();
}

token_node* worker::find_at_home() noexcept {
    if (reserve_) [[unlikely]]
        return find_as_reserve();
    // Now and then the other way round, so that neither what this worker creates keeps it from its
    // mailbox for ever, nor the mailbox from the deque of one that is blocked.
    const bool turned = ++finds_ % turn_stride == 0;
    if (turned) [[unlikely]] {
        if (token_node* node = take_from_siblings()) return node;
    } else if (token_node* node = pop_own(in_range_)) {
        return node;
    }
    if (token_node* node = take_from_mailbox()) return node;
    return turned ? pop_own(in_range_) : take_from_siblings();
}

// What the blocked have created comes before what is new: they may wait for it, and what is begun
// in its stead may wait likewise, until all are blocked.
token_node* worker::find_as_reserve() noexcept {
    const bool turned = ++finds_ % turn_stride == 0;
    if (!turned) [[likely]] {
        if (token_node* node = pop_own(in_range_)) return node;
        if (token_node* node = take_from_siblings()) return node;
        return take_from_mailbox();
    }
    if (token_node* node = take_from_mailbox()) return node;
    if (token_node* node = take_from_siblings()) return node;
    return pop_own(in_range_);
}

token_node* worker::take_from_mailbox() noexcept {
    if (at_home_.row_of != nullptr) {
        if (token_node* node = take_in_row(at_home_)) return node;
    }
    return take_from(home_, all_lanes, at_home_);
}

token_node* worker::take_from_siblings() noexcept {
    const unsigned count = home_.worker_count();
    for (unsigned i = 1; i < count; ++i) {
        worker& victim = home_.worker_at((index_ + i) % count);
        for (const deque_kind kind : all_deques) {
            if (token_node* node = victim.steal(kind)) return node;
        }
    }
    return nullptr;
}

token_node* worker::find_elsewhere() noexcept {
    // What it has created below a class's range is as good as stolen.
    if (token_node* node = pop_own(all_deques_mask)) return node;
    const auto took = [this](token_node* node) {
        stolen.add();
        stole_at_ = finds_;
        return node;
    };
    // A row is as good as one token: what has come to nearer domains meanwhile comes after it. Not
    // so if the last token was none of it.
    if (elsewhere_.row_of != nullptr) {
        if (finds_ != stole_at_ + 1) {
            end_row(elsewhere_);
        } else if (token_node* node = take_in_row(elsewhere_)) {
            return took(node);
        }
    }
    const auto from = [&](domain& source) -> token_node* {
        if (token_node* node = take_from(source, home_.stealable, elsewhere_)) return node;
        const unsigned count = source.worker_count();
        for (unsigned w = 0; w < count; ++w) {
            for (const weight each : all_weights) {
                if (!may_run_class(each)) continue;
                if (token_node* node = source.worker_at(w).steal(kind_of(each))) return node;
            }
        }
        return nullptr;
    };
    for (const unsigned victim : home_.neighbours) {
        if (token_node* node = from(crew_.at(victim))) return took(node);
    }
    return nullptr;
}

// A deque may hold something from now on.
void worker::mark_offered(deque_kind kind) noexcept {
    own_offers_ = static_cast<deque_mask>(own_offers_ | bit_of(kind));
    // Relaxed: a fence follows before the look for sleepers; who is awake finds it soon.
    offers_.store(own_offers_, std::memory_order_relaxed);
}

std::size_t worker::room_in(deque_kind kind) const noexcept {
    return deques_[static_cast<std::size_t>(kind)].room();
}

void worker::keep_share(token_node& node, std::uint32_t entries) noexcept {
    const deque_kind kind = kind_of(node);
    for (std::uint32_t i = 0; i < entries; ++i) static_cast<void>(at(kind).push(node));
    offer(kind);
}

token_node* worker::pop_own(deque_mask kinds) noexcept {
    while (const unsigned offered = own_offers_ & kinds) {
        const auto kind = static_cast<deque_kind>(std::countr_zero(offered));
        if (token_node* node = at(kind).pop()) return node;
        // Only this thread fills it, so that it stays empty until this thread says otherwise.
        own_offers_ = static_cast<deque_mask>(own_offers_ & ~bit_of(kind));
        offers_.store(own_offers_, std::memory_order_relaxed);
    }
    return nullptr;
}

token_node* worker::pop_created() noexcept {
    for (std::size_t i = 0; i < all_deques.size(); ++i) {
        if (token_node* node = at(all_deques[i]).pop_above(isolation_->marks_.of[i])) return node;
    }
    return nullptr;
}

token_node* worker::steal(deque_kind kind) noexcept {
    // Seq_cst: a worker that has announced itself idle relies on seeing what was pushed before.
    if ((offers_.load(std::memory_order_seq_cst) & bit_of(kind)) == 0) return nullptr;
    for (;;) {
        const work_deque::stolen attempt = at(kind).steal();
        // A lost race is no reason to go: there may be more (lib/sleep/README.md).
        if (attempt.outcome != steal_outcome::lost) return attempt.node;
    }
}

bool worker::offers(deque_kind kind) const noexcept {
    // Seq_cst: as in steal().
    return (offers_.load(std::memory_order_seq_cst) & bit_of(kind)) != 0 &&
           !deques_[static_cast<std::size_t>(kind)].seems_empty();
}

token_node* worker::take_from(domain& source, lane_mask allowed, round& mine) noexcept {
    const auto next = [&]() -> std::optional<lane> {
        const auto same = mine.lanes.again();
        if (same && source.box.occupied(*same) && (allowed & bit_of(*same)) != 0 &&
            !(mine.lanes.retry_is_due() && source.box.occupied(lane::retry))) [[likely]] {
            return same;
        }
        return mine.lanes.next(source.box.occupied() & allowed);
    };
    while (const auto which = next()) {
        if (mine.row_of != nullptr) end_row(mine);
        source_rota& sources = mine.sources[static_cast<std::size_t>(*which)];
        const mailbox::taken found = source.box.pop_from(*which, sources, owes_);
        if (found.node == nullptr) continue;
        mine.lanes.served(*which);
        purse& credits = lane_purse(source.number, *which);
        credit_pool& pool = source.box.credits(*which);
        filled_ |= std::uint64_t{1} << source.number % 64;
        earn(credits, pool);
        if (found.from != nullptr && *which != lane::retry) {
            mine.row = found.from;
            mine.row_of = &source;
            mine.row_purse = &credits;
            mine.row_pool = &pool;
            mine.row_lane = *which;
            mine.row_left = std::min(mine.lanes.left_in_a_row(), sources.left_in_a_row());
        }
        return found.node;
    }
    return nullptr;
}

// The next token of a row, for as long as the rotas would come to the same one, so that they need
// not be asked. Null if the row is over.
token_node* worker::take_in_row(round& mine) noexcept {
    if (mine.row_left > 0 && !mine.row_of->box.occupied(lane::retry)) [[likely]] {
        if (token_node* node = mine.row->take()) [[likely]] {
            --mine.row_left;
            ++mine.row_taken;
            earn(*mine.row_purse, *mine.row_pool);
            return node;
        }
    }
    end_row(mine);
    return nullptr;
}

void worker::end_row(round& mine) noexcept {
    if (mine.row_taken > 0) {
        mine.lanes.served_again(mine.row_taken);
        mine.sources[static_cast<std::size_t>(mine.row_lane)].served_again(mine.row_taken);
    }
    mine.row_of = nullptr;
    mine.row_taken = 0;
}

token_node* worker::poll_briefly() noexcept {
    for (const int pauses : poll_pauses) {
        for (int i = 0; i < pauses; ++i) cpu_pause();
        if (token_node* node = find()) return node;
    }
    return nullptr;
}

void worker::run(token_node& node) noexcept {
    if (owes_) [[unlikely]]
        pay();
    if (crew_.attention()) [[unlikely]] {
        run_attended(node);
    } else if (!node.state.begin_execution()) [[unlikely]] {
        // A husk; or an entry of a share, which executes all the time.
        run_entry(node);
    } else {
        execute_begun(node, grip::entry);
    }
}

void worker::execute(token_node& node, grip held) noexcept { execute_begun(node, held); }

void worker::execute_begun(token_node& node, grip held) noexcept {
    if (!node.plain() || !memberships.none()) {
        execute_anchored(node, held);
    } else {
        execute_free(node, held);
    }
}

// What most tokens need; all of it in the caller.
void worker::execute_free(token_node& node, grip held) noexcept {
    run_counts& counted = counts_of(node);
    const frame_type& type = node.type();
    const token_state outcome = run_callable(node, counted);
    // Given back before anyone can see the token done, so that who has seen it finds room.
    if (node.way != route::here) [[likely]]
        earn_in_flight();
    if (held == grip::entry && node.state.unseen()) {
        if (outcome == token_state::failed || !type.trivial_result) {
            type.drop_outcome(node, outcome);
        }
        free_node(node, type.size_class);
    } else if (!(held == grip::alone && node.state.finish_alone(outcome)) &&
               !end_execution(node, outcome, held)) {
        return;
    }
    // Counted after it is terminal: who finds the runtime idle finds all tokens done.
    (outcome == token_state::completed ? counted.completed : counted.failed).add();
}

void worker::execute_anchored(token_node& node, grip held) noexcept {
    const bool owns_reference = held != grip::husk;
    run_counts& counted = counts_of(node);
    memberships.give_up(node.chained ? node.calls : nullptr);
    if (node.anchored()) {
        // Its line comes while the callable runs.
        if (node.pinned) crew_.sticky_keys.prefetch(node.pin.slot);
        anchored.add();
        if (home_of(node) != home_.number) [[unlikely]]
            escapes.add();
    }
    const token_state outcome = run_callable(node, counted);
    if (outcome == token_state::waiting) [[unlikely]] {
        put_back(node, held);
        return;
    }
    if (node.anchored()) {
        // If nobody else holds the token, its membership may serve the next one of the chain.
        const bool unseen = owns_reference && node.state.unshared();
        if (node.chained && unseen) {
            memberships.put(*node.calls);
            node.chained = false;  // recycle() has nothing left to let go of
        }
        release_anchor(crew_, node);
        if (!unseen || at(deque_kind::anchored).seems_empty()) memberships.give_up();
    }
    strand* const line = node.serial ? node.line : nullptr;
    const bool had_turn = line != nullptr && node.state.end_turn();
    // As in execute().
    if (node.way != route::here) earn_in_flight();
    bool won = true;
    if (owns_reference && node.state.unseen()) {
        recycle(node, outcome);
    } else {
        won = end_execution(node, outcome, held);
    }
    if (line != nullptr) {
        if (had_turn) crew_.pass_turn(*line);
        crew_.strands.leave(*line);
    }
    if (won) [[likely]]
        (outcome == token_state::completed ? counted.completed : counted.failed).add();
}

token_state worker::run_callable(token_node& node, run_counts& counted) noexcept {
    // Relaxed: a number for people to look at.
    node.domain.store(static_cast<std::uint16_t>(home_.number), std::memory_order_relaxed);
    execution_stack::frame frame(&node);
    executing.push(frame);
    ++depth_;
    const token_state outcome = node.type().run(node);
    --depth_;
    executing.pop();
    counted.executed.add();
    return outcome;
}

// True if the token has ended with this outcome, false if it was killed while it ran.
bool worker::end_execution(token_node& node, token_state outcome, grip held) noexcept {
    const bool owns_reference = held != grip::husk;
    const state_word::finished end = node.state.finish(outcome, owns_reference);
    if (end.won) [[likely]] {
        if (end.last) recycle(node, outcome);
        wake_waiters(node, end);
        return true;
    }
    // Whoever killed it has counted it.
    tell_joiners();
    node.type().drop_outcome(node, outcome);
    if (owns_reference) drop_reference(node);
    return false;
}

bool worker::executes_live() const noexcept {
    const token_node* node = executing.innermost();
    return node != nullptr && !is_terminal(node->state.phase());
}

bool worker::has_turn() const noexcept {
    const token_node* node = executing.innermost();
    return node != nullptr && node->serial;
}

bool worker::may_run(const token_node& node) const noexcept {
    if (runtime_of(node) != runtime()) return false;
    // Relaxed: the gate's until somebody begins the token.
    return node.domain.load(std::memory_order_relaxed) == home_.number ||
           (!node.glance().anchored && may_run_class(node.weight_class));
}

bool worker::may_nest() const noexcept { return depth_ <= crew_.chosen().help_depth; }

void worker::settle_taken() noexcept {
    // Rows fill purses that `filled_` would not tell of any more.
    end_row(at_home_);
    end_row(elsewhere_);
    for (; filled_ != 0; filled_ &= filled_ - 1) {
        const auto first = static_cast<unsigned>(std::countr_zero(filled_));
        for (unsigned d = first; d < lane_purses_.size(); d += 64) {
            for (unsigned l = 0; l < lane_count; ++l) {
                const auto which = static_cast<lane>(l);
                purse& credits = lane_purse(d, which);
                if (credits.count() == 0) continue;
                crew_.give_back(crew_.at(d).box.credits(which), credits.empty());
            }
        }
    }
}

void worker::settle_finished() noexcept {
    if (in_flight_purse.count() != 0) crew_.give_back(crew_.in_flight, in_flight_purse.empty());
}

void worker::settle_all() noexcept {
    memberships.give_up();
    settle_finished();
    settle_taken();
}

}  // namespace tokengate::detail
