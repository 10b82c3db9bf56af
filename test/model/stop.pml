// SPDX-License-Identifier: Apache-2.0
// The end of a runtime: threads that submit, one that stops, two workers that leave, and somebody
// who kills what executes. lib/gate/README.md explains it with the same words; the code is in
// lib/gate/gate.cpp (commit) and lib/runtime.cpp (stop, closed).
//
// With -DDEADLINE the stop has a deadline, which may pass at any moment. Then what waits is killed,
// and so is what executes, though its callable may go on. The code is in lib/runtime.cpp
// (kill_at_deadline), lib/domain/ending.cpp (kill_waiting, kill_executing) and
// lib/domain/attending.cpp (run_attended, run_too_late).
//
// What is proved, for every interleaving:
//   - no token waits when the workers have gone, and every token that was accepted has ended (the
//     asserts in `init`);
//   - stop comes to its end, and so do the workers (`ltl`);
//   - where it sleeps, somebody tells it when there is nothing left to wait for (the same; and the
//     first of the asserts).
// With a deadline, besides:
//   - each token that was accepted ends and is counted once, run or killed (the assert in `ends`,
//     and the last one in `init`);
//   - stop says that it is over, and workers leave, only when nothing that was accepted has still to
//     end (the asserts on `unfinished`);
//   - stop comes back, also if callables never do (`stop_comes_back`);
//   - what is taken out when the killing has begun does not run, and calls that begin then are
//     refused (the asserts on `too_late`);
//   - callables of one serial key never meet, though the turn of one that is killed while it
//     executes is passed on before it has returned (the assert on `inside`).
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
//
// Sizes with a deadline: -DSERIAL: the tokens from outside, and the one that was accepted before,
// have one serial key and call nothing, and either worker may take them. -DENDLESS: callables may
// never return; without kills, see `stop`.
//
// Left out is what each round of killing looks for besides: what is aside, and stretches of bulks
// (backlog.pml, kept.pml, suspension.pml, supervision.pml, inputs.pml and bulk.pml kill them); and
// tokens that are killed by a handle while they wait (state_word.pml).

#ifndef OUTSIDE
#define OUTSIDE 2
#endif
#ifndef INSIDE
#define INSIDE 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

mtype = { open, draining, closing, killing, stopped };
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

#ifdef DEADLINE
bool late = false;          // the deadline has passed
bool attention = false;     // workers look twice at what they have taken out
bool shown[2] = false;      // a frame lies on the worker's execution stack
bool looked_at[2] = false;  // there, by stop
bool returned = false;      // stop is

// For the properties.
bool out_of_time = false;   // the killing has begun
byte unfinished = 0;        // tokens that are accepted and have not been counted as ended
byte for_ever = 0;          // workers in callables that never return
#endif
#ifdef SERIAL
byte in_line = 0;           // tokens of the strand, the one that has the turn included
bool has_turn[2] = false;   // what executes there has still to pass it on
byte inside = 0;            // callables of the strand that run
#endif

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

// --- what a deadline and a serial key add ---------------------------------------------------------

#ifdef DEADLINE
#define WITH_DEADLINE(steps) steps;
inline is_accepted(yes) { d_step { accepted = yes; unfinished = unfinished + accepted } }
inline ends(counter) { d_step { assert(unfinished > 0); unfinished--; counter++ } }
#else
#define WITH_DEADLINE(steps)
inline is_accepted(yes) { accepted = yes }
inline ends(counter) { counter++ }
#endif

// Tokens from outside. What a strand does is one step here (strand.pml takes it apart).
#ifdef SERIAL
#define WITH_KEY(steps) steps;
#define may_take_plain(w) (plain > 0)
inline push_plain() {
    if
    :: in_line == 0 -> plain++
    :: else
    fi;
    in_line++
}
inline pass_turn() {
    d_step {
        in_line--;
        if
        :: in_line > 0 -> plain++
        :: else
        fi
    }
}
inline pass_turn_if(had) {
    if
    :: had -> pass_turn()
    :: else
    fi
}
#else
#define WITH_KEY(steps)
#define may_take_plain(w) (w == 0 && plain > 0)
inline push_plain() { plain++ }
#endif

// --- a call ---------------------------------------------------------------------------------------

inline count(t) { own_count[t]++ }

// The call's token has been counted; `seen` is the phase that was read. `alive`: a token executes
// here, and has not been killed.
inline admit_or_throw(t, alive) {
    if
    :: seen == open -> is_accepted(true)
    :: else ->
#ifndef BROKEN_NO_FENCE_INSIDE
        full_fence(t);
#endif
        seen = phase;
        if
        :: seen == open -> is_accepted(true)
        :: seen == draining || seen == closing -> is_accepted(alive)
#ifdef BROKEN_ADMITS_WHILE_KILLING
        :: seen == killing -> is_accepted(alive)
#endif
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
    WITH_DEADLINE(bool too_late = false; too_late = out_of_time)
    look_and_count(me);
    admit_or_throw(me, false);
    WITH_DEADLINE(assert(!accepted || !too_late))
    if
    :: accepted -> d_step { full_fence(me); push_plain() }
    :: else
    fi
}

