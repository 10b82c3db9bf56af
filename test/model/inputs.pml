// SPDX-License-Identifier: Apache-2.0
// A token that waits for its inputs: lib/dataflow/README.md explains it with the same words; the
// code is in lib/dataflow and lib/gate/dependents.cpp.
//
// What is proved, for every interleaving of the call that attaches a continuation to each of two
// inputs, the ends of these, and somebody who kills the dependent:
//   - it ends exactly once: it is admitted and run if all inputs complete, fails if one fails, or
//     is killed;
//   - it is admitted only if no input is missing;
//   - its entry's reference is given up exactly once, and its record is freed exactly once, with no
//     continuation attached or about to be told (else one would be told of what is gone);
//   - no continuation is forgotten: nobody waits for an input that has ended (an invalid end state).
//
// Sizes: -DFAILS: the second input fails; -DKILLS: somebody kills the dependent; with either,
// -DNEVER: the first input never ends.
// Each mutex of the table is a boolean; the state word changes in one step.

#define INPUTS 2

mtype = { created, waiting, placing, admitted, doomed, ended };

mtype phase = created;   // of the dependent
bool husk = false;
bool entry = true;       // the runtime's reference
byte ends = 0;
byte runs = 0;

bool over[INPUTS];       // the input is terminal
bool followed[INPUTS];   // its bit
bool attached[INPUTS];   // in the table
bool mutex[INPUTS];      // of the part of the table

byte missing = INPUTS + 1;
byte holders = INPUTS + 2;  // the token, the call, and each continuation
bool freed = false;
bool dropped = false;       // the token has died before it was placed

inline lock(i) { atomic { !mutex[i] -> mutex[i] = true } }
inline unlock(i) { mutex[i] = false }

inline let_go() {
    atomic {
        assert(!freed && holders > 0);
        holders--;
        if
        :: holders == 0 ->
            freed = true;
            assert(!attached[0] && !attached[1]);
            if
            :: husk -> assert(entry); husk = false; entry = false
            :: else
            fi
        :: else
        fi
    }
}

// One continuation after the other: detached, or somebody tells it.
inline detach_all(k, out) {
    k = 0;
    do
    :: k < INPUTS ->
#ifdef BROKEN_DETACHES_WITHOUT_THE_MUTEX
        out = attached[k];
        attached[k] = false;
#else
        lock(k);
        out = attached[k];
        attached[k] = false;
        unlock(k);
#endif
        if
        :: out -> let_go()
        :: else
        fi;
        k++
    :: else -> break
    od
}

// The token has died before it was placed.
inline drop(k, out) {
    dropped = true;
    detach_all(k, out);
    let_go()
}

// As begin_killing(): who gets it ends it.
inline kill(k, out, got) {
    atomic {
        got = (phase == waiting);
        if
        :: got -> phase = doomed; husk = true
        :: else
        fi
    };
    if
    :: got -> drop(k, out); atomic { phase = ended; ends++ }
    :: else
    fi
}

inline place(got) {
    atomic {
        got = (phase == waiting);
        if
        :: got -> phase = placing
        :: else
        fi
    };
    if
    :: got ->
        let_go();          // its arguments are built: the token does not need the record any more
        atomic {
            if
            :: phase == placing -> phase = admitted
            :: else -> assert(phase == ended); entry = false   // killed while it was placed
            fi
        };
        if
        :: phase == admitted ->
            atomic {
                assert(over[0] && over[1] && entry);
                phase = ended; ends++; runs++; entry = false
            }
        :: else
        fi
    :: else
    fi
}

inline one_less(got, zero) {
    atomic { assert(missing > 0); missing--; zero = (missing == 0) };
    if
    :: zero -> place(got)
    :: else
    fi
}

// What a continuation does; `failed`: its input has.
inline tell(failed, k, out, got, zero) {
    assert(!freed);
    if
    :: failed -> kill(k, out, got)
    :: else -> one_less(got, zero)
    fi;
    let_go()
}

proctype input(byte i; bool fails) {
    byte k;
    bool out, got, zero, seen;
#ifdef NEVER
    if
    :: i == 0 -> goto ended_never
    :: else
    fi;
#endif
    atomic { over[i] = true; seen = followed[i]; followed[i] = false };
    if
    :: seen ->
        lock(i);
        out = attached[i];
        attached[i] = false;
        unlock(i);
        if
        :: out -> tell(fails, k, out, got, zero)
        :: else
        fi
    :: else
    fi;
#ifdef NEVER
ended_never:
#endif
    skip
}

proctype call(bool fails) {
    byte i, k;
    bool out, got, zero, refused;
    phase = waiting;
    for (i : 0 .. INPUTS - 1) {
        lock(i);
        attached[i] = true;
#ifdef BROKEN_BIT_WITHOUT_A_LOOK
        refused = false;
        followed[i] = true;
#else
        atomic {
            refused = over[i];
            followed[i] = !refused
        };
#endif
        if
        :: refused -> attached[i] = false
        :: else
        fi;
        unlock(i);
        if
        :: refused -> tell(fails && i == 1, k, out, got, zero)
        :: else
        fi
    };
    one_less(got, zero);
#ifndef BROKEN_LEAVES_THEM_ATTACHED
    assert(!freed);
    if
    :: dropped -> detach_all(k, out)
    :: else
    fi;
#endif
#ifndef BROKEN_CALL_HOLDS_NOTHING
    let_go()
#endif
}

#ifdef KILLS
proctype killer() {
    byte k;
    bool out, got;
    phase != created;
    if
    :: kill(k, out, got)
    :: atomic {
           if
           :: phase == placing -> phase = ended; ends++   // as one that executes
           :: else
           fi
       }
    fi
}
#endif

init {
    bool fails = false;
#ifdef FAILS
    fails = true;
#endif
#ifdef BROKEN_CALL_HOLDS_NOTHING
    holders = INPUTS + 1;
#endif
    atomic {
        run call(fails);
        run input(0, false);
        run input(1, fails);
#ifdef KILLS
        run killer()
#endif
    }
    (_nr_pr == 1);
    assert(ends == 1);
    assert(freed && !entry);
#ifdef NEVER
    assert(runs == 0);
#endif
#ifndef KILLS
#ifdef FAILS
    assert(runs == 0);
#else
    assert(runs == 1);
#endif
#endif
}
