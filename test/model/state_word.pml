// SPDX-License-Identifier: Apache-2.0
// The state word of one token: lib/token/README.md explains it with the same words; the code is in
// include/tokengate/detail/state_word.hpp.
//
// What is proved, for every interleaving of the worker that takes the token's entry, a worker that
// waits for it and may begin it in place, somebody who kills it, somebody who pauses it, and
// threads that sleep until it has ended:
//   - it ends once, and is recycled once, by whoever gives up the last reference;
//   - nobody touches it after that;
//   - while it is paused nobody begins it;
//   - its entry is given up once, run or husk;
//   - it ends, whoever sleeps is woken and sees that, and nobody is busy for ever (`ltl`; who
//     sleeps for ever is an invalid end state, too).
//
// Each read-modify-write is one step; loads that decide without one (a token that nobody else can
// reach) are steps of their own.
//
// Sizes: -DATTEMPTS=n: so often the entry's worker runs it; it is put back in between. -DHELPER,
// -DKILLER, -DPAUSER, -DSLEEPERS=1..2: who is there; each has a handle. -DFOREVER: the pause
// does not end, so that a killer must.

#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef SLEEPERS
#define SLEEPERS 0
#endif

mtype = { waiting, admitted, executing, ended };

// The word.
mtype phase = admitted;
bool sleeper = false;
bool husk = false;
bool doomed = false;
bool aside = false;
bool paused = false;
byte refs = 1;          // the entry's

// All of it, as the kernel compares it.
#define word \
    (phase + 8 * sleeper + 16 * husk + 32 * doomed + 64 * aside + 128 * paused + 256 * refs)

bool entry = true;      // it has not been given up
bool in_lane = true;    // where the entry is: its mailbox,
bool kept = false;      // or the list of those that are set aside
byte asleep = 0;        // in the kernel, one bit a thread
bool held_back = false; // a pause has succeeded, and is not over
byte ends = 0;
byte recycled = 0;
bool over = false;      // everybody is through

inline touch() { assert(recycled == 0) }
inline recycle() { atomic { recycled++; assert(recycled == 1) } }

inline release(seen) {
    atomic { touch(); seen = refs };
    if
    :: seen == 1 -> recycle()
    :: else ->
        atomic { touch(); refs--; seen = refs };
        if
        :: seen == 0 -> recycle()
        :: else
        fi
    fi
}

inline release_entry(seen) {
    atomic { assert(entry); entry = false };
    release(seen)
}

inline drop_husk(seen) {
    atomic { touch(); assert(husk && entry); husk = false; entry = false; refs--; seen = refs };
    if
    :: seen == 0 -> recycle()
    :: else
    fi
}

inline wake_all() {
#ifdef BROKEN_WAKES_ONE
    atomic {
        if
        :: asleep & 1 -> asleep = asleep & ~1
        :: asleep & 2 -> asleep = asleep & ~2
        :: else
        fi
    }
#else
    asleep = 0
#endif
}

// `last` says that the runtime's reference, given up in the same step, was the last one.
inline finish(with_reference, won, woken, seen) {
    atomic {
        touch();
        seen = 1;
#ifdef BROKEN_ENDS_AGAIN
        if
        :: true ->
#else
        if
        :: phase == executing ->
#endif
            phase = ended;
            ends++;
            assert(ends == 1);
            won = true;
            woken = sleeper;
            sleeper = false;
            if
            :: with_reference -> assert(entry); entry = false; refs--; seen = refs
            :: else
            fi
        :: else -> won = false; woken = false
        fi
    };
    if
    :: woken -> wake_all()
    :: else
    fi;
    if
    :: won && seen == 0 -> recycle()
    :: else
    fi
}

#ifdef BROKEN_PAUSE_IS_IGNORED
#define may_begin true
#else
#define may_begin !paused
#endif

// admitted -> executing
inline begin(leave_husk, done) {
    atomic {
        touch();
        done = phase == admitted && may_begin;
        if
        :: done -> assert(!held_back); phase = executing; husk = husk || leave_husk
        :: else
        fi
    }
}

inline execute(attempts, won, woken, seen) {
    attempts++;
    if
    :: attempts < ATTEMPTS ->
        atomic {
            touch();
#ifdef BROKEN_PUT_BACK_AFTER_THE_END
            won = true;
#else
            won = phase == executing && !doomed;
#endif
            if
            :: won -> phase = waiting; aside = true; kept = true
            :: else
            fi
        };
        if
        :: won
        :: else -> release_entry(seen)   // killed while it ran
        fi
    :: else ->
        finish(true, won, woken, seen);
        if
        :: won
        :: else -> release_entry(seen)
        fi
    fi
}

