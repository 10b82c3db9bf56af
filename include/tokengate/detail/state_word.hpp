// SPDX-License-Identifier: Apache-2.0
/// @file
/// The one atomic word that says where a token is in its life and who still holds it.
/// The protocol, with its proof, is in lib/token/README.md.
#pragma once

#include <cassert>
#include <cstdint>
#include <exception>
#include <string_view>

#include <tokengate/detail/atomic.hpp>

namespace tokengate {

/// Where a token is in its life. The last four are terminal: the first of them to be written stays.
enum class token_state : std::uint8_t {
    created,    ///< being built; no handle exists yet
    waiting,    ///< accepted, but not yet in a mailbox
    admitted,   ///< in a mailbox
    executing,  ///< its callable runs
    completed,  ///< its result is there
    failed,     ///< its callable threw; the exception is there
    killed,     ///< it was killed
    timed_out,  ///< it missed its deadline
};

/// True for completed, failed, killed and timed_out.
[[nodiscard]] constexpr bool is_terminal(token_state state) noexcept {
    return state >= token_state::completed;
}

/// The name of a state, as in the enumeration.
[[nodiscard]] constexpr std::string_view to_string(token_state state) noexcept {
    constexpr std::string_view names[] = {"created",   "waiting", "admitted", "executing",
                                          "completed", "failed",  "killed",   "timed_out"};
    return names[static_cast<std::size_t>(state)];
}

namespace detail {

/// The state word of one token:
///
///     bits 0-2   phase        token_state
///     bit  3     sleeper      a thread sleeps on this word, or is about to
///     bit  4     helper       a worker waits for this token while it runs others
///     bit  5     husk         one of the references is an entry, in a mailbox, deque, strand or
///                             backlog, that will not run it
///     bit  6     doomed       it executes in name only: somebody kills it before it has begun;
///                aside        while it waits: it has been admitted, and was set aside
///     bit  7     turn over    of a serial token: somebody passes its turn on;
///                paused       before it executes: it is not to begin until it is resumed
///     bit  8     followed     somebody is to be told when it has ended (lib/dataflow)
///     bit  9     placing      it executes in name only: its inputs have come, it gets its place;
///                listed       while it waits, set aside: it is in its operation's backlog
///     bits 10-31 references   handles, plus one for the runtime until the token is terminal
///
/// One word, so that the last step of a token (publish the outcome, give up the runtime's
/// reference, learn whom to wake) is one read-modify-write.
class state_word {
  public:
    /// What a terminal transition learned.
    struct finished {
        bool won = false;      ///< false: the token was terminal already, nothing was changed
        bool last = false;     ///< nobody holds the token any more: recycle it
        std::uint32_t by = 0;  ///< who is to be told of it, as bits of the word

        /// Nobody waits for it.
        [[nodiscard]] bool unnoticed() const noexcept { return by == 0; }
        /// A thread sleeps on the word.
        [[nodiscard]] bool wake() const noexcept { return (by & sleeper_bit) != 0; }
        /// A worker waits for the token.
        [[nodiscard]] bool helper() const noexcept { return (by & helper_bit) != 0; }
        /// There are continuations.
        [[nodiscard]] bool followed() const noexcept { return (by & followed_bit) != 0; }
    };

    /// Sets the word before the token is shared: no other thread may see it yet.
    void start(token_state phase, std::uint32_t references) noexcept {
        // Relaxed: whoever gets the token gets it through a queue or a handle, which publish it.
        word_.store(pack(phase, references), std::memory_order_relaxed);
    }

    /// The phase. A terminal answer makes the result visible.
    [[nodiscard]] token_state phase() const noexcept {
        // Acquire: pairs with the release in finish().
        return phase_of(word_.load(std::memory_order_acquire));
    }

    /// The phase for those who ask for it: one that executes in name only waits.
    [[nodiscard]] token_state shown() const noexcept {
        // Acquire: as in phase(); and pairs with the release in end_placing().
        const std::uint32_t word = word_.load(std::memory_order_acquire);
        const bool in_name = (word & (doomed_bit | placing_bit)) != 0;
        return in_name && phase_of(word) == token_state::executing ? token_state::waiting
                                                                   : phase_of(word);
    }

