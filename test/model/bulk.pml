// SPDX-License-Identifier: Apache-2.0
// A share of a bulk: workers that run its stretches, and those who kill it meanwhile.
// lib/domain/bulk.md explains it with the same words; lib/domain/stretch.cpp, share.cpp and
// include/tokengate/detail/bulk_frame.hpp are the code.
//
// What is proved, for every interleaving:
//   - each element is begun at most once and ended (counted) exactly once, and its arguments go
//     exactly once, by running or without (asserts in `begin`, `ends`, `drops`, and in `init`);
//   - no element begins once a kill() that ended the share has come back (assert in `decides`; a
//     worker that has looked whether it may begin one executes it);
//   - an element that says it has completed was not counted as killed (assert in `init`);
//   - nobody touches the share when its last reference is gone (asserts in `touch`), and it goes;
//   - it becomes terminal, and leaves its chain once, when nothing of it runs (`init`, `leaves`).
//
// Workers take entries; with -DWAITER the last one waits for the share instead and claims stretches
// without an entry. Callables may run for ever (-DFOREVER: an element may stay inside until all
// others have come to rest). Killers hold a handle; with -DSTOP the last one is a runtime out of
// time, which has none: it takes entries, and looks at what workers run.
//
// Each access to what threads share is one step. What a worker stores for onlookers (its frame, the
// states of elements) stays in its store buffer until it makes a read-modify-write, or at any time
// before, in order, as on x86. A light fence does nothing here. A heavy fence empties the buffer.
//
// Sizes: -DSTRETCHES=n -DLENGTH=n -DWORKERS=1..3 -DKILLERS=0..2.

#ifndef STRETCHES
#define STRETCHES 2
#endif
#ifndef LENGTH
#define LENGTH 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef KILLERS
#define KILLERS 1
#endif
#define ELEMENTS (STRETCHES * LENGTH)

#ifdef WAITER
#define waits(w) (w == WORKERS - 1)
#define handles (KILLERS_WITH_HANDLE + 1)
#else
#define waits(w) false
#define handles KILLERS_WITH_HANDLE
#endif
#ifdef STOP
#define KILLERS_WITH_HANDLE (KILLERS - 1)
#define stops(k) (k == KILLERS - 1)
#else
#define KILLERS_WITH_HANDLE KILLERS
#define stops(k) false
#endif

// The share.
byte cursor = 0;
byte entries = STRETCHES;                // in a lane
byte references = STRETCHES + handles;
byte elements_left = ELEMENTS, stretches_left = STRETCHES;  // one word
bool terminal = false, killed = false;
byte left_chain = 0;
bool recycled = false;

// What workers run: as others see it, and as the worker does.
bool frame[WORKERS] = false, own_frame[WORKERS] = false;
byte next[WORKERS] = 0, own_next[WORKERS] = 0;  // the first element whose state is "not ended",
bool mark[WORKERS] = false, own_mark[WORKERS] = false;  // or "executing": it has returned
byte first_of[WORKERS] = 0, last_of[WORKERS] = 0, end_of[WORKERS] = 0;
byte onlookers[WORKERS] = 0;

// For the properties.
byte begun[ELEMENTS] = 0, ended[ELEMENTS] = 0, dropped[ELEMENTS] = 0;
bool says_completed[ELEMENTS] = false, died[ELEMENTS] = false;
bool kill_is_back = false;
byte over = 0;  // workers and killers that have come to their ends

// --- memory ---------------------------------------------------------------------------------------

inline drain(w) { next[w] = own_next[w]; mark[w] = own_mark[w] }
inline flush(w) { d_step { frame[w] = own_frame[w]; drain(w) } }

proctype store_buffer(byte w) {
end_buffer:
    do
    // In order: a frame comes before its states, and goes after them.
    :: d_step { own_frame[w] && !frame[w] ->
        frame[w] = true;
        next[w] = first_of[w];
        mark[w] = false }
    :: d_step { own_frame[w] == frame[w] && (next[w] != own_next[w] || mark[w] != own_mark[w]) ->
        drain(w) }
    :: d_step { !own_frame[w] && frame[w] -> drain(w); frame[w] = false }
    od
}

#ifdef BROKEN_NO_HEAVY_FENCE
inline heavy_fence(w) { skip }
#else
inline heavy_fence(w) { flush(w) }
#endif

// --- what can happen to a share -------------------------------------------------------------------

inline touch() { assert(!recycled) }

inline drops(i) { dropped[i]++; assert(dropped[i] == 1) }

// The worker has made up its mind to begin the next element: from here on it executes.
inline decides() { assert(!kill_is_back) }

inline begin(i) {
    begun[i]++;
    assert(begun[i] == 1);
    drops(i)
}

// Inside d_step: counts elements [from, to).
inline ends(from, to) {
    for (i : 1 .. ELEMENTS) {
        if
        :: i > from && i <= to -> ended[i - 1]++; assert(ended[i - 1] == 1)
        :: else
        fi
    }
    i = 0
}

