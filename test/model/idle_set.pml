// SPDX-License-Identifier: Apache-2.0
// The whole sleep protocol: submitters, mailbox lanes with their `occupied` hints, the idle set, and
// the workers that park. lib/sleep/README.md explains it with the same words in the same order.
//
// What is proved, for every interleaving:
//   - whenever nothing moves any more, no token waits in a lane while a worker that may take it
//     sleeps, even if every token that has started runs for ever (asserts in `monitor`);
//   - every token is executed, exactly once, and after stop every worker ends (assert in `execute`,
//     invalid end states);
//   - nobody is busy for ever without getting anywhere (`ltl`).
//
// Each access to what threads share is one step, as with sequentially consistent operations. The
// exception is the token that a submitter pushes: it waits in a store buffer until a fence or a
// read-modify-write, as plain stores do.
//
// Sizes: -DWORKERS=2..3 -DPRODUCERS=1..3 -DTOKENS=n -DLANES=1..2. With two lanes worker 0 may take
// from lane 0 only, like a worker outside the core range of a weight class. -DPLAIN_LANES leaves out
// hints and store buffers, which makes room for such larger sizes.

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef TOKENS
#define TOKENS 2
#endif
#ifndef LANES
#define LANES 1
#endif

#ifdef PLAIN_LANES
#define occupied(l) (len(queue[l]) > 0)
#else
#define occupied(l) hint[l]
#endif

#define none 255
#define bit(w) (1 << (w))
#define lane_of(t) ((t) % LANES)
#define may_take(w, l) (LANES == 1 || (w) != 0 || (l) == 0)

chan queue[LANES] = [TOKENS] of { byte };
bool hint[LANES];      // `occupied`: a lane is polled only if it is set
byte idle = 0;         // the idle set: one bit a worker
bool moved[WORKERS];   // the worker's epoch has moved since the worker took its ticket
bool asleep[WORKERS];  // in the kernel
bool stop = false;

byte buffer[PRODUCERS] = none;  // the token that this submitter's core has not made visible yet

bool started[TOKENS];
byte finished = 0;
bool release = false;  // until then an execution may last as long as it likes

// --- both sides -----------------------------------------------------------------------------------

// event_count.pml proves that this may be seen as one step.
inline notify(w) {
    d_step {
#ifndef BROKEN_NO_BUMP
        moved[w] = true;
#endif
        asleep[w] = false
    }
}

// Claims one announced worker that may take from lane l, and wakes it. Any order of preference.
inline wake_one(l) {
    seen = idle;
    do
    :: (seen & bit(0)) && may_take(0, l) -> claim(0)
    :: (seen & bit(1)) && may_take(1, l) -> claim(1)
#if WORKERS > 2
    :: (seen & bit(2)) && may_take(2, l) -> claim(2)
#endif
    :: else -> break
    od;
    seen = 0
}

// Only who clears the bit may count on the worker; others try the next.
inline claim(w) {
#ifdef BROKEN_CLAIM_IGNORES_LOSS
    d_step { idle = idle & ~bit(w); seen = 0 }
    notify(w)
#else
    if
    :: d_step { idle & bit(w) -> idle = idle & ~bit(w); seen = 0 }
        notify(w)
    :: d_step { !(idle & bit(w)) -> seen = seen & ~bit(w) }
    fi;
    if
    :: seen == 0 -> break
    :: else
    fi
#endif
}

// --- the submitter --------------------------------------------------------------------------------

#ifdef PLAIN_LANES
inline push(t) { queue[lane_of(t)]!t }
inline fence() { skip }
inline mark_occupied(l) { skip }
#else
inline push(t) { buffer[p] = t }
inline fence() { buffer[p] == none }
inline mark_occupied(l) {
    if
    :: hint[l]
    :: !hint[l] -> atomic { fence(); hint[l] = true }  // a read-modify-write
    fi
}
#endif

proctype producer(byte p) {
    byte t = p, seen = 0;
    do
    :: t < TOKENS ->
#ifdef BROKEN_LOOK_BEFORE_PUSH
        wake_one(lane_of(t));
#endif
        push(t);
#ifndef BROKEN_NO_FENCE
        fence();
#endif
        mark_occupied(lane_of(t));
#ifndef BROKEN_LOOK_BEFORE_PUSH
        wake_one(lane_of(t));
#endif
        fence();  // one token fits into the buffer
        t = t + PRODUCERS
    :: else -> break
    od
}

// The memory: makes visible what waits in the buffer, at any time.
proctype store_buffer(byte p) {
end:
    do
    :: d_step { buffer[p] != none -> queue[lane_of(buffer[p])]!buffer[p]; buffer[p] = none }
    od
}

// --- the worker -----------------------------------------------------------------------------------

