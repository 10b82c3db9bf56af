// SPDX-License-Identifier: Apache-2.0
// A token whose callable is a coroutine that waits: lib/coroutine/README.md, "A token that is put
// back", explains it with the same words; the code is in lib/coroutine/suspension.cpp.
//
// What is proved, for every interleaving of the worker that puts the token back, those who end its
// waits, and somebody who kills it:
//   - it goes on once for each time that something is ready, or finds nothing and is put back; it
//     ends exactly once (else it would stay behind: an invalid end state);
//   - its entry is given up exactly once;
//   - its coroutine does not go on after it was destroyed, and nothing is left in its list.
//
// Sizes: -DWAITS=n waits of the coroutine, one after the other; -DEXTRA: one wait more, that ends at
// any time (a coroutine that it has begun); -DKILLS.

#ifndef WAITS
#define WAITS 2
#endif

mtype = { executing, aside, admitted, ended };
mtype phase = executing;
bool husk = false;
bool entry = true;       // the runtime's reference

bool parked = false;
bool fired = false;
bool dead = false;
byte ready = 0;          // waits in the list
bool destroyed = false;
byte ends = 0;
byte done = 0;           // waits that it has gone on from
chan lane = [2] of { bool };
chan begun = [3] of { bool };   // waits that are to end

inline drop_husk() { atomic { assert(husk && entry); husk = false; entry = false } }

inline readmit() {
    atomic {
        if
        :: phase == aside -> phase = admitted; lane ! true
        :: else -> assert(husk && entry); husk = false; entry = false
        fi
    }
}

proctype worker() {
    bool d, f;
    do
    :: lane ? _ ->
        atomic {
            if
            :: phase == admitted -> phase = executing
            :: else -> assert(husk && entry); husk = false; entry = false; break
            fi
        };
again:
        atomic { parked = false; fired = false };
#ifdef BROKEN_CLEARS_AFTER_THE_LIST
        skip;
#endif
        // Goes on with what is ready.
        do
        :: atomic { ready > 0 -> assert(!destroyed); ready--; done++ };
            if
            :: done < WAITS -> begun ! true
            :: else
            fi
        :: atomic { ready == 0 -> break }
        od;
#ifdef BROKEN_CLEARS_AFTER_THE_LIST
        atomic { parked = false; fired = false };
#endif
        if
        :: done >= WAITS ->
            atomic {
                if
                :: phase == executing -> phase = ended; ends++
                :: else
                fi;
                destroyed = true; dead = true; entry = false; ready = 0
            };
            break
        :: else
        fi;
        // Puts it back.
        atomic {
            if
            :: phase == executing -> phase = aside; d = false
            :: else -> d = true   // killed while it ran: the worker clears away
            fi
        };
        if
        :: d -> atomic { destroyed = true; dead = true; ready = 0; entry = false }; break
        :: else
        fi;
#ifdef BROKEN_LOOKS_BEFORE_IT_PARKS
        f = fired; d = dead;
        parked = true;
#else
        atomic { f = fired; d = dead; parked = true };
#endif
        if
        :: d -> drop_husk(); break
        :: !d && f -> readmit()
        :: else
        fi
    :: atomic { !entry -> break }
    od
}

inline end_wait(p, f, d) {
    atomic {
        if
        :: dead -> skip
        :: else -> ready++
        fi
    };
    atomic { p = parked; f = fired; d = dead; fired = true };
    if
    :: d -> ready = 0
#ifdef BROKEN_READMITS_TWICE
    :: !d && p -> readmit()
#else
    :: !d && p && !f -> readmit()
#endif
    :: else
    fi
}

proctype ender() {
    bool p, f, d;
    do
    :: begun ? _ -> end_wait(p, f, d)
    :: atomic { !entry && len(begun) == 0 -> break }
    od
}

#ifdef EXTRA
proctype extra() {
    bool p, f, d;
    end_wait(p, f, d)
}
#endif

#ifdef KILLS
proctype killer() {
    bool p, f;
    atomic {
        if
        :: phase == aside || phase == admitted -> phase = ended; ends++; husk = true; p = true
        :: phase == executing -> phase = ended; ends++; p = false
        :: else -> p = false
        fi
    };
    if
    :: p ->
        destroyed = true;
        atomic { p = parked; f = fired; dead = true };
        ready = 0;
#ifdef BROKEN_KILLER_DROPS_ALWAYS
        drop_husk()
#else
        if
        :: p && !f -> drop_husk()
        :: else
        fi
#endif
    :: else
    fi
}
#endif

init {
    atomic {
        // It has been begun by a worker, and has begun its first wait.
        phase = admitted;
        lane ! true;
        begun ! true;
        run worker();
        run worker();
        run ender();
#ifdef EXTRA
        run extra();
#endif
#ifdef KILLS
        run killer()
#endif
    }
    (_nr_pr == 1);
    assert(ends == 1);
    assert(!entry && !husk)
}