inline drop_arguments(from, to) {
    for (i : 1 .. ELEMENTS) {
        if
        :: i > from && i <= to -> drops(i - 1)
        :: else
        fi
    }
    i = 0
}

// Inside d_step: these are counted as killed.
inline die(from, to) {
    for (i : 1 .. ELEMENTS) {
        if
        :: i > from && i <= to -> died[i - 1] = true
        :: else
        fi
    }
    i = 0
}

inline leaves() { left_chain++; assert(left_chain == 1) }

// One read-modify-write, and what follows from it.
inline end_elements(elements, stretches) {
    d_step {
        touch();
        elements_left = elements_left - (elements);
        stretches_left = stretches_left - (stretches);
        last_element = (elements) > 0 && elements_left == 0;
        if
        :: (stretches) > 0 && stretches_left == 0 -> leaves()
        :: else
        fi
    }
    if
    :: last_element -> d_step { touch(); terminal = true }
    :: else
    fi
}

inline drop_reference() {
    d_step {
        touch();
        references--;
        if
        :: references == 0 -> recycled = true; assert(terminal)
        :: else
        fi
    }
}

// --- a worker -------------------------------------------------------------------------------------

inline claim() {
#ifdef BROKEN_CLAIM_IN_TWO_STEPS
    touch();
    number = cursor;
    if
    :: number < STRETCHES -> cursor = number + 1
    :: else -> number = STRETCHES
    fi;
    flush(w)
#else
    d_step {
        touch();
        if
        :: cursor < STRETCHES -> number = cursor; cursor++
        :: else -> number = STRETCHES
        fi;
        frame[w] = own_frame[w];
        drain(w)
    }
#endif
}

// The element's callable has returned. It says so, and waits until nobody looks.
inline look_for_onlookers() {
#if !defined(BROKEN_COMPLETED_BEFORE_LOOK) && !defined(BROKEN_NO_MARK)
    own_mark[w] = true;
#endif
#ifndef BROKEN_NO_LOOK_BETWEEN
    do
    :: onlookers[w] == 0 -> break
    :: onlookers[w] != 0 ->
#if !defined(BROKEN_COMPLETED_BEFORE_LOOK) && !defined(BROKEN_NO_MARK)
        own_mark[w] = false;
        onlookers[w] == 0;
        d_step { own_mark[w] = true; frame[w] = own_frame[w]; drain(w) }
#else
        onlookers[w] == 0
#endif
    od;
    skip
#endif
}

inline completes() { d_step { own_next[w] = at + 1; own_mark[w] = false; says_completed[at] = true } }

inline run_elements() {
    at = first;
    do
    :: true ->
        d_step { touch(); begin(at) }
#ifdef FOREVER
        if
        :: true
        :: timeout -> skip  // it comes back when nothing else can move
        fi;
#endif
#ifdef BROKEN_COMPLETED_BEFORE_LOOK
        completes();
#endif
#ifdef BROKEN_END_BEFORE_LOOK
        until = end_of[w];
        look_for_onlookers();
#else
        look_for_onlookers();
        d_step {
            until = end_of[w];
            if
            :: at + 1 < until -> decides()
            :: else
            fi
        }
#endif
        if
        :: until <= at -> d_step { own_mark[w] = false; at++ } break
        :: else -> completes(); at++
        fi;
        if
        :: at >= until -> break
        :: else
        fi
    od
}

inline run_stretch() {
    d_step {
        first = number * LENGTH;
        last = first + LENGTH;
        first_of[w] = first;
        last_of[w] = last;
        end_of[w] = last;
        own_next[w] = first;
        own_mark[w] = false;
        own_frame[w] = true;
        at = first;
        dead = false
    }
#ifdef BROKEN_NO_LOOK_AFTER_PUSH
    decides();
    run_elements();
#else
    if
    :: d_step { terminal -> touch();
        // A read-modify-write.
        frame[w] = own_frame[w];
        drain(w);
        if
        :: end_of[w] == last -> end_of[w] = first; dead = true
        :: else
        fi }
    :: d_step { !terminal -> touch() } run_elements()
    fi;
#endif
    own_frame[w] = false;
    if
    :: onlookers[w] == 0
    :: onlookers[w] != 0 -> onlookers[w] == 0
    fi;
    until = end_of[w];
#ifdef BROKEN_DROPPED_TOO_EARLY
    if
    :: !waits(w) -> drop_reference()
    :: else
    fi;
#endif
    if
    :: dead ->
        d_step { killed = true; drop_arguments(first, last); ends(first, last); die(first, last) }
        end_elements(last - first, 1)
    :: !dead && until == last ->
        d_step { ends(first, last) }
        end_elements(last - first, 1)
    :: !dead && until != last ->
        // Somebody has taken over; what it was at is its own.
        d_step {
            skip;
#ifndef BROKEN_HELD_ONE_IS_LOST
            if
            :: at == until -> drops(until)
            :: else
            fi;
#endif
#ifdef BROKEN_ENDS_WHAT_WAS_TAKEN
            ends(first, until)
#endif
        }
        end_elements(0, 1)
    fi;
    d_step { frame[w] = own_frame[w]; drain(w); until = 0; last = 0; first = 0; at = 0 }
}