// --- a worker -------------------------------------------------------------------------------------

#ifdef DEADLINE
inline begin() {
    // begin_execution(): from here on it can be killed by who has a handle.
    d_step {
        assert(!too_late);
        live[me] = true;
        WITH_KEY(has_turn[me] = serial)
    };
    // execution_stack::push(), and the callable.
    d_step {
        shown[me] = true;
        WITH_KEY(inside = inside + serial; assert(inside <= 1))
    }
}
inline come_back() {
#ifdef ENDLESS
    if
    :: true ->
        for_ever++;
end_callable:
        false
    :: true
    fi;
#endif
    // execution_stack::pop(): it waits for whoever looks.
    d_step {
        shown[me] = false;
        WITH_KEY(inside = inside - serial)
    };
    !looked_at[me]
}

// Somebody who has killed it may have passed its turn on.
#ifdef BROKEN_TURN_IS_PASSED_TWICE
inline end_turn() { passes = serial }
#else
inline end_turn() { d_step { passes = has_turn[me]; has_turn[me] = false } }
#endif
#else
inline begin() { live[me] = true }
#endif

inline execute() {
    begin();
    if
    :: calls > 0 ->
        WITH_DEADLINE(too_late = out_of_time)
        look_and_count(workers + me);
        admit_or_throw(workers + me, live[me]);
        WITH_DEADLINE(assert(!accepted || !too_late))
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
    WITH_DEADLINE(come_back())
    WITH_KEY(end_turn())
    // It ends before it is counted.
    if
    :: d_step { live[me] -> live[me] = false }
        WITH_KEY(pass_turn_if(passes))
        ends(finished[me])
    :: d_step { !live[me] -> skip }
        WITH_KEY(pass_turn_if(passes))
#ifdef BROKEN_LATE_RESULT_IS_COUNTED
        ends(finished[me])
#endif
    fi;
    calls = 0
}

#ifdef DEADLINE
// kill_popped() begins it in name only, so that nobody else ends it; it is counted afterwards.
inline run_too_late() {
    WITH_KEY(pass_turn_if(serial))
#ifndef BROKEN_TOO_LATE_IS_NOT_COUNTED
    ends(finished[me]);
#endif
    calls = 0
}
// worker::run() and, if somebody looks twice, run_attended().
inline run_token() {
    doomed = attention;
    if
    :: doomed -> doomed = (phase == killing || phase == stopped)
    :: else
    fi;
    if
    :: doomed -> run_too_late()
    :: else -> execute()
    fi
}
#else
inline run_token() { execute() }
#endif

proctype worker(byte me) {
    mtype seen;
    bool accepted = false;
    byte calls = 0;
    WITH_DEADLINE(bool too_late = false; bool doomed = false)
    WITH_KEY(bool serial = false; bool passes = false)
    do
    :: d_step {
            caller[me] ->
            caller[me] = false;
            calls = calls_left[me];
            calls_left[me] = 0;
            WITH_DEADLINE(too_late = out_of_time)
            WITH_KEY(serial = false)
        }
        run_token()
    :: d_step {
            may_take_plain(me) ->
            plain--;
            WITH_DEADLINE(too_late = out_of_time)
            WITH_KEY(serial = true)
        }
        run_token()
    :: !caller[me] && !may_take_plain(me) ->
        // Found nothing. Tokens may come before it looks at the phase.
#ifndef BROKEN_WORKER_TELLS_NOBODY
        tell_quiet();
#endif
        if
        :: phase == stopped -> break
#ifdef BROKEN_WORKER_LEAVES_EARLY
        :: phase == killing -> break
#endif
        :: phase != stopped && (caller[me] || may_take_plain(me))
        fi
    od;
    WITH_DEADLINE(assert(unfinished == 0))
    gone++
}

// --- who kills what executes ----------------------------------------------------------------------

