// SPDX-License-Identifier: Apache-2.0
// A token is killed while its callable runs: the callable's stop token is told, and join() returns
// when the callable has. lib/domain/README.md ("Stop requests and join") explains it with the same
// words; the code is in lib/domain/stop_request.cpp, execution_stack.hpp and worker.cpp.
//
// What is proved, for every interleaving:
//   - a callable that waits for its stop request gets it (it would wait for ever otherwise);
//   - join() returns, and not before the callable has (the assert in `joiner`);
//   - nobody touches a stop source that is gone (the assert in `killer`).
//
// Each access to what threads share is one step. What the worker stores stays in its store buffer
// until it makes a fence or a read-modify-write, or at any time before, as on x86. A light fence
// does nothing here; a heavy fence empties the worker's buffer.
//
// Sizes: -DKILLERS=n, -DJOINERS=n. -DSTRETCH: a stretch of a bulk, whose worker does not finish the
// share, but looks at its state.

#ifndef KILLERS
#define KILLERS 1
#endif
#ifndef JOINERS
#define JOINERS 1
#endif

mtype = { executing, killed, completed };
mtype phase = executing;

// The worker's, as others see it and as it sees it itself.
bool source = false;
bool own_source = false;
bool on_stack = true;
bool own_on_stack = true;

bool taken_over = false; // the killer has found the callable running
bool gone = false;       // the source was destroyed
bool requested = false;  // the callable can see it
bool returned = false;   // the callable has
byte onlookers = 0;

byte waiters = 0;        // of the event count `callable_returned`
byte epoch = 0;

inline full_fence() { d_step { source = own_source; on_stack = own_on_stack } }

proctype store_buffer() {
end:
    do
    :: d_step { source != own_source || on_stack != own_on_stack ->
                source = own_source; on_stack = own_on_stack }
    od
}

#ifdef BROKEN_NO_HEAVY_FENCE
inline heavy_fence() { skip }
#else
inline heavy_fence() { full_fence() }
#endif

proctype worker() {
    if
    :: skip                       // it never asks
    :: d_step { own_source = true }
#ifndef BROKEN_NO_LOOK_AFTER_ASKING
       if
       :: phase == killed -> requested = true
       :: else
       fi;
#endif
       if
       :: skip                    // and returns by itself
       :: skip ->
          requested               // and returns when it is stopped
       fi
    fi;
    returned = true;
    own_on_stack = false;
    // light fence
#ifndef BROKEN_NO_WAIT_FOR_ONLOOKERS
    onlookers == 0;
#endif
    gone = true;
#ifdef STRETCH
    // The share may have other elements; here it is completed by who sees that there are none.
    if
    :: phase == killed -> full_fence()
    :: else -> d_step {
           full_fence();
           if
           :: phase == executing -> phase = completed
           :: else
           fi
       }
    fi;
#else
    // finish(): a read-modify-write
    d_step {
        full_fence();
        if
        :: phase == executing -> phase = completed
        :: else
        fi
    }
#endif
    if
#ifdef BROKEN_NOTICE_IF_TAKEN_OVER
    :: taken_over ->
#else
    :: phase == killed ->
#endif
#ifdef BROKEN_NO_NOTICE
       skip
#else
       // notify_all(), unless nobody waits
       if
       :: waiters > 0 -> epoch++
       :: else
       fi
#endif
    :: else
    fi
}

inline look_for_source() {
    found = false;
    onlookers++;
    heavy_fence();
    if
    :: on_stack ->
       if
       :: !returned -> taken_over = true
       :: else
       fi;
       if
       :: source ->
          assert(!gone);
          found = true
       :: else
       fi
    :: else
    fi;
    onlookers--
}

proctype killer() {
    bool found;
#ifdef BROKEN_LOOK_FIRST
    look_for_source();
#endif
    if
    :: phase == executing -> phase = killed
    :: else -> goto over
    fi;
#ifndef BROKEN_LOOK_FIRST
    look_for_source();
#endif
    if
    :: found -> requested = true
    :: else
    fi;
over:
    skip
}

proctype joiner() {
    byte ticket;
    bool there;
    phase != executing;
    if
    :: phase == completed -> goto over
    :: else
    fi;
#ifndef BROKEN_TERMINAL_IS_ENOUGH
    do
    :: waiters++;
#ifndef BROKEN_LATE_TICKET
       ticket = epoch;
#endif
       onlookers++;
       heavy_fence();
       there = on_stack;
       onlookers--;
#ifdef BROKEN_LATE_TICKET
       ticket = epoch;
#endif
       if
       :: !there -> waiters--; break
       :: else ->
          epoch != ticket;
          waiters--
       fi
    od;
#endif
    assert(returned);
over:
    skip
}

init {
    byte i;
    atomic {
        run store_buffer();
        run worker();
        for (i : 1 .. KILLERS) { run killer() }
        for (i : 1 .. JOINERS) { run joiner() }
    }
}