proctype worker(byte w) {
    byte number = 0, first = 0, last = 0, at = 0, until = 0, i = 0;
    bool dead = false, last_element = false;
    do
    :: waits(w) ->
        claim();
        if
        :: number < STRETCHES -> run_stretch()
        :: else -> break
        fi
    :: !waits(w) ->
        if
        :: d_step { entries > 0 -> entries-- }
        :: d_step { entries == 0 -> skip } break
        fi;
        claim();
        if
        :: number < STRETCHES -> run_stretch()
        :: else
        fi;
#ifdef BROKEN_DROPPED_TOO_EARLY
        if
        :: number >= STRETCHES -> drop_reference()
        :: else
        fi;
#else
        drop_reference();
#endif
    od;
    if
    :: waits(w) ->
        // The handle's; it may go before the end, as any handle.
        drop_reference()
    :: else
    fi;
    over++
}

// --- somebody who kills ---------------------------------------------------------------------------

inline declare_killed(won) {
    d_step { touch(); won = !terminal; killed = killed || won; terminal = true }
}

inline claim_rest() {
    d_step {
        touch();
        from = cursor * LENGTH;
        stretches = (cursor < STRETCHES -> STRETCHES - cursor : 0);
        if
        :: cursor < STRETCHES -> cursor = STRETCHES
        :: else
        fi
    }
}

inline kill_rest() {
    if
    :: stretches > 0 ->
        d_step { drop_arguments(from, ELEMENTS); ends(from, ELEMENTS); die(from, ELEMENTS) }
        end_elements(ELEMENTS - from, stretches)
    :: else
    fi
}

inline look_at(w) {
    taken = false;
    if
    // Somebody who runs nothing is not held: but who is asked only then was made to show what he
    // runs before.
    :: !frame[w] -> skip
    :: frame[w] ->
    onlookers[w]++;
    heavy_fence(w);
    if
    :: frame[w] ->
#ifndef BROKEN_MARK_IS_IGNORED
        d_step { !mark[w] -> at = next[w] }
#else
        at = next[w];
#endif
#ifdef BROKEN_TAKEN_BY_STORE
        if
        :: at < last_of[w] && end_of[w] == last_of[w] -> end_of[w] = at; taken = true
        :: else
        fi;
#else
        d_step {
            if
            :: at < last_of[w] && end_of[w] == last_of[w] -> end_of[w] = at; taken = true
            :: else
            fi
        }
#endif
        if
        :: taken ->
            d_step {
                first = first_of[w];
                last = last_of[w];
#ifndef BROKEN_NOT_RETAINED
                touch();
                references++
#endif
            }
        :: else
        fi
    :: !frame[w]
    fi;
    onlookers[w]--
    fi;
    if
    :: taken ->
        declare_killed(won_again);
        d_step { drop_arguments(at + 1, last); ends(first, last); die(at, last) }
        end_elements(last - first, 0);
#ifndef BROKEN_NOT_RETAINED
        drop_reference()
#endif
    :: else
    fi;
    d_step { at = 0; first = 0; last = 0; taken = false }
}

inline look_at_all() {
#ifndef BROKEN_NO_FENCE_BEFORE_ALL
    // One heavy fence for all.
    for (each : 0 .. WORKERS - 1) { heavy_fence(each) }
#endif
    for (each : 0 .. WORKERS - 1) { look_at(each) }
    each = 0
}

proctype killer(byte k) {
    byte from = 0, stretches = 0, at = 0, first = 0, last = 0, each = 0, i = 0;
    bool won = false, won_again = false, taken = false, last_element = false;
    if
    :: stops(k) ->
        // An entry, if there is one; and once round the workers.
        if
        :: d_step { entries > 0 -> entries-- }
            claim_rest();
            if
            :: stretches > 0 -> declare_killed(won_again)
            :: else
            fi;
            kill_rest();
            drop_reference()
        :: true
        fi;
        look_at_all()
    :: !stops(k) ->
        declare_killed(won);
        if
        :: won ->
            claim_rest();
            kill_rest();
            look_at_all();
            kill_is_back = true
        :: else
        fi;
        drop_reference()
    fi;
    over++
}

// --- the properties -------------------------------------------------------------------------------

init {
    byte n = 0;
    atomic {
        for (n : 0 .. WORKERS - 1) { run worker(n); run store_buffer(n) }
#if KILLERS > 0
        for (n : 0 .. KILLERS - 1) { run killer(n) }
#endif
        n = 0
    }
    over == WORKERS + KILLERS;
    assert(terminal && recycled && references == 0 && entries == 0);
    assert(elements_left == 0 && stretches_left == 0 && left_chain == 1);
    for (n : 0 .. ELEMENTS - 1) {
        assert(ended[n] == 1 && dropped[n] == 1);
        assert(!(says_completed[n] && died[n]))
    }
    assert(killed || begun[0] == 1)
}
