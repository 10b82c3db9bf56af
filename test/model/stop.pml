// SPDX-License-Identifier: Apache-2.0
// The end of a runtime: threads that submit, one that stops, two workers that leave, and somebody
// who kills what executes. lib/gate/README.md explains it with the same words; the code is in
// lib/gate/gate.cpp (commit) and lib/runtime.cpp (stop, closed).
//
// What is proved, for every interleaving:
//   - no token waits when the workers have gone, and every token that was accepted has ended (the
//     asserts in `init`);
//   - stop comes to its end, and so do the workers (`ltl`);
//   - where it sleeps, somebody tells it when there is nothing left to wait for (the same; and the
//     first of the asserts).
//
// Each access to what threads share is one step. What a submitter counts stays in its store buffer
// until it makes a fence or a read-modify-write, or at any time before, as on x86; a push ends with
// one. A light fence does nothing here. A heavy fence empties the buffers of all threads, one after
// the other.
//
// Sizes: -DOUTSIDE=n: threads that submit from outside, one token each. -DINSIDE=n: a token that
// was accepted before calls an operation while it executes, the token of which does the same, and
// so on, n times; each goes to the other worker. -DKILLS=n: tokens that may be killed while they
// execute. -DNO_LAST_LOOK: stop believes what it finds while it drains. It may, as the search shows;
// that `closing` looks again is a second line of defence, which hides half of the mistakes.
// -DSLEEPS: stop sleeps until it is told to look again; else it looks again and again, as with
// wake-ups for no reason, and comes to its end under weak fairness.

#ifndef OUTSIDE
#define OUTSIDE 2
#endif
#ifndef INSIDE
#define INSIDE 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

mtype = { open, draining, closing, stopped };
mtype phase = open;

#define workers OUTSIDE  // the first of the two worker threads

byte counted[4] = 0;     // tokens that each thread has accepted, as others see it
byte own_count[4] = 0;   // the same, as it sees it itself
byte finished[2] = 0;    // counted by each worker
byte killed = 0;         // counted by who killed them

// What waits for each worker.
byte plain = 0;          // for the first: tokens that call nothing
bool caller[2] = false;  // a token that may call
byte calls_left[2] = 0;  // so often, it and those that come of it

bool live[2] = false;    // what executes there has not ended
byte kills = 0;
byte gone = 0;           // workers

// The event count on which stop sleeps (event_count.pml takes it apart).
bool announced = false;  // stop sleeps, or is about to
bool told = false;       // since then

// --- memory ---------------------------------------------------------------------------------------

inline full_fence(t) { counted[t] = own_count[t] }

proctype store_buffers() {
end:
    do
    :: d_step { counted[0] != own_count[0] -> full_fence(0) }
    :: d_step { counted[1] != own_count[1] -> full_fence(1) }
    :: d_step { counted[2] != own_count[2] -> full_fence(2) }
    :: d_step { counted[3] != own_count[3] -> full_fence(3) }
    od
}

#ifdef BROKEN_NO_HEAVY_FENCE
inline heavy_fence() { skip }
#else
inline heavy_fence() {
    full_fence(0);
    full_fence(1);
    full_fence(2);
    full_fence(3)
}
#endif

// After a full fence, or a read-modify-write.
#ifdef SLEEPS
inline tell_quiet() { told = announced }
#else
inline tell_quiet() { skip }
#endif

inline enter(next) {
#ifdef BROKEN_FENCE_FIRST
    heavy_fence();
    phase = next
#else
    phase = next;
    heavy_fence()
#endif
}

// --- a call ---------------------------------------------------------------------------------------

inline count(t) { own_count[t]++ }

// The call's token has been counted; `seen` is the phase that was read. `alive`: a token executes
// here, and has not been killed.
inline admit_or_throw(t, alive) {
    if
    :: seen == open -> accepted = true
    :: else ->
#ifndef BROKEN_NO_FENCE_INSIDE
        full_fence(t);
#endif
        seen = phase;
        if
        :: seen == open -> accepted = true
        :: seen == draining || seen == closing -> accepted = alive
        :: else -> accepted = false
        fi;
        if
        :: accepted
        :: else ->
#ifndef BROKEN_NOT_TAKEN_BACK
            d_step { own_count[t]--; full_fence(t) }
#endif
#ifndef BROKEN_REFUSED_TELLS_NOBODY
            tell_quiet()
#endif
        fi
    fi
}

#ifdef BROKEN_LOOK_FIRST
inline look_and_count(t) { seen = phase; count(t) }
#else
inline look_and_count(t) { count(t); seen = phase }
#endif

