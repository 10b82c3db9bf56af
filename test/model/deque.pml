// SPDX-License-Identifier: Apache-2.0
// A worker's deque: its owner, the thieves, and how a thief that finds nothing goes to sleep.
// lib/domain/deque.md explains it with the same words; lib/domain/deque.hpp is the code.
//
// What is proved, for every interleaving:
//   - each token that was pushed is taken exactly once, and nothing else is ever taken (asserts in
//     `take`; the last assert in `init`);
//   - whenever nothing moves any more, no token lies in the deque while a thief sleeps, even if the
//     owner is busy for ever, and every thief that has taken a token too (the first assert there);
//   - each token is taken at last, and nobody goes round for ever (`ltl`).
//
// The owner does what it likes: it pushes and pops in any order, and at any time it stops, which is
// being busy for ever. Each access to what threads share is one step, as with sequentially
// consistent operations. The exception are the owner's stores to the slots and to bottom: they wait
// in a store buffer until a fence or a read-modify-write, and become visible in order, as on x86.
// With -DWEAK a store to a slot may overtake earlier ones to bottom; those to bottom never overtake
// any, since they are releases.
//
// Claiming and notifying a worker is one step here: idle_set.pml takes that apart.
//
// Sizes: -DTOKENS=1..8 -DCAPACITY=n -DTHIEVES=1..2. -DDEQUE_ONLY leaves out fence and look after a
// push, and sleeping: that makes room for larger sizes, and shows that the deque needs none of it.

#ifndef TOKENS
#define TOKENS 3
#endif
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef THIEVES
#define THIEVES 2
#endif

#define none 255
#define lost 254
#define bit(t) (1 << (t))
#define at(index) ((index) % CAPACITY)

byte top = 0, bottom = 0;
byte slot[CAPACITY] = none;
bool idle[2];  // the idle set
#ifdef BROKEN_NO_FENCE_AFTER_ANNOUNCE
bool unseen[2];  // announcements in their thieves' store buffers
#endif

byte pushed = 0;       // tokens 0 .. pushed - 1
byte taken = 0;        // one bit a token
bool release = false;  // until then a token may run as long as it likes
bool over = false;

// --- memory ---------------------------------------------------------------------------------------

#define to_bottom CAPACITY  // other places are slots
chan buffer = [4] of { byte, byte };

inline store(place, value) { buffer!place, value }
inline fence() { empty(buffer) }

proctype store_buffer() {
    byte place, value;
end:
    do
    :: d_step {
        buffer?place, value;
        if
        :: place == to_bottom -> bottom = value
        :: else -> slot[place] = value
        fi;
        place = 0;
        value = 0
    }
#ifdef BROKEN_NO_FENCE_AFTER_ANNOUNCE
    :: d_step { unseen[0] -> idle[0] = true; unseen[0] = false }
    :: d_step { unseen[1] -> idle[1] = true; unseen[1] = false }
#endif
    od
}

// --- both sides -----------------------------------------------------------------------------------

inline take(t) {
    assert(t != none);
    assert(!(taken & bit(t)));
    taken = taken | bit(t)
}

// Claims an announced thief and wakes it.
inline wake_one() {
    if
    :: d_step { idle[0] -> idle[0] = false }
    :: d_step { idle[1] -> idle[1] = false }
    :: !idle[0] && !idle[1]
    fi
}

// --- the owner ------------------------------------------------------------------------------------

#ifdef BROKEN_CAPACITY_OFF_BY_ONE
#define full(first) (end - (first) > CAPACITY)
#else
#define full(first) (end - (first) >= CAPACITY)
#endif

inline push() {
#ifdef BROKEN_LOOK_BEFORE_PUSH
    wake_one();
#endif
#ifdef BROKEN_NO_RELEASE
    store(to_bottom, end + 1);
    store(at(end), pushed);
#else
#ifdef WEAK
    if
    :: store(at(end), pushed)
    :: d_step { !(buffer??[eval(at(end)), _]) -> slot[at(end)] = pushed }  // overtakes
    fi;
#else
    store(at(end), pushed);
#endif
    store(to_bottom, end + 1);
#endif
    d_step { mine[at(end)] = pushed; end++; pushed++ }
#ifndef DEQUE_ONLY
#ifndef BROKEN_NO_FENCE_AFTER_PUSH
    fence();
#endif
#ifndef BROKEN_LOOK_BEFORE_PUSH
    wake_one();
#endif
#endif
}

inline move_bottom(value) {
#ifdef BROKEN_NO_FENCE_IN_POP
    store(to_bottom, value)
#else
    d_step { fence(); bottom = value }  // a read-modify-write
#endif
}

// The only token: as a thief would take it.
inline take_last() {
#ifdef BROKEN_LAST_WITHOUT_EXCHANGE
    d_step { top = end; take(mine[at(end - 1)]); seen = end }
#else
    d_step {
        fence();  // a read-modify-write
        if
        :: top == end - 1 -> top = end; take(mine[at(end - 1)])
        :: else
        fi;
        seen = end
    }
#endif
}

