// SPDX-License-Identifier: Apache-2.0
#include "domain/worker.hpp"

#include <pthread.h>
#include <array>
#include <chrono>
#include <cstdio>
#include <utility>

#include "domain/kill.hpp"
#include "domain/waiters.hpp"
#include "topology/binding.hpp"

namespace tokengate::detail {

namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local worker* this_worker = nullptr;

// Pauses between the polls of a worker that has just run out of work: a submitter that is a little
// slower than the workers gets time to build a backlog, which is taken at a third of the price of
// single tokens. About a microsecond in all. Chosen by bench P1.
constexpr std::array<int, 5> poll_pauses{1, 2, 4, 8, 16};

// How often a spinning worker reads the clock, in pauses.
constexpr int pauses_per_look = 32;

// Linux keeps 15 characters of a thread's name.
void name_this_thread(unsigned domain, std::size_t number_in_domain) noexcept {
    std::array<char, 16> name{};
    std::snprintf(name.data(), name.size(), "tg-%u.%zu", domain, number_in_domain);
    pthread_setname_np(pthread_self(), name.data());
}

}  // namespace

worker::worker(crew& owner, unsigned domain_index, std::size_t number)
    : crew_(owner),
      domain_index_(domain_index),
      number_(number),
      home_(owner.at(domain_index)),
      rota_(owner.chosen().retry_stride),
      steal_rota_(owner.chosen().retry_stride) {}

worker* worker::current() noexcept { return this_worker; }

void worker::start(muster& present) {
    thread_ = std::thread([this, &present] {
        name_this_thread(domain_index_, number_ % crew_.chosen().workers_per_core);
        try {
            if (crew_.pins()) crew_.record_binding(domain_index_, bind_this_thread(home_.info));
            home_.arena.execute([this, &present] {
                this_worker = this;
                present.arrived.release();
                loop();
                this_worker = nullptr;
            });
        } catch (const std::exception&) {
            // Only on the way into the arena; the loop throws nothing.
            present.failed = true;
            present.arrived.release();
        }
    });
}

void worker::join() noexcept {
    if (thread_.joinable()) thread_.join();
}

void worker::loop() noexcept {
    for (;;) {
        if (run_one()) continue;
        if (token_node* node = poll_briefly()) {
            run(*node);
            continue;
        }
        if (crew_.current_phase() == phase::stopped) break;
        rest();
    }
    settle_all();
}

bool worker::run_one() noexcept {
    if (token_node* node = find()) {
        run(*node);
        return true;
    }
    pay();
    return false;
}

token_node* worker::find() noexcept {
    if (token_node* node = take_from(home_, all_lanes, rota_)) return node;
    for (const unsigned victim : home_.neighbours) {
        if (token_node* node = take_from(crew_.at(victim), home_.stealable, steal_rota_)) {
            stolen.add();
            return node;
        }
    }
    return nullptr;
}

token_node* worker::take_from(domain& source, lane_mask allowed, lane_rota& rota) noexcept {
    while (const auto which = rota.next(source.box.occupied() & allowed)) {
        if (token_node* node = source.box.pop(*which, owes_)) {
            rota.served(*which);
            settle(source.box.credits(*which));
            return node;
        }
    }
    return nullptr;
}

token_node* worker::poll_briefly() noexcept {
    for (const int pauses : poll_pauses) {
        for (int i = 0; i < pauses; ++i) cpu_pause();
        if (token_node* node = find()) return node;
    }
    return nullptr;
}

void worker::run(token_node& node) noexcept {
    pay();
    if (crew_.current_phase() >= phase::killing) [[unlikely]] {
        const std::size_t index = index_of(node.weight_class);
        if (kill_popped(node)) {
            killed[index].add();
            ++finished_;
        }
        return;
    }
    if (!node.state.begin_execution()) {
        drop_husk(node);
        return;
    }
    execute(node, origin::mailbox);
}