    /// admitted -> executing, by whoever took the token out of its mailbox. False if somebody else
    /// was faster: then what came out is a husk, to be given up with release_husk().
    [[nodiscard]] bool begin_execution() noexcept {
        // Nobody else can reach a token that has no handle: the entry's reference, which is the
        // caller's, is the only one. Acquire: pairs with the release of who dropped the last
        // handle.
        if (word_.load(std::memory_order_acquire) == pack(token_state::admitted, 1)) {
            // Relaxed: nobody looks.
            word_.store(pack(token_state::executing, 1), std::memory_order_relaxed);
            return true;
        }
        return begin(0);
    }

    /// The same, where nobody but the caller can reach the token: it has taken its entry, and has
    /// in its hands what must be the only handle for this to succeed. No read-modify-write.
    [[nodiscard]] bool begin_alone() noexcept {
        // Acquire: pairs with the release of who dropped another handle.
        if (word_.load(std::memory_order_acquire) != pack(token_state::admitted, 2)) return false;
        // Relaxed: as in begin_execution().
        word_.store(pack(token_state::executing, 2), std::memory_order_relaxed);
        return true;
    }

    /// admitted -> executing, by a worker that leaves the mailbox's entry behind as a husk.
    [[nodiscard]] bool begin_execution_leaving_husk() noexcept { return begin(husk_bit); }

    /// What came of the turn of a token that waited for it.
    struct admitted {
        bool done = false;    ///< false: somebody has killed it, and what is left is a husk,
        bool aside = false;   ///< or it is paused, and was set aside, with its turn
        bool helper = false;  ///< a worker waits for the token, and may run it now
    };

    /// waiting -> admitted, by whoever puts the token into its mailbox: it is its turn, or it is no
    /// longer set aside.
    [[nodiscard]] admitted admit() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        bool paused = false;
        std::uint32_t next = 0;
        do {
            if (phase_of(word) != token_state::waiting) return {};
            paused = (word & paused_bit) != 0;
            next = paused ? word | aside_bit
                          : with_phase(word, token_state::admitted) & ~(aside_bit | listed_bit);
            // Release: pairs with the acquire in begin(); whoever begins the token in time knows
            // what its turn was passed on for (a runtime out of time).
        } while (!word_.compare_exchange_weak(word, next, std::memory_order_release,
                                              std::memory_order_relaxed));
        if (paused) return {.aside = true};
        return {.done = true, .helper = (word & helper_bit) != 0};
    }