inline ended_by_kill() {
#ifndef BROKEN_KILL_IS_NOT_COUNTED
    ends(killed);
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

#ifndef DEADLINE
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
#else

proctype clock() { late = true }

// event_count::wait(). `last`: the deadline has passed, and wait_idle() looks once more.
#ifdef SLEEPS
inline wait_until_told_or_late() {
    if
    :: d_step { told -> announced = false; told = false }
    :: d_step { late -> announced = false; told = false; last = true }
    fi
}
#else
inline wait_until_told_or_late() { last = late }
#endif

inline kill_popped(with_key) {
    WITH_KEY(pass_turn_if(with_key))
#ifdef BROKEN_SWEPT_IS_NOT_COUNTED
    skip
#else
    ends(killed)
#endif
}

inline kill_callers(w) {
    do
    :: d_step { caller[w] -> caller[w] = false; calls_left[w] = 0 }
        kill_popped(false)
    :: !caller[w] -> break
    od
}

// crew::kill_waiting(): one mailbox after the other, so that something may come to one that it has
// left. It tells those who wait for an idle runtime; here stop itself is the only one.
inline kill_waiting() {
    do
    :: d_step { plain > 0 -> plain-- }
        kill_popped(true)
    :: plain == 0 -> break
    od;
    kill_callers(0);
    kill_callers(1)
}

// crew::kill_executing(): what lies on stacks. What has begun and does not lie there yet is for the
// next round.
inline kill_frame(w) {
#ifdef SERIAL
#ifndef BROKEN_TURN_STAYS_WITH_THE_DEAD
    if
    :: d_step { has_turn[w] -> has_turn[w] = false }
        pass_turn()
    :: !has_turn[w]
    fi;
#endif
#endif
    if
    :: d_step { live[w] -> live[w] = false }
        ends(killed)
    :: !live[w]
    fi
}
// execution_stack::inspect(): it does not even count itself where nothing lies.
inline kill_on(w) {
    if
    :: shown[w] ->
        looked_at[w] = true;
        if
        :: shown[w] -> kill_frame(w)
        :: !shown[w]
        fi;
        looked_at[w] = false
    :: !shown[w]
    fi
}
inline kill_executing() {
    heavy_fence();
    kill_on(0);
    kill_on(1)
}

// Between two rounds it waits until it is told, or for kill_round. That may pass at any time, so
// that it does not wait here.
inline kill_at_deadline() {
    // crew::enter(): attend(), and only then the phase.
#ifndef BROKEN_NO_ATTENTION
    attention = true;
#endif
    enter(killing);
    out_of_time = true;
    do
    :: true ->
        ended = 0;
        sum = 0;
        is_idle();
        if
        :: sum == ended -> break
        :: else
        fi;
        kill_waiting();
#ifndef BROKEN_SPARES_WHAT_EXECUTES
        kill_executing();
#endif
#ifdef BROKEN_LOOKS_ONCE
        break
#endif
    od
}

// runtime_core::stop(): wait_idle(deadline), until closed(); or else kill_at_deadline().
proctype stop() {
    byte ended = 0, sum = 0;
    bool last = false;
    enter(draining);
    do
    :: true ->
        announce();
        is_idle();
        if
        :: sum == ended ->
            d_step { announced = false; told = false; last = false };
            // closed()
            enter(closing);
            is_idle();
            if
            :: sum == ended -> break
            :: else -> enter(draining)
            fi
        :: sum != ended && !last -> wait_until_told_or_late()
        :: sum != ended && last ->
            d_step { announced = false; told = false; last = false };
            kill_at_deadline();
            break
        fi;
        ended = 0;
        sum = 0
    od;
    assert(unfinished == 0);
    phase = stopped;
    // stragglers(); without any, crew::join(). A token that somebody else has killed in the moment
    // between its begin and its frame is not seen here, and its callable is waited for: hence no
    // kills where callables may never return.
    if
    :: shown[0]
    :: !shown[0] ->
        if
        :: shown[1]
        :: !shown[1] -> gone == 2
        fi
    fi;
    returned = true
}
#endif

// --- the properties -------------------------------------------------------------------------------

init {
    byte i = 0;
    atomic {
        own_count[workers] = 1;
        counted[workers] = 1;
#ifdef SERIAL
        push_plain();
#else
        caller[0] = true;
        calls_left[0] = INSIDE;
#endif
        WITH_DEADLINE(unfinished = 1)
        run store_buffers();
        run worker(0);
        run worker(1);
        run killer();
        run stop();
        WITH_DEADLINE(run clock())
#if OUTSIDE > 0
        for (i : 1 .. OUTSIDE) { run submitter(i - 1) }
        i = 0
#endif
    }
    timeout;  // true when no other process can move
#ifdef DEADLINE
    assert(phase == stopped && returned && gone + for_ever == 2);
    assert(unfinished == 0);
#else
    assert(phase == stopped && gone == 2);
#endif
    assert(plain == 0 && !caller[0] && !caller[1]);
    assert(counted[0] + counted[1] + counted[2] + counted[3] == finished[0] + finished[1] + killed)
}

#ifdef DEADLINE
ltl stop_comes_back { <> returned }
#endif
#ifndef ENDLESS
ltl all_end { <> (phase == stopped && gone == 2) }
#endif
