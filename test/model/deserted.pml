// SPDX-License-Identifier: Apache-2.0
// Waits that block every thread of a domain: who stands in, also beyond `reserve_workers`, and who
// gives up. lib/domain/README.md ("Reserve workers") explains it with the same words; the code is in
// lib/domain/reserves.cpp and resting.cpp (wait_for).
//
// The lane of a domain holds leads, and behind them the one token that all of them wait for in
// isolation. With -DBLOCKER, before it a token inside tokengate::blocking(), for which nobody is
// started beyond the reserves, until the leads have ended.
//
// What is proved, for every interleaving:
//   - every lead ends (one that slept on would be a deadlock);
//   - none gives up while there is a thread, and no more give up than must (the assert in `judge`);
//   - in the end nobody too many works, and nobody too few (the assert on `surplus`).
//
// What is done under the domain's reserve_lock is one step. What is stored there is seen at once: who
// takes a ticket after a notice sees what was stored before it.
//
// Sizes: -DWORKERS=n, -DRESERVES=n, -DBEYOND=n, -DLEADS=n.

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
#define NOBODY 255

mtype = { lead, awaited, blocker };
chan lane = [LEADS + 2] of { mtype };

bool stands[THREADS];  // a worker always; a reserve while it stands in
byte standing = 0;     // reserves that do
short surplus = 0;     // of those, over threads that are blocked
byte gave_up = NOBODY;
bool told[THREADS];    // somebody has notified its event count since it looked
bool done = false;     // the awaited token is terminal
byte ended = 0;        // leads
byte failed = 0;       // those of them that gave up

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

inline stand_in() {
    atomic {
        if
        :: surplus > 0 -> surplus--; alone = false
        :: surplus <= 0 && standing < RESERVES -> raise_reserve(); alone = false
        :: else -> surplus--; alone = true
        fi
    }
#ifndef BROKEN_NO_NOTICE
    if
    :: alone && DESERTED -> notify_all()
    :: else
    fi
#endif
}

inline step_back() {
    atomic { surplus++; gave_up = NOBODY }
}

#ifdef BROKEN_NOBODY_BEYOND
#define MOST RESERVES
#else
#define MOST (RESERVES + BEYOND)
#endif

inline stand_in_beyond() {
    atomic {
        if
        :: !DESERTED -> alone = false
        :: DESERTED && standing < MOST ->
            raise_reserve();
#ifndef BROKEN_NOT_COUNTED
            surplus++;
#endif
            alone = false
        :: DESERTED && standing >= MOST ->
#ifdef BROKEN_NOBODY_GIVES_UP
            skip
#else
            if
#ifndef BROKEN_ALL_GIVE_UP
            :: gave_up != NOBODY && gave_up != me -> skip
            :: gave_up == NOBODY || gave_up == me ->
#else
            :: true ->
#endif
                gave_up = me; failed++; crowded = true
            fi
#endif
        fi
    }
}

inline wait_in_isolation() {
    crowded = false;
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
#ifndef BROKEN_NO_SECOND_LOOK
        :: !alone && DESERTED -> alone = true
#endif
        :: else ->
            if
            :: alone ->
                stand_in_beyond();
                if
                :: crowded -> break
                :: else
                fi
            :: else
            fi;
            told[me]  // it sleeps
        fi
    od;
    step_back();
    ended++
}

proctype thread(byte me) {
    mtype what;
    byte other = 0;
    bool alone;
    bool crowded;
end:
    do
    :: atomic { stands[me] && lane?[what] -> lane?what };
        if
        :: what == lead -> wait_in_isolation()
        :: what == awaited -> done = true; notify_all()
        :: what == blocker ->
            stand_in();
            ended == LEADS;
            step_back()
        fi
    :: atomic { stands[me] && me >= WORKERS && surplus > 0 ->
                surplus--; stands[me] = false; standing-- }
    od
}

// Leads that can wait at once, while one thread goes on.
#ifdef BLOCKER
#define ROOM (THREADS - 2)
#else
#define ROOM (THREADS - 1)
#endif

proctype judge() {
    ended == LEADS;
    assert(LEADS > ROOM || failed == 0);
    assert(LEADS <= ROOM || failed <= LEADS - ROOM);
    // All is quiet.
    timeout;
    assert(surplus == 0 && standing == 0)
}

init {
    byte i;
    atomic {
        for (i : 0 .. LEADS - 1) { lane!lead }
#ifdef BLOCKER
        lane!blocker;
#endif
        lane!awaited;
        for (i : 0 .. THREADS - 1) {
            stands[i] = i < WORKERS;
            run thread(i)
        }
        run judge()
    }
}
