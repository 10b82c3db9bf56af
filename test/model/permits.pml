// SPDX-License-Identifier: Apache-2.0
// Tokens of one storage tier that wait for their children, which need permits of the same tier:
// lib/domain/backlog.md, "Permits", explains it with the same words; the code is in
// lib/domain/tier.cpp, lib/domain/permit.hpp and lib/domain/backlog.cpp.
//
// What is proved, for every interleaving of workers, which run other tokens on top of those that
// wait, of a killer, and of somebody who lowers the limit:
//   - never more tokens execute at once than there are permits, and each of them has one; those
//     that wait do not execute, nor those that have another one on top;
//   - everything ends (a token that waits for its permit for ever would be an invalid end state);
//   - no permit is lost, and none comes back twice;
//   - whenever the mutex is free, a token is in the backlog without a pass only if there is no
//     permit for it, or somebody who goes on has the first right to that.
//
// What happens under the mutex of the tier is one step. Entries come out first in, first out, and
// passes before them or after them, since there are several lanes; lanes have room.
//
// Tokens below ROOTS come from outside, the others are children: t of (t - ROOTS) / FANOUT.
//
// Sizes: -DTOKENS=n, -DROOTS=n, -DFANOUT=n, -DWORKERS=n, -DPERMITS=n; -DNESTS: a token may also run
// another one on top of it before it waits, as calls do; -DLOWERED: the limit goes down to 1 some
// time; -DKILLS.

#ifndef TOKENS
#define TOKENS 6
#endif
#ifndef ROOTS
#define ROOTS 2
#endif
#ifndef FANOUT
#define FANOUT 2
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PERMITS
#define PERMITS 1
#endif

#define PASS 254
#define NOBODY 255

mtype = { unborn, admitted, aside, executing, covered, waiting, ended };
mtype phase[TOKENS];
bool called[TOKENS];    // its children
byte left[TOKENS];      // of its children, those that have not ended
byte beneath[TOKENS];   // on the same stack

chan entries = [TOKENS] of { byte };
chan list = [TOKENS] of { byte };
byte lying = 0;         // passes in lanes
byte passes = 0;        // under way: those, and those that a worker has in its hand
byte limit = PERMITS;
byte given = 0;         // permits: to tokens, and to passes on their way (promised)
byte promised = 0;
byte returning = 0;
byte running = 0;       // tokens that execute, and neither wait nor have another one on top
byte done = 0;

#ifdef NESTS
#define NESTING(t) (phase[t] == executing && !called[t])
#else
#define NESTING(t) false
#endif

#ifdef BROKEN_PROMISE_NOT_TAKEN
#define CAN_GO_ON (given < limit)
#else
#define CAN_GO_ON (given < limit || promised > 0)
#endif

// Both push_passes() and deal(): there is one backlog.
inline deal() {
    do
    :: given < limit && returning == 0 && passes < len(list) ->
        given++;
        promised++;
        passes++;
        lying++
    :: else -> break
    od
}

inline unlock() {
    assert(running + promised <= given);
    assert(!(given < limit && returning == 0 && passes < len(list)))
}

inline run_on() {
    running++;
    assert(running <= PERMITS)
}

inline end(which) {
    phase[which] = ended;
    done++;
    if
    :: which >= ROOTS -> left[(which - ROOTS) / FANOUT]--
    :: else
    fi
}

// The first of the list that is alive.
inline take_first() {
    do
    :: next == NOBODY && len(list) > 0 ->
        list ? next;
        if
        :: phase[next] == aside -> phase[next] = executing
        :: else -> next = NOBODY
        fi
    :: else -> break
    od
}

inline exchange() {
    next = NOBODY;
    if
    :: taken == PASS ->
        passes--;
        if
        :: promised > 0 ->
            promised--;
            take_first();
#ifndef BROKEN_PERMIT_NOT_GIVEN_ON
            if
            :: next == NOBODY -> given--
            :: else
            fi
#endif
#ifdef BROKEN_PASS_DOES_NOT_LOOK
        :: else -> take_first()
#else
        :: else
#endif
        fi;
#ifndef BROKEN_PASS_GOES_SILENTLY
        deal()
#endif
    :: taken != PASS && len(list) == 0 && given < limit && returning == 0 ->
        given++;
        phase[taken] = executing;
        next = taken
    :: else ->
        phase[taken] = aside;
        list ! taken;
        deal()
    fi;
    taken = NOBODY;
    if
    :: next != NOBODY -> run_on()
    :: else
    fi;
    unlock()
}

