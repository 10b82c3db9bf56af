// SPDX-License-Identifier: Apache-2.0
// The state word of a token (lib/token/README.md), under many schedules.
#include <tokengate/detail/state_word.hpp>

#include <cstdint>

#include <doctest/doctest.h>

#include "schedule.hpp"
#include "sleep/futex.hpp"
#include "sleep/turn.hpp"

namespace tokengate::test {
namespace {

using detail::atomic;
using detail::state_word;

/// A token and its books. Whoever touches it holds a reference.
struct token {
    state_word state;
    int wins = 0;      ///< terminal transitions
    int recycled = 0;  ///< last references given up
    int runs = 0;
    int listed = 0;         ///< in a list of those that wait, and alive
    atomic<int> result{0};  ///< written before the end, read after it

    void alive() const { must(recycled == 0, "a token was recycled under a holder"); }

    void drop(bool last) {
        if (last) must(++recycled == 1, "a token was recycled twice");
    }
    void release() {
        alive();
        drop(state.release());
    }
    void release_husk() {
        alive();
        drop(state.release_husk());
    }

    /// The end, by whoever holds it in `executing`. False: somebody else was first.
    bool finish(token_state outcome, bool with_reference) {
        alive();
        const state_word::finished end = state.finish(outcome, with_reference);
        if (!end.won) return false;
        must(++wins == 1, "a token ended twice");
        if (end.wake()) detail::futex_wake_all(state.futex());
        if (with_reference) drop(end.last);
        return true;
    }

    /// What a worker does with a token that it has begun, and whose reference it has.
    void run() {
        alive();
        ++runs;
        result.store(runs, std::memory_order_relaxed);
        if (!finish(token_state::completed, true)) release();
    }

    /// Kills it, in whatever phase it is. The caller holds a handle.
    void kill() {
        for (;;) {
            alive();
            const state_word::condemned found = state.begin_killing();
            if (is_terminal(found.was)) return;
            if (found.listed) --listed;
            if (finish(token_state::killed, false)) return;
            must(found.was == token_state::executing, "what was condemned is somebody else's");
        }
    }

    /// Keeps it from being begun for a few steps. The caller holds a handle.
    void pause_for_a_while() {
        alive();
        if (!state.pause()) return;
        const int before = runs;
        for (int i = 0; i < 8; ++i) pause();
        must(runs == before, "a token was begun while it was paused");
        alive();
        static_cast<void>(state.resume());
    }

    /// Sleeps until it has ended. The caller holds a handle.
    void wait() {
        for (;;) {
            alive();
            const std::uint32_t word = state.announce_sleeper();
            if (is_terminal(state_word::phase_of(word))) break;
            detail::futex_wait(state.futex(), word);
        }
        if (state.phase() == token_state::completed) {
            must(result.load(std::memory_order_relaxed) != 0, "an end came before its result");
        }
    }

    void check() const {
        must(wins == 1, "a token has not ended");
        must(listed == 0, "a token has ended, and is counted among those that wait");
        must(recycled == 1, "a token was not recycled");
    }
};

/// One entry, and three handles: of one who kills, one who sleeps, and a worker that runs what it
/// waits for.
struct everybody_at_once : token {
    void threads(schedule& run) {
        state.start(token_state::admitted, 4);
        run.thread([this] {  // the worker that takes the entry
            alive();
            if (state.begin_execution()) {
                this->run();
            } else {
                release_husk();
            }
        });
        run.thread([this] {
            kill();
            release();
        });
        run.thread([this] {
            wait();
            release();
        });
        run.thread([this] {  // the worker that waits, and begins it in place
            alive();
            if (state.begin_execution_leaving_husk()) {
                ++runs;
                result.store(1, std::memory_order_relaxed);
                finish(token_state::completed, false);
            } else {
                wait();
            }
            release();
        });
    }
    void check() const {
        token::check();
        must(runs <= 1, "a token ran twice");
    }
};

/// A handle that is dropped while the token runs: without handles nobody else can reach it.
struct nobody_looks : token {
    void threads(schedule& run) {
        state.start(token_state::admitted, 2);
        run.thread([this] {
            if (!state.begin_execution()) must(false, "nobody else can begin it");
            ++runs;
            if (state.unseen()) {
                ++wins;  // it is recycled as it is
                drop(true);
            } else {
                finish(token_state::completed, true);
            }
        });
        run.thread([this] { release(); });
    }
};

/// The entry's worker runs it twice, with a stay in between, while one pauses it and one kills it.
/// The lock is that of the backlog in which it stays.
struct paused_and_put_back : token {
    detail::turn lock;
    bool aside = false;
    bool queued = true;  ///< its entry is in the mailbox
    bool done = false;   ///< its entry is no more