inline pop() {
    oldest = top;
    if
    :: oldest < end - 1 ->
        move_bottom(end - 1);
#ifndef BROKEN_NO_SECOND_READ
        oldest = top
#endif
    :: else
    fi;
    if
    :: oldest < end - 1 ->
        d_step {
            end--;
#ifdef BROKEN_COPY_TOO_HIGH
            seen = oldest + 1;
#else
            seen = oldest;
#endif
            take(mine[at(end)])
        }
    :: else ->
        if
        :: oldest == end - 1 -> take_last()
        :: oldest == end -> seen = end
        fi;
#ifdef BROKEN_END_IS_BOTTOM
        d_step { fence(); end = bottom; seen = end }
#endif
    fi;
    oldest = 0
}

proctype owner() {
    byte end = 0, seen = 0, oldest = 0;
    byte mine[CAPACITY] = none;  // the slots as the owner sees them, store buffer and all
    do
    :: pushed < TOKENS && !full(seen) -> push()
    :: pushed < TOKENS && full(seen) && top != seen -> seen = top
    :: end != seen -> pop()
    :: break
    od;
    end = 0;
    d_step { seen = 0; for (oldest : 0 .. CAPACITY - 1) { mine[oldest] = 0 } oldest = 0 }
}

// --- a thief --------------------------------------------------------------------------------------

#ifdef BROKEN_EMPTY_IF_EQUAL
#define nothing_at(index, behind) ((index) == (behind))
#else
#define nothing_at(index, behind) ((index) >= (behind))
#endif

// Leaves in `got` the token, `none` if the deque is empty, or `lost`.
inline steal() {
#ifdef BROKEN_BOTTOM_FIRST
    behind = bottom;
    oldest = top;
#else
    oldest = top;
#ifdef BROKEN_SLOT_BEFORE_BOTTOM
    got = slot[at(oldest)];
#endif
    behind = bottom;
#endif
    if
    :: d_step { nothing_at(oldest, behind) -> got = none }
    :: !nothing_at(oldest, behind) ->
        behind = 0;
#if !defined(BROKEN_SLOT_BEFORE_BOTTOM) && !defined(BROKEN_SLOT_AFTER_EXCHANGE)
        got = slot[at(oldest)];
#endif
#ifdef BROKEN_STEAL_WITHOUT_EXCHANGE
        d_step { top = oldest + 1; take(got) }
#else
        if
        :: d_step {
            top == oldest -> top++;
#ifndef BROKEN_SLOT_AFTER_EXCHANGE
            take(got)
#endif
        }
#ifdef BROKEN_SLOT_AFTER_EXCHANGE
            d_step { got = slot[at(oldest)]; take(got) }
#endif
        :: d_step { top != oldest -> got = lost }
        fi
#endif
    fi;
    d_step { oldest = 0; behind = 0 }
}

#ifdef BROKEN_TRIES_WITH_WHAT_IT_HAS_SEEN
// A compare-exchange that is tried again with the index that it has failed with.
inline steal_until_it_succeeds() {
    oldest = top;
    behind = bottom;
    if
    :: d_step { nothing_at(oldest, behind) -> got = none }
    :: !nothing_at(oldest, behind) ->
        got = slot[at(oldest)];
        do
        :: d_step { top == oldest -> top++; take(got) }
            break
        :: top != oldest
        od
    fi;
    oldest = 0;
    behind = 0
}
#endif

proctype thief(byte me) {
    byte oldest = 0, behind = 0, got = none;
    bool owes = false;

awake:
#ifdef BROKEN_TRIES_WITH_WHAT_IT_HAS_SEEN
    steal_until_it_succeeds();
#else
    steal();
#endif
    if
    :: got == lost -> goto awake
    :: got != lost && got != none -> goto busy
    :: got == none
    fi;
#ifdef DEQUE_ONLY
end_idle:
    top < bottom;  // until then every look would find the same
    goto awake;
#else
#ifdef BROKEN_NO_FENCE_AFTER_ANNOUNCE
    unseen[me] = true;
#else
    idle[me] = true;  // announces itself, by a read-modify-write
#endif
again:
#ifndef BROKEN_NO_SECOND_LOOK
    steal();
    if
#ifndef BROKEN_LOST_IS_EMPTY
    :: got == lost -> goto again
#else
    :: got == lost
#endif
    :: got != lost && got != none ->
#ifdef BROKEN_NO_FENCE_AFTER_ANNOUNCE
        !unseen[me];
#endif
        d_step { owes = owes || !idle[me]; idle[me] = false }  // withdraws
        goto busy
    :: got == none
    fi;
#endif
#ifdef BROKEN_NO_FENCE_AFTER_ANNOUNCE
    !unseen[me];
#endif
end_asleep:
    d_step { !idle[me] -> got = none; owes = true }  // claimed, and woken
    goto awake;
#endif

busy:
    got = none;
#ifndef DEQUE_ONLY
#ifndef BROKEN_NO_PASS_ON
    if
    :: owes ->
        oldest = top;
        if
        :: oldest < bottom -> wake_one()
        :: else
        fi;
        oldest = 0
    :: else
    fi;
#endif
    owes = false;
    if
    :: true
    :: true -> release
    fi;
#endif
    goto awake
}

// --- the properties -------------------------------------------------------------------------------

#define all_taken (taken == bit(pushed) - 1)

init {
    atomic {
        run owner();
        run store_buffer();
        run thief(0);
#if THIEVES > 1
        run thief(1)
#endif
    }
    timeout;  // true when no other process can move
    assert(all_taken || !(idle[0] || idle[1]));
    release = true;
    timeout;
    assert(all_taken && top >= bottom);
    over = true
}

ltl all_taken_at_last { <> over }