void worker::execute(token_node& node, origin from) noexcept {
    const frame_type& type = node.type();
    const std::size_t index = index_of(node.weight_class);
    // Relaxed: a number for people to look at.
    node.domain.store(static_cast<std::uint16_t>(domain_index_), std::memory_order_relaxed);

    execution_stack::frame frame{.node = &node};
    executing.push(frame);
    ++depth_;
    const token_state outcome = type.run(node);
    --depth_;
    executing.pop();

    executed[index].add();
    // Given back before anyone can see the token done, so that who has seen it finds room.
    if (from != origin::overflow) ++finished_;
    if (finished_ >= crew_.in_flight.block() || crew_.room.has_waiters()) settle_finished();
    const bool owns_reference = from != origin::awaited;
    const state_word::finished end = node.state.finish(outcome, owns_reference);
    if (end.won) [[likely]] {
        // Counted after it is terminal: who finds the runtime idle finds all tokens done.
        (outcome == token_state::completed ? completed : failed)[index].add();
        if (end.last) recycle(node);
        wake_waiters(node, end);
    } else {
        // It was killed while it ran; whoever did that has counted it.
        type.drop_outcome(node, outcome);
        if (owns_reference) drop_reference(node);
    }
}

bool worker::may_run(weight weight_class, unsigned home) const noexcept {
    return home == domain_index_ || may_run_class(weight_class);
}

bool worker::may_run_class(weight weight_class) const noexcept {
    return (home_.stealable & bit_of(lane_of(weight_class))) != 0;
}

bool worker::may_nest() const noexcept { return depth_ <= crew_.chosen().help_depth; }

void worker::rest() noexcept {
    settle_all();
    const event_count::ticket ticket = wake.look();
    crew_.idle.announce(number_);
    if (token_node* node = find()) {
        withdraw();
        run(*node);
        return;
    }
    // Between what this worker has counted and given back, and the look for those who wait for it.
    full_fence();
    crew_.tell_quiet();
    crew_.tell_room();
    if (!spin_until_woken(ticket) && crew_.current_phase() != phase::stopped) {
        parked.add();
        wake.park(ticket);
    }
    withdraw();
}

// Leaves the idle set. If somebody has claimed this worker, it is counted on for a token that it
// may not be the one to take.
void worker::withdraw() noexcept {
    if (!crew_.idle.withdraw(number_)) owes_ = true;
}

// Whoever was claimed, or has set a mailbox's hint again, pays before it runs anything: others may
// sleep that were not woken because of it.
void worker::pay() noexcept {
    if (owes_) [[unlikely]] {
        owes_ = false;
        crew_.pass_on(domain_index_);
    }
}

bool worker::spin_until_woken(event_count::ticket taken) const noexcept {
    const std::chrono::nanoseconds limit = crew_.chosen().spin_time;
    if (limit.count() == 0) return wake.happened_since(taken);
    const steady_ns until = steady_now() + limit.count();
    do {
        for (int i = 0; i < pauses_per_look; ++i) {
            if (wake.happened_since(taken)) return true;
            cpu_pause();
        }
        // A thread that has work may want this core, the submitter above all.
        std::this_thread::yield();
    } while (steady_now() < until);
    return wake.happened_since(taken);
}

bool worker::wait_for(token_node& awaited, std::optional<steady_ns> deadline) noexcept {
    const auto done = [&] { return is_terminal(awaited.state.phase()); };
    const auto late = [&] { return deadline && steady_now() >= *deadline; };
    while (!done() && !late()) {
        if (may_nest() && run_one()) continue;
        settle_all();
        std::optional<waiting_workers::entry> listed(std::in_place, awaited, wake);
        const event_count::ticket ticket = wake.look();
        if (is_terminal(state_word::phase_of(awaited.state.announce_helper()))) break;
        const bool offers_help = may_nest();
        if (offers_help) {
            crew_.idle.announce(number_);
            if (token_node* node = find()) {
                withdraw();
                listed.reset();
                run(*node);
                continue;
            }
        }
        full_fence();
        crew_.tell_room();
        if (!spin_until_woken(ticket)) wake.park(ticket, deadline);
        if (offers_help) withdraw();
    }
    pay();
    return done();
}

bool worker::is_executing(const token_node& node) const noexcept { return executing.holds(node); }

void worker::settle(credit_pool& lane_credits) noexcept {
    if (lane_credits_ != &lane_credits) {
        settle_taken();
        lane_credits_ = &lane_credits;
    }
    ++taken_;
    if (taken_ >= lane_credits.block() || crew_.room.has_waiters()) settle_taken();
}

void worker::settle_taken() noexcept {
    if (taken_ != 0) crew_.give_back(*lane_credits_, std::exchange(taken_, 0));
}

void worker::settle_finished() noexcept {
    if (finished_ != 0) crew_.give_back(crew_.in_flight, std::exchange(finished_, 0));
}

void worker::settle_all() noexcept {
    settle_finished();
    settle_taken();
}

}  // namespace tokengate::detail