    /// What comes out of the mailbox, with the entry's reference.
    void take_entry() {
        if (state.begin_execution()) {
            attempt();
        } else if (const detail::turn_guard guard(lock); state.set_aside()) {
            aside = true;
            ++listed;
        } else {
            release_husk();
            done = true;
        }
    }
    void attempt() {
        alive();
        ++runs;
        result.store(runs, std::memory_order_relaxed);
        if (runs == 1) {
            if (state.put_back()) {
                list();
                return;
            }
            release();  // killed while it ran
        } else if (!finish(token_state::completed, true)) {
            release();
        }
        done = true;
    }
    /// What was set aside by itself.
    void list() {
        const detail::turn_guard guard(lock);
        if (state.list()) {
            aside = true;
            ++listed;
        } else {
            release_husk();  // killed on its way
            done = true;
        }
    }
    /// What is aside, and not paused, goes on.
    void look_aside() {
        {
            const detail::turn_guard guard(lock);
            if (!aside || state.paused()) return;
            aside = false;
        }
        if (state.begin_aside()) {
            --listed;
            attempt();
            return;
        }
        // Paused meanwhile, and perhaps resumed again; or killed.
        const detail::turn_guard guard(lock);
        const state_word::given_up gone = state.release_if_husk();
        if (gone.done) {
            drop(gone.last);
            done = true;
        } else {
            aside = true;
        }
    }

    void threads(schedule& run) {
        state.start(token_state::admitted, 4);
        run.thread([this] {
            take_entry();
            while (!done) {
                pause();
                look_aside();
            }
        });
        run.thread([this] {
            pause_for_a_while();
            release();
        });
        run.thread([this] {
            if (choice(2) == 0) kill();
            release();
        });
        run.thread([this] {
            wait();
            release();
        });
    }
};

/// Its inputs have come: it gets its place while others look, pause it and kill it.
struct placed : token {
    atomic<int> place{0};

    void threads(schedule& run) {
        state.start(token_state::waiting, 4);
        run.thread([this] {
            alive();
            if (const token_state seen = state.shown();
                seen == token_state::admitted || seen == token_state::executing) {
                must(place.load(std::memory_order_relaxed) != 0,
                     "a token is no longer said to wait, and has no place yet");
            }
            release();
        });
        run.thread([this] {
            if (!state.begin_placing()) {
                release_husk();
                return;
            }
            place.store(1, std::memory_order_relaxed);
            const state_word::admitted in = state.end_placing(false);
            if (in.done) {
                if (state.begin_execution()) {
                    this->run();
                    return;
                }
                // Paused or killed since.
                if (!state.set_aside()) {
                    release_husk();
                    return;
                }
                ++listed;
            } else if (!in.aside) {
                release();  // killed while it was placed: the entry is ours
                return;
            } else if (!state.list()) {
                release_husk();
                return;
            } else {
                ++listed;
            }
            while (!state.begin_aside()) {
                pause();
                if (!state.paused() && state.phase() != token_state::waiting) {
                    release_husk();
                    return;
                }
            }
            --listed;
            this->run();
        });
        run.thread([this] {
            pause_for_a_while();
            release();
        });
        run.thread([this] {
            if (choice(2) == 0) kill();
            release();
        });
    }
};

/// Who passes the turn of a serial token on.
struct turn_over {
    state_word state;
    int passed = 0;

    void threads(schedule& run) {
        state.start(token_state::executing, 2);
        for (int i = 0; i < 3; ++i) {
            run.thread([this] { passed += state.end_turn() ? 1 : 0; });
        }
    }
    void check() const { must(passed == 1, "a turn is passed on once"); }
};

}  // namespace

TEST_CASE("a_token_ends_once_and_is_recycled_once") { explore<everybody_at_once>(); }

TEST_CASE("a_token_without_handles_is_recycled_once") { explore<nobody_looks>(); }

TEST_CASE("a_token_that_is_paused_and_put_back_ends_once") { explore<paused_and_put_back>(); }

TEST_CASE("a_token_that_is_killed_while_it_gets_its_place_ends_once") { explore<placed>(); }

TEST_CASE("a_turn_is_passed_on_once") { explore<turn_over>(); }

}  // namespace tokengate::test
