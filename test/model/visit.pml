// SPDX-License-Identifier: Apache-2.0
// A coroutine that goes on in a token, its visit: lib/coroutine/README.md, "A visit", explains it
// with the same words; the code is in lib/coroutine/visit.cpp and loop.cpp.
//
// What is proved, for every interleaving of the worker that runs the visit's token, somebody who
// kills that, and the thread inside sync_wait():
//   - the coroutine goes on once after each wait, and never on two threads at once;
//   - it comes to its end, whether or not the visit ran (else the loop would wait for ever: an
//     invalid end state);
//   - neither the loop nor the coroutine's frame goes while a thread is inside of the coroutine, or
//     has still to touch the loop.
//
// Sizes: -DVISITS=n, one after the other; -DKILLS: each of them may be killed at any time.

#ifndef VISITS
#define VISITS 2
#endif

mtype = { admitted, executing, ended };
mtype phase[VISITS];
bool taken[VISITS];
byte begun = 0;       // visits that were called for
bool inside = false;  // somebody runs the coroutine
bool ready = false;   // its wait is in the loop's list
bool finished = false;
byte held = 0;        // the loop, by waits that have not ended
bool gone = false;    // the loop and the frame

// The coroutine, up to where it waits again, or ends. `at_home`: in the loop.
inline coroutine(at_home) {
    atomic { assert(!inside && !gone); inside = true };
    if
    :: atomic { begun < VISITS -> held++; inside = false; phase[begun] = admitted; begun++ }
    :: atomic { !at_home -> held++; inside = false };  // a wait for what has ended
        atomic { assert(!ready); ready = true };
        held--
    :: atomic { begun == VISITS -> inside = false; finished = true }
    fi
}

inline take(v, mine) {
#ifdef BROKEN_LOOKS_THEN_TAKES
    mine = !taken[v];
    taken[v] = true
#else
    atomic { mine = !taken[v]; taken[v] = true }
#endif
}

// The token has ended: its continuation is told.
inline tell(v, mine) {
    take(v, mine);
    if
#ifdef BROKEN_TELLS_NOBODY
    :: mine -> skip
#else
    :: mine -> atomic { assert(!gone && !ready); ready = true }; assert(!gone); held--
#endif
    :: else
    fi
}

proctype visit(byte v) {
    bool mine, last;
    (begun > v);
    atomic {
        if
        :: phase[v] == admitted -> phase[v] = executing
        :: else -> goto out   // killed before
        fi
    };
    take(v, mine);
    if
    :: mine ->
        coroutine(false);
        assert(!gone);        // it returns from there
        held--
    :: else
    fi;
    atomic { last = (phase[v] == executing); phase[v] = ended };
    if
    :: last -> tell(v, mine)
    :: else
    fi;
out: skip
}

#ifdef KILLS
proctype killer(byte v) {
    bool mine, won;
    (begun > v);
    atomic { won = (phase[v] != ended); phase[v] = ended };
    if
    :: won -> tell(v, mine)
    :: else
    fi
}
#endif

proctype loop() {
    coroutine(true);
    do
    :: atomic { ready -> ready = false }; coroutine(true)
    :: atomic { finished && !ready -> break }
    od;
#ifndef BROKEN_RETURNS_AT_ONCE
    (held == 0);
#endif
    gone = true
}

init {
    byte v = 0;
    atomic {
        do
        :: v < VISITS -> run visit(v);
#ifdef KILLS
            run killer(v);
#endif
            v++
        :: else -> break
        od;
        run loop()
    }
    (_nr_pr == 1);
    assert(finished && gone && !ready && held == 0)
}
