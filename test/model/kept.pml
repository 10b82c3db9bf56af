// SPDX-License-Identifier: Apache-2.0
// A token that is paused by itself: lib/domain/backlog.md, "Tokens that are paused by themselves",
// explains it with the same words; the code is in worker::run_paused and lib/domain/backlog.cpp.
//
// What is proved, for every interleaving of workers, threads that pause and resume the token, one
// that drains its operation, and a killer:
//   - the token ends exactly once, by running or by being killed, if each pause is followed by a
//     resume, or its operation drains or is killed as a whole (it would stay behind in a lane or in
//     a list otherwise: an invalid end state);
//   - it does not begin while it is paused;
//   - who takes a pass out sees that the backlog attends, and so does not take it for an entry;
//   - what the backlog says of how many wait counts the token as long as it is listed and alive;
//   - it does not attend for a token that was killed;
//   - its node is not given up while its entry or its place in a list refers to it, and is given up
//     in the end.
//
// One token, one lane. The state word changes at any time, also while the mutex is held.
//
// Sizes: -DPAUSERS=n, -DPAUSES=n, -DDRAINS, -DKILLS, -DCONDEMNS (its operation is killed as
// a whole), -DPLACED (its place comes while it is paused: it has waited for its inputs, its turn or
// its next attempt, and is in no lane before).

#ifndef PAUSERS
#define PAUSERS 1
#endif
#ifndef PAUSES
#define PAUSES 2
#endif

mtype = { waiting, admitted, aside, executing, ended };
mtype = { nowhere, kept, line };

// The state word.
#ifdef PLACED
mtype phase = waiting;
#else
mtype phase = admitted;
#endif
bool paused = false;
bool husk = false;
bool condemned = false;  // its operation was
bool listed = false;

short living = 0;        // how many wait, as the backlog says: not under the mutex
bool entry = true;       // the runtime's reference: an entry or a place in a list refers to the node
mtype place = nowhere;   // in which list it is
chan lane = [3] of { bool };  // true: the entry; false: a pass
byte passes = 0;
byte ends = 0;
bool attends = false;    // what workers see of the backlog without the mutex
bool drains = false;     // pauses have come to their end
bool mutex = false;

inline lock() { atomic { !mutex -> mutex = true } }
inline unlock() { mutex = false }

// As begin_execution() and begin_aside(): one step, and only if it is not paused.
inline begin(from, begun) {
    atomic {
        begun = (phase == from && !paused);
        if
        :: begun -> phase = executing; listed = false
        :: else
        fi
    }
}

inline execute() {
    atomic {
        assert(phase == executing && entry);
        phase = ended;
        ends++;
        entry = false
    }
}

inline drop_if_husk(dropped) {
    atomic {
        dropped = husk;
        if
        :: husk -> assert(entry); husk = false; entry = false
        :: else
        fi
    }
}

// When what is there is a husk, and nothing else.
inline tidy_up(dropped) {
    dropped = false;
    if
    :: living <= 0 && place != nowhere ->
        lock();
        if
        :: living <= 0 && place != nowhere && phase == ended -> place = nowhere; dropped = true
        :: else
        fi;
        settle();
        unlock();
        if
        :: dropped -> drop_if_husk(dropped); assert(dropped)
        :: else
        fi
    :: else
    fi
}

inline settle() { attends = (place != nowhere || passes != 0) }

inline push_pass() {
#ifndef BROKEN_PASS_BEFORE_IT_ATTENDS
    attends = true;
#endif
    passes++;
    lane ! false
}

inline end_pause() {
    if
    :: drains -> paused = false
    :: else
    fi
}

// For who has taken its entry out.
inline keep_entry(keeps) {
    lock();
    end_pause();
#ifndef BROKEN_CONDEMNED_IS_KEPT
    doomed = condemned;
#endif
#ifdef BROKEN_KEPT_UNSEEN
    keeps = true;
#else
    keeps = (paused && !drains && !doomed);
#endif
    if
    :: keeps ->
        atomic {
            keeps = (phase == admitted);
            if
            :: keeps -> phase = aside; listed = true
            :: else
            fi
        };
        if
        :: keeps -> living++; place = kept
        :: else
        fi
    :: else
    fi;
    settle();
    unlock();
    tidy_up(dropped)
}

// As worker::run_too_late(), for who has taken an entry out.
inline run_too_late() {
    do
    :: paused = false;
       begin(admitted, done);
       if
       :: done -> execute(); break
       :: else
       fi;
       drop_if_husk(done);
       if
       :: done -> break
       :: else
       fi
    od
}

inline run_paused() {
    do
    :: if
       :: paused -> keep_entry(done)
       :: else -> done = false
       fi;
       if
       :: done -> break
       :: !done && doomed -> run_too_late(); break
       :: else
       fi;
       begin(admitted, done);
       if
       :: done -> execute(); break
       :: else
       fi;
#ifdef BROKEN_TAKEN_FOR_A_HUSK
       assert(entry); entry = false; break
#else
       drop_if_husk(done);
       if
       :: done -> break
       :: else
       fi
#endif
    od
}

