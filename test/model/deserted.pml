// SPDX-License-Identifier: Apache-2.0
// Waits that block every thread of a domain: who stands in, also beyond `reserve_workers`.
// lib/domain/README.md ("Reserve workers") explains it with the same words; the code is in
// lib/domain/reserves.cpp and resting.cpp (wait_for).
//
// The lane of a domain holds leads, and behind them the one token that all of them wait for in
// isolation. With -DBLOCKER, before it a token inside tokengate::blocking(), for as long as the leads
// have not ended: they hold a lock that it wants. With -DGUEST, also somebody waits for the awaited
// token who is no worker, looks at nothing any more once he sleeps, and holds the lock, too.
//
// What is proved, for every interleaving: all waits end (one that slept on would be a deadlock), and
// in the end nobody too many works, and nobody too few (the assert on `surplus`).
//
// What is done under the domain's reserve_lock is one step. `surplus` and `waits` are
// seen at once: a fence follows each of them before the other is looked at. Who takes a ticket after
// a notice sees what was stored before it.
//
// Sizes: -DWORKERS=n, -DRESERVES=n, -DBEYOND=n, -DLEADS=n: fewer leads and blockers than threads.

#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef RESERVES
#define RESERVES 1
#endif
#ifndef BEYOND
#define BEYOND 2
#endif
#ifndef LEADS
#define LEADS 3
#endif
#define THREADS (WORKERS + RESERVES + BEYOND)

mtype = { lead, awaited, blocker };
chan lane = [LEADS + 2] of { mtype };

bool stands[THREADS];  // a worker always; a reserve while it stands in
byte standing = 0;     // reserves that do
short surplus = 0;     // of those, over threads that are blocked
bool told[THREADS];    // somebody has notified its event count since it looked
bool done = false;     // the awaited token is terminal
byte ended = 0;        // leads
byte waits = 0;        // counted waits for tokens
#ifdef GUEST
bool left = false;     // the guest has gone on
#endif

#define DESERTED (surplus <= -WORKERS)

inline notify_all() {
    d_step {
        other = 0;
        do
        :: other < THREADS -> told[other] = true; other++
        :: else -> break
        od;
        other = 0
    }
}

// Some reserve that rests.
inline raise_reserve() {
    other = WORKERS;
    do
    :: stands[other] -> other++
    :: else -> break
    od;
    stands[other] = true;
    standing++;
    other = 0
}

#ifdef BROKEN_NOBODY_BEYOND
#define MOST RESERVES
#else
#define MOST (RESERVES + BEYOND)
#endif

inline stand_in_beyond() {
    atomic {
        if
        :: DESERTED && standing < MOST ->
            raise_reserve();
#ifndef BROKEN_NOT_COUNTED
            surplus++
#endif
        :: else
        fi
    }
}

inline stand_in() {
    atomic {
        if
        :: surplus > 0 -> surplus--; alone = false
        :: surplus <= 0 && standing < RESERVES -> raise_reserve(); alone = false
        :: else -> surplus--; alone = true
        fi
    }
    if
#ifndef BROKEN_WAITS_ARE_NOT_SEEN
    :: alone && DESERTED && waits > 0 -> stand_in_beyond()
#endif
    :: else
    fi;
    if
    :: alone && DESERTED -> notify_all()
    :: else
    fi
}

inline step_back() {
    surplus++
}

inline begin_token_wait() {
#ifdef BROKEN_LOOKS_BEFORE_IT_COUNTS
    stand_in_beyond();
    waits++
#else
    waits++;
    stand_in_beyond()
#endif
}

inline end_token_wait() { waits-- }

inline wait_in_isolation() {
    counted = false;
    stand_in();
    do
    :: done -> break
    :: else ->
        told[me] = false;  // its ticket
        if
        :: done -> break
        :: else
        fi;
        if
        :: !counted -> begin_token_wait(); counted = true
        :: counted && DESERTED -> stand_in_beyond()
        :: else
        fi;
        told[me]  // it sleeps
    od;
    if
    :: counted -> end_token_wait()
    :: else
    fi;
    step_back();
    ended++
}

proctype thread(byte me) {
    mtype what;
    byte other = 0;
    bool alone;
    bool counted;
end:
    do
    :: atomic { stands[me] && lane?[what] -> lane?what };
        if
        :: what == lead -> wait_in_isolation()
        :: what == awaited -> done = true; notify_all()
        :: what == blocker ->
            stand_in();
#ifdef GUEST
            left;
#endif
            ended == LEADS;
            step_back()
        fi
    :: atomic { stands[me] && me >= WORKERS && surplus > 0 ->
                surplus--; stands[me] = false; standing-- }
    od
}

#ifdef GUEST
// In a task of a oneTBB algorithm: its worker waits for it, and runs no tokens.
proctype guest() {
    byte other = 0;
    bool alone;
    stand_in();
    begin_token_wait();
    done;
    end_token_wait();
    step_back();
    stands[0] = true;
    left = true
}
#endif

proctype judge() {
    ended == LEADS;
    // All is quiet.
    timeout;
    assert(surplus == 0 && standing == 0 && waits == 0)
}

init {
    byte i;
    atomic {
        for (i : 0 .. THREADS - 1) { stands[i] = i < WORKERS }
        i = 0
    }
#ifdef GUEST
    stands[0] = false;
    run guest();
#endif
    atomic {
        do
        :: i < LEADS -> lane!lead; i++
        :: else -> break
        od;
#ifdef BLOCKER
        lane!blocker;
#endif
        lane!awaited;
        for (i : 0 .. THREADS - 1) { run thread(i) }
        run judge()
    }
}