proctype worker() {
    byte top = NOBODY, taken = NOBODY, next = NOBODY;
    do
    // Idle, or for as long as its token waits: what comes out runs on top of that.
    :: atomic {
            (len(entries) > 0 || lying > 0) &&
            (top == NOBODY -> true : phase[top] == waiting || NESTING(top)) ->
            if
            :: len(entries) > 0 -> entries ? taken
            :: lying > 0 -> lying--; taken = PASS
            fi
        }
        atomic { exchange() }
        if
        :: next != NOBODY ->
            atomic {
                beneath[next] = top;
                if
                :: top != NOBODY && phase[top] == executing ->
                    phase[top] = covered;
                    running--;
#ifndef BROKEN_NOT_COVERED
                    given--;
                    deal();
                    unlock()
#endif
                :: else
                fi;
                top = next;
                next = NOBODY
            }
        :: else
        fi

    :: atomic {
            top != NOBODY && phase[top] == executing && left[top] > 0 && !called[top] ->
            called[top] = true;
            next = ROOTS + FANOUT * top;
            do
            :: next < TOKENS && next < ROOTS + FANOUT * (top + 1) ->
                phase[next] = admitted;
                entries ! next;
                next++
            :: else -> next = NOBODY; break
            od
        }
        // It waits for them, and lends its permit.
        atomic {
            phase[top] = waiting;
            running--;
#ifndef BROKEN_NOT_LENT
            given--;
            deal();
            unlock()
#endif
        }

    // It goes on: only its own thread could do anything on this stack, and that sleeps.
    :: atomic {
            top != NOBODY && phase[top] == waiting && left[top] == 0 ->
#ifndef BROKEN_NOT_LENT
            returning++;
            CAN_GO_ON ->
            returning--;
            if
            :: given < limit -> given++
            :: else -> promised--
            fi;
#ifndef BROKEN_NO_DEAL_AFTERWARDS
            deal();
#endif
            unlock();
#endif
            phase[top] = executing;
            run_on()
        }

    // Its waiter sees the end first, then its permit comes back.
    :: atomic {
            top != NOBODY && phase[top] == executing && left[top] == 0 ->
            running--;
            end(top)
        }
        atomic {
            next = top;
            top = beneath[next];
            beneath[next] = NOBODY;
            next = NOBODY;
            if
            :: top != NOBODY && phase[top] == covered ->
                phase[top] = executing;
#if defined(BROKEN_NOT_COVERED) || defined(BROKEN_RETURNED_AND_LEFT)
                given--;
                deal();
#endif
                run_on();
                unlock()
            :: else ->
                given--;
                deal();
                unlock()
            fi
        }

    :: atomic {
            top == NOBODY && done == TOKENS && len(entries) == 0 && lying == 0 -> break
        }
    od
}

#ifdef KILLS
// Of the last one, while it waits in the backlog: its place stays, as a husk.
proctype killer() {
    if
    :: atomic { phase[TOKENS - 1] == aside -> end(TOKENS - 1) }
    :: done == TOKENS
    fi
}
#endif

init {
    byte i;
    atomic {
        for (i : 0 .. TOKENS - 1) {
            phase[i] = unborn;
            beneath[i] = NOBODY;
            if
            :: i >= ROOTS -> left[(i - ROOTS) / FANOUT]++
            :: else
            fi
        }
        for (i : 0 .. ROOTS - 1) {
            phase[i] = admitted;
            entries ! i
        }
        for (i : 1 .. WORKERS) { run worker() }
#ifdef KILLS
        run killer()
#endif
    }
#ifdef LOWERED
    atomic {
        limit = 1;
        deal();
        unlock()
    }
#endif
    (_nr_pr == 1);
    assert(given == 0 && promised == 0 && returning == 0);
    assert(running == 0 && passes == 0)
}