// For who has taken a pass out.
inline take_first() {
    lock();
    passes--;
    do
    :: place == line ->
        begin(aside, done);
        if
        :: done -> living--; place = nowhere; break
        :: else
        fi;
        if
        :: phase == ended -> place = nowhere; drop_if_husk(done); assert(done); done = false; break
        :: else
        fi;
#ifdef BROKEN_KEPT_WHILE_IT_DRAINS
        end_pause();
        if
        :: paused -> place = kept; break
        :: else
        fi
#else
        if
        :: drains -> paused = false
        :: !drains && paused -> place = kept; break
        :: else
        fi
#endif
    :: else -> done = false; break
    od;
    settle();
    unlock();
    if
    :: done -> execute()
    :: else
    fi
}

proctype worker() {
    bool is_entry, done, dropped, doomed;
    do
    :: lane ? is_entry ->
        if
        :: is_entry && condemned -> run_too_late()
        :: is_entry && !condemned ->
            begin(admitted, done);
            if
            :: done -> execute()
            :: else -> run_paused()
            fi
        :: else -> assert(attends); take_first()
        fi
    :: atomic { !entry && len(lane) == 0 && passes == 0 -> break }
    od
}

inline let_out() {
    lock();
    if
    :: place == kept -> place = line; push_pass()
    :: else
    fi;
    settle();
    unlock()
}

proctype pauser() {
    byte p;
    bool was;
    for (p : 1 .. PAUSES) {
        atomic {
            if
            :: phase == waiting || phase == admitted || phase == aside -> paused = true
            :: else
            fi
        };
#if defined(DRAINS) || defined(CONDEMNS)
        // It may never be resumed.
        if
        :: break
        :: skip
        fi;
#endif
#ifdef BROKEN_LOOKS_BEFORE
        let_out();
#endif
        atomic {
            was = (paused && (phase == waiting || phase == admitted || phase == aside));
            paused = (paused && !was)
        };
#ifndef BROKEN_LOOKS_BEFORE
        if
        :: was -> let_out()
        :: else
        fi
#endif
    }
}

#ifdef DRAINS
proctype drainer() {
#ifndef BROKEN_DRAINS_AFTERWARDS
    drains = true;
#endif
    lock();
    if
    :: place == kept -> paused = false; place = line; push_pass()
    :: else
    fi;
    settle();
    unlock();
    drains = true
}
#endif

#ifdef PLACED
// Its place has come: as state_word::admit() and backlog::keep().
proctype placer() {
    bool done, dropped, doomed, keeps;
again:
    // As state_word::admit().
    atomic {
        keeps = false;
        done = (phase == ended);
        if
        :: done
        :: !done && !paused -> phase = admitted; lane ! true
        :: !done && paused -> phase = aside; keeps = true
        fi
    };
    if
    :: done -> drop_if_husk(done); assert(done)
    :: !done && keeps ->
        lock();
        doomed = condemned;
        // As state_word::list().
        atomic {
            done = (phase == ended);
            if
            :: !done && !doomed -> listed = true
            :: else
            fi
        };
        if
        :: done || doomed
        :: else ->
            living++;
            if
            :: paused && !drains -> place = kept
            :: else -> place = line; push_pass()
            fi
        fi;
        settle();
        unlock();
        if
        :: doomed ->
            atomic {
                if
                :: phase != ended -> paused = false
                :: else
                fi
            };
            goto again
        :: !doomed && done -> drop_if_husk(done); assert(done)
        :: else
        fi;
        tidy_up(dropped)
    :: else
    fi
}
#endif

#ifdef CONDEMNS
// As backlog::condemn() and backlog::kill_waiting().
proctype condemner() {
    bool dies, dropped;
    condemned = true;
    lock();
    if
    :: place != nowhere ->
        do
        :: phase == aside ->
            // As state_word::resume().
            atomic { paused = (paused && phase == ended) };
            begin(aside, dies);
            if
            :: dies -> living--; break
            :: else
            fi
        :: phase == ended -> break
        od;
        place = nowhere;
        settle();
        unlock();
        if
        :: dies -> execute()
        :: else -> drop_if_husk(dropped); assert(dropped)
        fi
    :: else -> settle(); unlock()
    fi
}
#endif

#ifdef KILLS
proctype killer() {
    bool counted, dropped;
    atomic {
        if
        :: phase == admitted || phase == aside ->
            // Executing in name only; then killed. Its entry or its place stays, as a husk.
#ifdef BROKEN_COUNTED_BEFORE_IT_IS_LISTED
            counted = (phase == aside);
#else
            counted = listed;
#endif
            listed = false;
            phase = ended; ends++; husk = true; paused = false
        :: else
        fi
    };
    if
    :: counted ->
        living--;
#ifndef BROKEN_HUSK_IS_LEFT
        tidy_up(dropped)
#endif
    :: else
    fi
}
#endif

init {
    byte i;
    atomic {
#ifdef PLACED
        run placer();
#else
        lane ! true;
#endif
        run worker();
        run worker();
        for (i : 1 .. PAUSERS) { run pauser() }
#ifdef DRAINS
        run drainer();
#endif
#ifdef CONDEMNS
        run condemner();
#endif
#ifdef KILLS
        run killer()
#endif
    }
    (_nr_pr == 1);
    assert(ends == 1);
    assert(!entry && place == nowhere && passes == 0 && !attends);
    assert(living == 0)
}