proctype submitter(byte me) {
    mtype seen;
    bool accepted = false;
    look_and_count(me);
    admit_or_throw(me, false);
    if
    :: accepted -> d_step { full_fence(me); plain++ }
    :: else
    fi
}

// --- a worker -------------------------------------------------------------------------------------

inline execute() {
    live[me] = true;
    if
    :: calls > 0 ->
        look_and_count(workers + me);
        admit_or_throw(workers + me, live[me]);
        if
        :: accepted ->
            d_step {
                full_fence(workers + me);
                caller[1 - me] = true;
                calls_left[1 - me] = calls - 1
            }
        :: else
        fi;
        accepted = false
    :: true
    fi;
    // It ends before it is counted.
    if
    :: d_step { live[me] -> live[me] = false }
        finished[me]++
    :: d_step { !live[me] -> skip }
    fi;
    calls = 0
}

proctype worker(byte me) {
    mtype seen;
    bool accepted = false;
    byte calls = 0;
    do
    :: d_step { caller[me] -> caller[me] = false; calls = calls_left[me]; calls_left[me] = 0 }
        execute()
    :: d_step { me == 0 && plain > 0 -> plain-- }
        execute()
    :: !caller[me] && !(me == 0 && plain > 0) ->
        // Found nothing. Tokens may come before it looks at the phase.
#ifndef BROKEN_WORKER_TELLS_NOBODY
        tell_quiet();
#endif
        if
        :: phase == stopped -> break
        :: phase != stopped && (caller[me] || me == 0 && plain > 0)
        fi
    od;
    gone++
}

// --- who kills what executes ----------------------------------------------------------------------

inline ended_by_kill() {
#ifndef BROKEN_KILL_IS_NOT_COUNTED
    killed++;
#endif
#ifndef BROKEN_KILLER_TELLS_NOBODY
    tell_quiet()
#else
    skip
#endif
}

proctype killer() {
end:
    do
    :: d_step { live[0] && kills < KILLS -> live[0] = false; kills++ }
        ended_by_kill()
    :: d_step { live[1] && kills < KILLS -> live[1] = false; kills++ }
        ended_by_kill()
    od
}

// --- stop -----------------------------------------------------------------------------------------

// What has finished first, what was accepted second.
inline add_finished() {
    ended = finished[0];
    ended = ended + finished[1];
    ended = ended + killed
}
inline add_accepted() {
    sum = counted[0];
    sum = sum + counted[1];
    sum = sum + counted[2];
    sum = sum + counted[3]
}
#ifdef BROKEN_ACCEPTED_FIRST
inline is_idle() { add_accepted(); add_finished() }
#else
inline is_idle() { add_finished(); add_accepted() }
#endif

// Where it says that it will look for what has finished, and sleep if there is more to come.
#ifdef SLEEPS
inline announce() { d_step { announced = true; told = false } }
inline wait_until_told() { d_step { told -> announced = false; told = false } }
#else
inline announce() { skip }
inline wait_until_told() { skip }
#endif

proctype stop() {
    byte ended = 0, sum = 0;
    enter(draining);
    do
    :: true ->
#ifdef BROKEN_ANNOUNCED_LATE
        is_idle();
        announce();
#else
        announce();
        is_idle();
#endif
        if
        :: sum == ended -> d_step { announced = false; told = false }
        :: else ->
            wait_until_told();
            goto again
        fi;
#ifdef NO_LAST_LOOK
        break;
#else
        enter(closing);
        is_idle();
        if
        :: sum == ended -> break
        :: else -> enter(draining)
        fi;
#endif
again:
        ended = 0;
        sum = 0
    od;
    phase = stopped
}

// --- the properties -------------------------------------------------------------------------------

init {
    byte i = 0;
    atomic {
        own_count[workers] = 1;
        counted[workers] = 1;
        caller[0] = true;
        calls_left[0] = INSIDE;
        run store_buffers();
        run worker(0);
        run worker(1);
        run killer();
        run stop();
#if OUTSIDE > 0
        for (i : 1 .. OUTSIDE) { run submitter(i - 1) }
        i = 0
#endif
    }
    timeout;  // true when no other process can move
    assert(phase == stopped && gone == 2);
    assert(plain == 0 && !caller[0] && !caller[1]);
    assert(counted[0] + counted[1] + counted[2] + counted[3] == finished[0] + finished[1] + killed)
}

ltl all_end { <> (phase == stopped && gone == 2) }