// Takes what is in the lane, and what is kept and not paused; as several workers would, in turn.
proctype entry_worker() {
    byte attempts = 0;
    byte seen;
    bool done, alone, won, woken;
    do
    :: atomic { in_lane -> in_lane = false };
        // Nobody else can reach a token whose only reference is the entry's.
        atomic {
            touch();
#ifdef BROKEN_BEGUN_ALONE_WITH_A_HANDLE
            alone = phase == admitted && !paused && !husk
#else
            alone = phase == admitted && !paused && !husk && !sleeper && refs == 1
#endif
        };
        if
        :: alone -> atomic { phase = executing; husk = false }; done = true
        :: else -> begin(false, done)
        fi;
        if
        :: done -> execute(attempts, won, woken, seen)
        :: else ->
            atomic {
                touch();
                if
                :: phase == admitted -> phase = waiting; aside = true; kept = true; won = true
                :: else -> won = false
                fi
            };
            if
            :: won
            :: else -> drop_husk(seen)
            fi
        fi
    :: atomic { kept && (!paused || phase != waiting) -> kept = false };
        atomic {
            touch();
            done = phase == waiting && may_begin;
            if
            :: done -> assert(!held_back && aside); phase = executing; aside = false
            :: else
            fi
        };
        if
        :: done -> execute(attempts, won, woken, seen)
        :: else ->
            // Paused since, and perhaps resumed again; or killed.
#ifdef BROKEN_HUSK_IS_KEPT
            won = false;
#else
            atomic { touch(); won = husk };
#endif
            if
            :: won -> drop_husk(seen)
            :: else -> kept = true
            fi
        fi
    :: atomic { !entry -> break }
    od
}

inline kill_it(won, woken, was, seen) {
    do
    :: atomic {
            touch();
            was = phase;
            if
            :: phase == waiting || phase == admitted ->
                phase = executing;
                doomed = true;
                aside = false;
#ifndef BROKEN_KILLER_LEAVES_NO_HUSK
                husk = true
#endif
            :: else
            fi
        };
        if
        :: was == ended -> break
        :: else ->
            finish(false, won, woken, seen);
            if
            :: won -> break
            :: else -> assert(was == executing)  // put back meanwhile: again
            fi
        fi
    od
}

// The futex call: the kernel compares the word with what was seen, and sleeps in the same step.
inline futex_wait(expected) {
    atomic {
        touch();
        if
        :: word == expected -> asleep = asleep | (1 << me)
        :: else
        fi
    };
    !(asleep & (1 << me))
}

inline sleep_until_it_has_ended(ended_by_now, expected) {
    do
    :: atomic {
            touch();
            ended_by_now = phase == ended;
#ifndef BROKEN_ANNOUNCED_IN_TWO_STEPS
            if
            :: !ended_by_now -> sleeper = true; expected = word
            :: else
            fi
#endif
        };
        if
        :: ended_by_now -> break
        :: else
        fi;
#ifdef BROKEN_ANNOUNCED_IN_TWO_STEPS
        atomic { touch(); sleeper = true; expected = word };
#endif
#ifdef BROKEN_WORD_IS_NOT_READ_AGAIN
        do
        :: futex_wait(expected)
        od;
#else
        futex_wait(expected);
#endif
        expected = 0
    od
}

#ifdef HELPER
proctype helper() {
    bool done, won, woken;
    byte seen;
    begin(true, done);
    if
    :: done -> finish(false, won, woken, seen)
    :: else
    fi;
    release(seen)
}
#endif

#ifdef KILLER
proctype killer() {
    bool won, woken;
    mtype was;
    byte seen;
    kill_it(won, woken, was, seen);
    release(seen)
}
#endif

#ifdef PAUSER
proctype pauser() {
    byte seen;
    atomic {
        touch();
        if
        :: phase == waiting || phase == admitted -> paused = true; held_back = true
        :: else
        fi
    };
#ifndef FOREVER
    atomic {
        touch();
        held_back = false;
        if
        :: phase == waiting || phase == admitted -> paused = false
        :: else
        fi
    };
#endif
    release(seen)
}
#endif

proctype sleeping(byte me) {
    bool ended_by_now;
    short expected = 0;
    byte seen;
    sleep_until_it_has_ended(ended_by_now, expected);
    release(seen)
}

init {
    atomic {
#ifdef HELPER
        refs++;
        run helper();
#endif
#ifdef KILLER
        refs++;
        run killer();
#endif
#ifdef PAUSER
        refs++;
        run pauser();
#endif
#if SLEEPERS > 0
        refs++;
        run sleeping(0);
#endif
#if SLEEPERS > 1
        refs++;
        run sleeping(1);
#endif
        run entry_worker()
    }
    timeout;  // true when no other process can move
    assert(asleep == 0);
    assert(ends == 1);
    assert(recycled == 1);
    assert(!entry && !husk);
    over = true
}

ltl all_get_through { <> over }