    /// Keeps a token that has not begun from being begun. False: it has, or has ended.
    [[nodiscard]] bool pause() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if (!can_pause(word)) return false;
            // Relaxed: nothing is published; who begins the token decides by this word alone.
        } while (!word_.compare_exchange_weak(word, word | paused_bit, std::memory_order_relaxed));
        return true;
    }

    /// What became of a pause.
    struct resumed {
        bool paused = false;  ///< false: there was none, or the token was killed
        bool helper = false;  ///< a worker waits for the token, and may run it now
    };

    /// Ends a pause.
    [[nodiscard]] resumed resume() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if (!can_pause(word) || (word & paused_bit) == 0) return {};
            // Relaxed: as in pause().
        } while (!word_.compare_exchange_weak(word, word & ~paused_bit, std::memory_order_relaxed));
        return {.paused = true, .helper = (word & helper_bit) != 0};
    }

    /// True if it is paused, and has neither begun nor ended.
    [[nodiscard]] bool paused() const noexcept {
        // Relaxed: it may be over by now anyway.
        const std::uint32_t word = word_.load(std::memory_order_relaxed);
        return can_pause(word) && (word & paused_bit) != 0;
    }

    /// admitted -> waiting, by whoever took the token out of its mailbox and may not begin it: it
    /// is set aside and listed, with its turn, if it is serial, and without its credits. False if
    /// somebody else has begun it: then what came out is a husk.
    [[nodiscard]] bool set_aside() noexcept {
        return move_aside(token_state::admitted, listed_bit);
    }

    /// The same of one that was set aside before. False if somebody has killed it.
    [[nodiscard]] bool list() noexcept { return move_aside(token_state::waiting, listed_bit); }

    /// executing -> waiting, set aside, by the worker that has run it and has taken it off its
    /// execution stack: it is to run once more. False if somebody has ended it meanwhile.
    [[nodiscard]] bool put_back() noexcept { return move_aside(token_state::executing, 0); }

    /// Where a token is that a worker has begun in place, and that is to run once more.
    enum class left : std::uint8_t {
        to_entry,  ///< admitted: the husk is an entry again
        aside,     ///< waiting, set aside: its entry has come out meanwhile, and was given up
        ended,     ///< somebody has ended it
    };

    /// Leaves the token there, by a worker that has begun it in place and has taken it off its
    /// execution stack. If that is aside, the caller has got the reference of an entry.
    [[nodiscard]] left leave_to_entry() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        std::uint32_t next = 0;
        do {
            if (phase_of(word) != token_state::executing) return left::ended;
            next = (word & husk_bit) != 0
                       ? with_phase(word, token_state::admitted) & ~husk_bit
                       : (with_phase(word, token_state::waiting) | aside_bit) + one_reference;
            // Release: whoever begins it next knows what was done with it so far; acquire: as in
            // begin().
        } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
        return (word & husk_bit) != 0 ? left::to_entry : left::aside;
    }

    /// waiting, set aside -> executing, by whoever has taken it from where it was. False if it is
    /// paused(), or somebody has killed it: then it is a husk.
    [[nodiscard]] bool begin_aside() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if ((word & (phase_mask | paused_bit)) != pack(token_state::waiting, 0)) return false;
            assert((word & aside_bit) != 0);
            // Acquire: as in begin().
        } while (!word_.compare_exchange_weak(
            word, with_phase(word, token_state::executing) & ~(aside_bit | listed_bit),
            std::memory_order_acquire, std::memory_order_relaxed));
        return true;
    }

    /// waiting -> executing, by whoever has seen its inputs end: nobody else touches it until
    /// end_placing(), but for pauses; who ends it meanwhile leaves the rest to the caller. False if
    /// somebody has killed it: then it is a husk.
    [[nodiscard]] bool begin_placing() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if (phase_of(word) != token_state::waiting) return false;
            assert((word & aside_bit) == 0);
            // Acquire: as in begin().
        } while (!word_.compare_exchange_weak(
            word, with_phase(word, token_state::executing) | placing_bit, std::memory_order_acquire,
            std::memory_order_relaxed));
        return true;
    }

    /// executing -> admitted; waiting, if it is to be put in line; or set aside, if it is paused.
    /// Not done: somebody has ended it.
    [[nodiscard]] admitted end_placing(bool in_line) noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        std::uint32_t next = 0;
        bool aside = false;
        do {
            if (phase_of(word) != token_state::executing) return {};
            aside = (word & paused_bit) != 0 && !in_line;
            next = with_phase(word & ~placing_bit,
                              in_line || aside ? token_state::waiting : token_state::admitted);
            if (aside) next |= aside_bit;
            // Release: whoever begins it, or kills it, sees what was made of it; acquire: as above.
        } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
        return {.done = !aside, .aside = aside, .helper = (word & helper_bit) != 0};
    }

    /// What a token was when somebody began to kill it.
    struct condemned {
        token_state was;      ///< executing or a terminal phase: it was too late
        bool aside = false;   ///< it was set aside: it has its turn, but no credits
        bool listed = false;  ///< its backlog counts it
    };

    /// waiting or admitted -> executing, leaving the entry behind, by whoever kills the token:
    /// nobody else can run it, drop its arguments or kill it from now on. The phase that it had;
    /// executing or a terminal one if it was too late, killed also if somebody else is about to
    /// finish it so.
    [[nodiscard]] condemned begin_killing() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if (phase_of(word) >= token_state::executing) {
                const bool dying = (word & doomed_bit) != 0 && !is_terminal(phase_of(word));
                return {.was = dying ? token_state::killed : phase_of(word)};
            }
            // Acquire: as in begin(). The bit that said aside says doomed from now on.
        } while (!word_.compare_exchange_weak(
            word,
            (with_phase(word, token_state::executing) | husk_bit | doomed_bit) &
                ~(turn_over_bit | listed_bit),
            std::memory_order_acquire, std::memory_order_relaxed));
        return {.was = phase_of(word),
                .aside = (word & aside_bit) != 0,
                .listed = (word & listed_bit) != 0};
    }

    /// Claims the duty to pass the turn of a serial token on, at any time from when it is begun.
    /// True for one caller only.
    [[nodiscard]] bool end_turn() noexcept {
        // Relaxed: the strand hands its state over; this only chooses who calls it.
        return (word_.fetch_or(turn_over_bit, std::memory_order_relaxed) & turn_over_bit) == 0;
    }

    /// True if the token executes and the caller, who runs it and has taken it off its execution
    /// stack, is the only one who can reach it: it may be recycled without being finished.
    [[nodiscard]] bool unseen() const noexcept {
        // Acquire: pairs with the release of who dropped the last handle.
        return word_.load(std::memory_order_acquire) == pack(token_state::executing, 1);
    }

    /// executing -> `outcome`, for who has begun it alone and has taken it off its execution stack;
    /// gives up the runtime's reference. False if it was killed meanwhile. No read-modify-write.
    [[nodiscard]] bool finish_alone(token_state outcome) noexcept {
        // Acquire: pairs with the release of who killed it while it was on the stack.
        if (word_.load(std::memory_order_acquire) != pack(token_state::executing, 2)) return false;
        // Release: as in finish(), for handles that the only one is copied to.
        word_.store(pack(outcome, 1), std::memory_order_release);
        return true;
    }

    /// executing -> `outcome`, first writer wins. The winner may give up the runtime's reference in
    /// the same step. Of those who lose, one that meant to kill it asks for the phase, since its
    /// worker may have put it back.
    [[nodiscard]] finished finish(token_state outcome, bool drop_reference) noexcept {
        assert(is_terminal(outcome));
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        std::uint32_t next = 0;
        do {
            if (phase_of(word) != token_state::executing) return {};
            next = with_phase(word, outcome) & ~waiting_bits;
            if (drop_reference) next -= one_reference;
            // Release: publishes the result to phase() and wait; acquire: the last holder
            // recycles the node and must see what the others did with it.
        } while (!word_.compare_exchange_weak(word, next, std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
        return {.won = true, .last = references_of(next) == 0, .by = word & waiting_bits};
    }

    /// Adds a handle. The caller holds one already.
    void retain() noexcept {
        // Relaxed: the caller's own handle keeps the token alive, nothing is published.
        const std::uint32_t before = word_.fetch_add(one_reference, std::memory_order_relaxed);
        // One more handle than the word can count would free the token under the others.
        if (references_of(before) >= most_references) std::terminate();
    }

    /// Gives up a reference. True if it was the last: the caller recycles the token.
    [[nodiscard]] bool release() noexcept {
        // Nobody else can reach a token whose only reference is the caller's. Acquire: pairs with
        // the release of those who have let go.
        if (references_of(word_.load(std::memory_order_acquire)) == 1) return true;
        // Release: what this holder did comes before the recycling; acquire: for the one who does.
        const std::uint32_t before = word_.fetch_sub(one_reference, std::memory_order_acq_rel);
        assert(references_of(before) > 0);
        return references_of(before) == 1;
    }

    /// Gives up the mailbox's reference to a token that somebody else has begun. True if it was
    /// the last.
    [[nodiscard]] bool release_husk() noexcept {
        // Release and acquire: as in release().
        const std::uint32_t before =
            word_.fetch_sub(one_reference | husk_bit, std::memory_order_acq_rel);
        assert((before & husk_bit) != 0 && references_of(before) > 0);
        return references_of(before) == 1;
    }

    /// What became of what has come out of a mailbox, and could not be begun.
    struct given_up {
        bool done = false;  ///< false: it is no husk, or an entry again
        bool last = false;  ///< it was the last reference
    };

    /// The same if it is a husk still: a worker that has begun the token in place may leave it.
    [[nodiscard]] given_up release_if_husk() noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if ((word & husk_bit) == 0) return {};
            // Release and acquire: as in release().
        } while (!word_.compare_exchange_weak(word, word - (one_reference | husk_bit),
                                              std::memory_order_acq_rel,
                                              std::memory_order_relaxed));
        return {.done = true, .last = references_of(word) == 1};
    }

    /// Number of references at this moment, the mailbox's included.
    [[nodiscard]] std::uint32_t references() const noexcept {
        // Relaxed: a number to look at.
        return references_of(word_.load(std::memory_order_relaxed));
    }

    /// True if the runtime's reference is the only one. Its owner alone may ask; then it stays so.
    [[nodiscard]] bool unshared() const noexcept {
        // Acquire: pairs with the release of those who have let go.
        return references_of(word_.load(std::memory_order_acquire)) == 1;
    }

    /// True if a terminal token has one handle. Exact for the holder of that handle.
    [[nodiscard]] bool sole_handle() const noexcept {
        // Acquire: a sole holder takes the result over from those who let go.
        const std::uint32_t word = word_.load(std::memory_order_acquire);
        return references_of(word) == ((word & husk_bit) != 0 ? 2U : 1U);
    }

    /// Announces a thread that will sleep on the word. Returns the word to sleep on, or a terminal
    /// one if there is nothing to wait for.
    [[nodiscard]] std::uint32_t announce_sleeper() noexcept { return announce(sleeper_bit); }

    /// Announces a worker that waits for the token while it runs others.
    [[nodiscard]] std::uint32_t announce_helper() noexcept { return announce(helper_bit); }

    /// Announces a continuation.
    [[nodiscard]] std::uint32_t announce_follower() noexcept { return announce(followed_bit); }

    /// The word itself, for the futex.
    [[nodiscard]] atomic<std::uint32_t>& futex() noexcept { return word_; }

    /// The phase inside a word.
    [[nodiscard]] static token_state phase_of(std::uint32_t word) noexcept {
        return static_cast<token_state>(word & phase_mask);
    }

  private:
    static constexpr std::uint32_t phase_mask = 7;
    static constexpr std::uint32_t sleeper_bit = 8;
    static constexpr std::uint32_t helper_bit = 16;
    static constexpr std::uint32_t husk_bit = 32;
    static constexpr std::uint32_t doomed_bit = 64;
    static constexpr std::uint32_t aside_bit = 64;  ///< while it waits
    static constexpr std::uint32_t turn_over_bit = 128;
    static constexpr std::uint32_t paused_bit = 128;  ///< before it executes
    static constexpr std::uint32_t followed_bit = 256;
    static constexpr std::uint32_t waiting_bits = sleeper_bit | helper_bit | followed_bit;
    static constexpr std::uint32_t placing_bit = 512;
    static constexpr std::uint32_t listed_bit = 512;  ///< while it waits
    static constexpr std::uint32_t one_reference = 1024;
    static constexpr std::uint32_t most_references = (1U << 22U) - 1024;

    static std::uint32_t pack(token_state phase, std::uint32_t references) noexcept {
        return static_cast<std::uint32_t>(phase) | (references * one_reference);
    }
    static std::uint32_t with_phase(std::uint32_t word, token_state phase) noexcept {
        return (word & ~phase_mask) | static_cast<std::uint32_t>(phase);
    }
    // It waits, or is about to.
    static bool can_pause(std::uint32_t word) noexcept {
        const token_state phase = phase_of(word);
        return phase < token_state::executing ||
               (phase == token_state::executing && (word & placing_bit) != 0);
    }
    static std::uint32_t references_of(std::uint32_t word) noexcept { return word / one_reference; }

    bool begin(std::uint32_t extra_bit) noexcept {
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            if ((word & (phase_mask | paused_bit)) != pack(token_state::admitted, 0)) return false;
            // Acquire: pairs with the release of whoever changed the word last (a dropped handle).
        } while (
            !word_.compare_exchange_weak(word, with_phase(word, token_state::executing) | extra_bit,
                                         std::memory_order_acquire, std::memory_order_relaxed));
        return true;
    }

    bool move_aside(token_state from, std::uint32_t extra_bit) noexcept {
        const std::uint32_t to = pack(token_state::waiting, 0) | aside_bit | extra_bit;
        std::uint32_t word = word_.load(std::memory_order_relaxed);
        do {
            const bool doomed = from == token_state::executing && (word & doomed_bit) != 0;
            if (phase_of(word) != from || doomed) return false;
            // Release: whoever takes it from there begins it, or kills it, knows what was done with
            // it so far; acquire: as in begin().
        } while (!word_.compare_exchange_weak(
            word, (word & ~phase_mask) | to, std::memory_order_acq_rel, std::memory_order_relaxed));
        return true;
    }

    std::uint32_t announce(std::uint32_t bit) noexcept {
        std::uint32_t word = word_.load(std::memory_order_acquire);
        // Acquire: a terminal word makes the result visible, as in phase(). The bit and the phase
        // share one word, so finish() either sees the bit or has happened before.
        while (!is_terminal(phase_of(word)) && (word & bit) == 0) {
            if (word_.compare_exchange_weak(word, word | bit, std::memory_order_acq_rel,
                                            std::memory_order_acquire)) {
                return word | bit;
            }
        }
        return word;
    }

    atomic<std::uint32_t> word_{0};
};

static_assert(sizeof(state_word) == 4, "the futex system call takes a 32-bit word");

}  // namespace detail
}  // namespace tokengate
