// SPDX-License-Identifier: Apache-2.0
// One supervised token: the call that makes it, a worker that runs it, the alarm of its queue
// timeout or back-off, and somebody who kills it. lib/resilience/supervision.md explains it with
// the same words; the code is in lib/resilience/supervisor.cpp and lib/gate/gate.cpp.
//
// What is proved, for every interleaving:
//   - the token ends exactly once, and its node is given up exactly once, by the last holder;
//   - nobody touches the node when it is gone (each step asserts references > 0);
//   - its entry is always somewhere: in the lane, in the worker's hands, with the alarm, or given up
//     (the token would never end otherwise: an invalid end state);
//   - no alarm is left armed for a record that is gone.
//
// Each step of the state word is atomic, and so is what happens under the supervisor's lock.
// -DATTEMPTS=n: the callable fails until the last one. -DKILLS, -DQUEUE_TIMEOUT, -DBACK_OFF.

#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif

mtype = { admitted, executing, waiting, ended };       // the state word
mtype = { unlisted, listed, running, gone };           // the record
mtype = { disarmed, for_queue, for_back_off };         // the alarm

mtype phase = admitted;
bool doomed = false;
byte references = 4;   // handle, entry, supervisor, commit
mtype where = unlisted;
mtype alarm = disarmed;
byte ringing = 0;      // claims that have not been worked off
byte in_lane = 0;      // entries in a lane
byte attempts = 0;
byte ends = 0;
byte freed = 0;
bool pushed = false;

inline drop() {
    assert(references > 0);
    references--;
    if
    :: references == 0 -> freed++
    :: else
    fi
}

// Under the lock: the record is done with. The supervisor's reference goes.
inline release_record() {
    atomic {
        assert(references > 0 && where != gone);
        where = gone;
        if
#ifndef BROKEN_NO_DISARM
        :: alarm == for_back_off -> alarm = disarmed; drop()  // the entry, a husk
        :: alarm == for_queue -> alarm = disarmed
#endif
        :: else
        fi;
        drop()
    }
}

inline readmit() {
    atomic {
        assert(references > 0);
        if
        :: phase == waiting -> phase = admitted; in_lane++
        :: else -> drop()                                     // a husk
        fi
    }
}

proctype caller() {
    atomic { in_lane++; pushed = true };
    // commit(), under the lock
#ifdef BROKEN_COMMIT_TRUSTS
    atomic {
        assert(references > 0);
        where = listed;
#else
    atomic {
        assert(references > 0);
        if
        :: where == unlisted -> where = listed;
#endif
#ifdef QUEUE_TIMEOUT
            alarm = for_queue
#endif
#ifndef BROKEN_COMMIT_TRUSTS
        :: else
        fi
#endif
    };
    atomic { drop() };
    // The handle is used, and dropped, at some time after that.
    ends == 1;
    atomic { drop() }
}

proctype worker() {
    bool again;
    do
    :: atomic { in_lane > 0 -> in_lane--; again = false;
        assert(references > 0);
        if
        :: phase == admitted -> phase = executing; again = true
        :: else -> drop()
        fi }
        if
        :: again ->
            // run()
            atomic { assert(references > 0 && where != gone); where = running;
                if
                :: alarm == for_queue -> alarm = disarmed
                :: else
                fi };
            attempts++;
            if
            :: attempts < ATTEMPTS && phase == executing ->
                // put_back(), under the lock
                atomic {
                    if
                    :: phase == executing && !doomed ->
                        phase = waiting;
                        where = listed;
#ifdef BACK_OFF
                        alarm = for_back_off;
                        again = false
#endif
                    :: else -> skip
                    fi
                };
                if
                :: again && phase == ended && where == running ->
                    // Ended under its hands: drop_arguments(), then the entry.
                    release_record();
                    atomic { drop() }
                :: again && !(phase == ended && where == running) -> readmit()
                :: else
                fi
            :: else ->
                release_record();
                atomic {
                    if
                    :: phase == executing -> phase = ended; ends++
                    :: else
                    fi;
                    drop()
                }
            fi
        :: else
        fi
    :: atomic { freed == 1 && in_lane == 0 -> break }
    od
}

// Kills, or times out, what waits; ends what executes.
inline end_it() {
    if
    :: atomic { (phase == admitted || phase == waiting) ->
        assert(references > 0); phase = executing; doomed = true };
        // drop_arguments(), then finish()
        release_record();
        atomic { assert(references > 0); phase = ended; ends++ }
    :: atomic { phase == executing && !doomed -> assert(references > 0);
        if
        :: kills_what_runs -> phase = ended; ends++
        :: else
        fi }
    :: atomic { phase == ended || doomed -> skip }
    fi
}

#if defined(QUEUE_TIMEOUT) || defined(BACK_OFF)
proctype timer() {
    bool kills_what_runs = false;
    do
    :: atomic { alarm == for_queue -> alarm = disarmed; assert(references > 0);
#ifndef BROKEN_NO_REFERENCE
        references++
#endif
        };
        end_it();
        atomic { drop() }
    :: atomic { alarm == for_back_off -> alarm = disarmed; assert(references > 0) };
        readmit()
    :: atomic { freed == 1 -> break }
    od
}
#endif

#ifdef KILLS
// By its own handle, which the call has returned.
proctype killer() {
    bool kills_what_runs = true;
    if
    :: atomic { pushed && ends == 0 && references > 0 -> references++ };
        end_it();
        atomic { drop() }
    :: skip
    fi
}
#endif

init {
    atomic {
        run caller();
        run worker();
#if defined(QUEUE_TIMEOUT) || defined(BACK_OFF)
        run timer();
#endif
#ifdef KILLS
        run killer()
#endif
    }
    (_nr_pr == 1);
    assert(ends == 1);
    assert(freed == 1 && references == 0);
    assert(alarm == disarmed && where == gone)
}
