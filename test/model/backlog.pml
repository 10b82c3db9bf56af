// SPDX-License-Identifier: Apache-2.0
// Tokens of one operation that is paused and goes on: lib/domain/backlog.md explains it with the
// same words; the code is in lib/domain/backlog.cpp and worker::run_attended.
//
// What is proved, for every interleaving of workers, a controller that pauses and resumes, and a
// killer:
//   - every token ends exactly once, by running or by being killed (it would stay behind in a lane
//     or in the backlog otherwise: an invalid end state);
//   - tokens begin in the order in which they were submitted (one worker; with several, who takes
//     first may begin second, as with lanes);
//   - nothing that is taken out while the operation is paused begins;
//   - a node is not given up while its entry or its place in the list refers to it;
//   - at most PERMITS tokens run at once (-DPERMITS=n: a storage tier).
//
// One lane, first in, first out. What happens under the mutex of the backlog is one step, but for
// the state word, which the killer changes at any time.
//
// Sizes: -DTOKENS=n, -DWORKERS=n, -DPAUSES=n, -DKILLS.

#ifndef TOKENS
#define TOKENS 3
#endif
#ifndef WORKERS
#define WORKERS 1
#endif
#ifndef PAUSES
#define PAUSES 1
#endif

#define PASS TOKENS
#define NOBODY 255

mtype = { admitted, aside, executing, ended };
mtype phase[TOKENS];
byte ends[TOKENS];
bool entry[TOKENS];      // the runtime's reference: an entry or a place in the list refers to it
byte begun_last = NOBODY;

chan lane = [2 * TOKENS + 2] of { byte };
chan list = [TOKENS] of { byte };
byte passes = 0;
bool paused = false;
byte attention = 0;      // as the crew sees it: 1 while the backlog attends
byte done = 0;
byte running = 0;

#ifdef PERMITS
byte permits = PERMITS;
#define STATIC_ATTENTION 1
#define PERMITTED (permits > 0)
#else
#define STATIC_ATTENTION 0
#define PERMITTED true
#endif

inline settle() {
#ifdef BROKEN_PASSES_NOT_ATTENDED
    attention = (paused || len(list) > 0 || STATIC_ATTENTION)
#else
    attention = (paused || len(list) > 0 || passes > 0 || STATIC_ATTENTION)
#endif
}

// The first of the list that is alive; those that are not are given up.
inline take_first(result) {
    result = NOBODY;
    do
    :: result == NOBODY && len(list) > 0 ->
        list ? head;
        if
        :: phase[head] == aside -> phase[head] = executing; result = head
        :: else ->
            assert(entry[head]);
            entry[head] = false
        fi
    :: else -> break
    od;
    head = 0
}

inline push_passes() {
#ifdef BROKEN_NO_PASS
    skip
#else
    do
    :: passes < len(list) && PERMITTED ->
#ifdef PERMITS
        permits--;
#endif
        passes++;
        lane ! PASS
    :: else -> break
    od
#endif
}

inline begin(which) {
    assert(phase[which] == executing);
    running++;
#ifdef PERMITS
    assert(running <= PERMITS);
#endif
    assert(WORKERS > 1 || begun_last == NOBODY || begun_last < which);
    begun_last = which
}

inline finish(which) {
    atomic {
        running--;
        ends[which]++;
        phase[which] = ended;
        assert(entry[which]);
        entry[which] = false;
        done++;
#ifdef PERMITS
        permits++;
        if
        :: !paused -> push_passes()
        :: else
        fi;
#endif
    }
}

proctype worker() {
    byte taken, next, head;
    bool attended;
    do
    :: atomic { len(lane) > 0 -> lane ? taken; attended = attention > 0 }
        next = NOBODY;
        if
        :: !attended ->
            // As without any of this.
            atomic {
                assert(taken != PASS);
                if
                :: phase[taken] == admitted -> phase[taken] = executing; next = taken;
                    begin(next)
                :: else -> assert(entry[taken]); entry[taken] = false
                fi;
                taken = 0
            }
        :: else ->
            // Under the mutex.
            atomic {
                if
                :: taken == PASS ->
                    passes--;
                    if
                    :: !paused -> take_first(next)
                    :: else
                    fi;
#ifdef PERMITS
                    if
                    :: next == NOBODY -> permits++
                    :: else
                    fi;
#endif
                :: taken != PASS && !paused && len(list) == 0 && PERMITTED ->
                    if
                    :: phase[taken] == admitted -> phase[taken] = executing; next = taken;
#ifdef PERMITS
                        permits--
#endif
                    :: else -> assert(entry[taken]); entry[taken] = false
                    fi
                :: else ->
                    if
                    :: phase[taken] == admitted ->
                        phase[taken] = aside;
                        list ! taken;
#ifndef PERMITS
                        if
#ifdef BROKEN_NO_EXCHANGE
                        :: !paused -> phase[taken] = executing; next = taken; list ?? eval(taken)
#else
                        :: !paused -> take_first(next)
#endif
                        :: else
                        fi
#endif
                    :: else -> assert(entry[taken]); entry[taken] = false
                    fi
                fi;
                if
                :: !paused -> push_passes()
                :: else
                fi;
                settle();
                if
                :: next != NOBODY -> assert(!paused); begin(next)
                :: else
                fi;
                taken = 0
            }
        fi;
        if
        :: next != NOBODY -> finish(next)
        :: else
        fi
    :: atomic { done == TOKENS && len(lane) == 0 && len(list) == 0 -> break }
    od
}

proctype submitter() {
    byte t;
    for (t : 0 .. TOKENS - 1) {
        atomic { phase[t] = admitted; entry[t] = true; lane ! t }
    }
}

proctype controller() {
    byte p, unused, head;
    for (p : 1 .. PAUSES) {
        atomic { paused = true; settle() };
        atomic {
            paused = false;
#ifdef BROKEN_RESUME_PUSHES_ONCE_MORE
            lane ! PASS;
#endif
            push_passes();
            settle()
        }
    }
}

#ifdef KILLS
proctype killer() {
    mtype was;
    if
    :: phase[1] == aside || phase[1] == admitted ->
        atomic {
            was = phase[1];
            if
            :: was == aside || was == admitted ->
                // Executing in name only; then killed. Its entry or its place stays, as a husk.
                phase[1] = ended; ends[1]++; done++;
#ifdef BROKEN_KILLER_GIVES_UP_ENTRY
                entry[1] = false
#endif
            :: else
            fi
        }
    :: skip
    fi
}
#endif

init {
    byte i;
    atomic {
        attention = STATIC_ATTENTION;
        run submitter();
        run controller();
        for (i : 1 .. WORKERS) { run worker() }
#ifdef KILLS
        run killer()
#endif
    }
    (_nr_pr == 1);
    for (i : 0 .. TOKENS - 1) {
        assert(ends[i] == 1);
        assert(!entry[i]);
    }
    assert(passes == 0);
    assert(attention == STATIC_ATTENTION)
}