// Takes a token from lane l, or leaves `got` at none.
#ifdef PLAIN_LANES
inline poll(l) {
    if
    :: queue[l]?got
    :: empty(queue[l])
    fi
}
#else
inline poll(l) {
    do
    :: !hint[l] -> break
    :: hint[l] ->
        if
        :: queue[l]?got -> break
        :: empty(queue[l])
        fi;
        hint[l] = false;
#ifdef BROKEN_CLEAR_WITHOUT_RECHECK
        break;
#endif
        if
        :: empty(queue[l]) -> break
        :: nempty(queue[l])
        fi;
        d_step {
            hint[l] = true;
#ifndef BROKEN_NO_DUTY_AFTER_REMARK
            owes = true
#endif
        }
    od
}
#endif

// All lanes that the worker may take from, in any order.
inline search(w) {
#if LANES == 1
    poll(0)
#else
    if
    :: true -> poll(0); if :: got == none && may_take(w, 1) -> poll(1) :: else fi
    :: may_take(w, 1) -> poll(1); if :: got == none -> poll(0) :: else fi
    fi
#endif
}

// Out of the idle set. Who finds its bit gone has been claimed: somebody counts on this worker.
inline withdraw(w) {
    d_step { owes = owes || !(idle & bit(w)); idle = idle & ~bit(w) }
}

// What the claim was for may still lie in a lane: somebody else must come for it.
inline pass_on(w) {
    if
    :: occupied(0) -> wake_one(0)
    :: !occupied(0)
    fi;
#if LANES > 1
    if
    :: may_take(w, 1) && occupied(1) -> wake_one(1)
    :: !may_take(w, 1) || !occupied(1)
    fi
#endif
}

inline execute(t) {
    d_step { assert(!started[t]); started[t] = true; }
    if
    :: true
    :: true -> release  // waits for another token, or just takes long
    fi;
    d_step { finished++; t = none }
}

proctype worker(byte w) {
    byte got = none, seen = 0;
    bool owes = false;

awake:
    search(w);
    if
    :: got != none -> goto busy
    :: else
    fi;

#ifdef BROKEN_STOP_BEFORE_TICKET
    if
    :: stop -> goto done
    :: !stop
    fi;
#endif
#if !defined(BROKEN_TICKET_AFTER_ANNOUNCE) && !defined(BROKEN_TICKET_AFTER_SCAN)
    moved[w] = false;  // takes the ticket
#endif
    idle = idle | bit(w);  // announces itself
#ifdef BROKEN_TICKET_AFTER_ANNOUNCE
    moved[w] = false;
#endif
#ifndef BROKEN_NO_RESCAN
    search(w);
    if
    :: got != none ->
        withdraw(w);
#ifdef BROKEN_NO_PASS_ON_AFTER_SCAN
        owes = false;
#endif
        goto busy
    :: else
    fi;
#endif
#ifdef BROKEN_TICKET_AFTER_SCAN
    moved[w] = false;
#endif

#ifndef BROKEN_STOP_BEFORE_TICKET
    if
    :: stop -> withdraw(w); goto done
    :: !stop
    fi;
#endif
    d_step { if :: !moved[w] -> asleep[w] = true :: else fi };  // futex: compares and sleeps
    !asleep[w];
#ifdef BROKEN_NO_WITHDRAW_AFTER_WAKE
    owes = true;
#else
    withdraw(w);
#endif
#ifdef BROKEN_NO_PASS_ON_AFTER_WAKE
    owes = false;
#endif
    goto awake;

busy:
#ifndef BROKEN_NO_PASS_ON
    if
    :: owes -> pass_on(w)
    :: else
    fi;
#endif
    owes = false;
    execute(got);
    goto awake;

done:
    skip
}

// --- the properties -------------------------------------------------------------------------------

#define slept_on(w, l) (asleep[w] && may_take(w, l) && len(queue[l]) > 0)

init {
    byte i = 0;
    // An earlier token may have left the hint set although the lane is empty.
#ifndef PLAIN_LANES
    if
    :: hint[0] = false
    :: hint[0] = true
    fi;
#endif
    atomic {
        for (i : 0 .. PRODUCERS - 1) { run producer(i) }
#ifndef PLAIN_LANES
        for (i : 0 .. PRODUCERS - 1) { run store_buffer(i) }
#endif
        for (i : 0 .. WORKERS - 1) { run worker(i) }
        i = 0
    }
    d_step {
        timeout;  // true when no other process can move
        for (i : 0 .. WORKERS - 1) {
            assert(!slept_on(i, 0));
            assert(!slept_on(i, LANES - 1))
        }
        i = 0;
        release = true
    }
    finished == TOKENS;
    stop = true;
    for (i : 0 .. WORKERS - 1) { notify(i) }
}

ltl all_executed { <> (finished == TOKENS) }
