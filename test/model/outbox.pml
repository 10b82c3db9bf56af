// SPDX-License-Identifier: Apache-2.0
// An outbox: the thread that submits, those that take, and a ring that grows. lib/domain/outbox.md
// explains it with the same words; lib/domain/outbox.hpp is the code.
//
// What is proved, for every interleaving:
//   - each token that was pushed is taken exactly once, first in, first out, and nothing else is
//     ever taken: token i carries the number i (asserts in `took`, and the last one in `init`);
//   - who finds nothing has looked at an outbox that was empty (assert in `take`);
//   - `end_seen` never runs ahead of `bottom` (assert in `not_ahead`);
//   - no taker reads a ring that could not hold its token (assert in `read_slot`).
//
// The owner pushes, and at any time it stops, which is being busy for ever. If the last ring is
// full, it waits; the mailbox would go another way.
//
// Each access to what threads share is one step. The load of the ring may return any ring from the
// one on that was in use when the end was stored that the taker goes by; that of `end_seen`, the
// first value of all instead of the last.
//
// Sizes: -DTOKENS=1..8 -DTAKERS=1..3 -DFIRST=capacity of the first ring -DRINGS=1..3.

#ifndef TOKENS
#define TOKENS 5
#endif
#ifndef TAKERS
#define TAKERS 2
#endif
#ifndef FIRST
#define FIRST 1
#endif
#ifndef RINGS
#define RINGS 3
#endif

#define none 255

// Ring r has FIRST * 2^r slots; the rings lie behind each other.
#define capacity(r) (FIRST << (r))
#define at(r, index) (FIRST * ((1 << (r)) - 1) + (index) % capacity(r))

byte top = 0, bottom = 0, end_seen = 0;
byte ring = 0;                     // the newest that takers may see
byte slot[7 * FIRST] = none;       // room for three rings
byte ring_at[TOKENS + 2];          // the newest that they could see when bottom became that
byte freed = 0;                    // rings below that one have been freed

byte pushed = 0;
byte taken = 0;  // tokens 0 .. taken - 1

// --- the owner ------------------------------------------------------------------------------------

#ifdef BROKEN_CAPACITY_OFF_BY_ONE
#define full() (end - seen > capacity(own))
#elif defined(BROKEN_NO_CAPACITY)
#define full() false
#else
#define full() (end - seen >= capacity(own))
#endif

inline publish_ring() { ring = own }

inline publish_end() { d_step { bottom = end + 1; ring_at[end + 1] = ring } }

inline grow() {
    // Nobody else sees the new ring, and nobody but the owner writes to the old one.
    d_step {
        own++;
#ifndef BROKEN_NO_COPY
        for (i : seen .. end - 1) {
#ifdef BROKEN_COPIED_BY_PLACE
            slot[at(own, i % capacity(own - 1))] = slot[at(own - 1, i)]
#else
            slot[at(own, i)] = slot[at(own - 1, i)]
#endif
        }
#endif
        i = 0
    }
#ifndef BROKEN_BOTTOM_BEFORE_RING
    publish_ring();
#endif
#ifdef BROKEN_FREED_AT_ONCE
    freed = own;
#endif
}

proctype owner() {
    byte end = 0, seen = 0, own = 0, i = 0;
    do
    :: pushed < TOKENS ->
        if
        :: full() ->
#ifdef BROKEN_COPY_TOO_HIGH
            seen = top + 1;
#else
            seen = top;
#endif
            if
            :: own < RINGS - 1 -> grow()  // room or not: it is the owner's choice
            :: !full()
            :: full() && own == RINGS - 1 ->
end_full:
                top > seen -> goto next
            fi
        :: else
        fi;
#ifdef BROKEN_BOTTOM_BEFORE_SLOT
        publish_end();
        slot[at(own, end)] = end;
#else
        slot[at(own, end)] = end;
        publish_end();
#endif
#ifdef BROKEN_BOTTOM_BEFORE_RING
        publish_ring();
#endif
        d_step { end++; pushed++ }
next:
        skip
    :: break
    od;
    atomic { end = 0; seen = 0; own = 0 }
}

// --- a taker --------------------------------------------------------------------------------------

inline took(token) {
    assert(token == first && token == taken && token < TOKENS);
    taken++
}

// Any ring that the load may return.
inline choose_ring() {
#ifdef BROKEN_RING_BEFORE_END
    skip
#else
    which = ring_at[end];
    do
    :: which < ring -> which++
    :: break
    od
#endif
}

inline read_slot() {
    atomic {
        assert(which >= freed);
        if
        :: got = slot[at(which, first)]
#ifdef BROKEN_RING_RELAXED
        :: which > ring_at[end] -> got = none  // its slots may not have arrived
#endif
        fi
    }
}

// What comes of it must be noticed, too.
#if defined(BROKEN_BLIND_END) || defined(BROKEN_END_TOO_HIGH)
inline not_ahead() { skip }
#else
inline not_ahead() { assert(end_seen <= bottom) }
#endif

inline take() {
    first = top;
    do
    :: true ->
#ifdef BROKEN_RING_BEFORE_END
        which = ring;
#endif
        if
        :: end = end_seen
        :: end = 0
        fi;
        if
        :: first >= end ->
#ifdef BROKEN_BLIND_END
            end = first + 1;
#else
            d_step {
#ifdef BROKEN_EMPTY_BY_END_SEEN
                end = end_seen;
#else
                end = bottom;
#endif
                if
                :: first >= end -> assert(top >= bottom)  // nothing there at this moment
                :: else
                fi
            }
#endif
            if
            :: first >= end -> break
            :: else
            fi;
#ifdef BROKEN_END_TOO_HIGH
            end++;
#endif
            d_step { end_seen = end; not_ahead() }
        :: else
        fi;
        choose_ring();
#ifndef BROKEN_SLOT_AFTER_EXCHANGE
        read_slot();
#endif
#ifdef BROKEN_NO_EXCHANGE
        d_step { top = first + 1; took(got) }
        break
#else
        if
        :: d_step {
            top == first -> top++;
#ifndef BROKEN_SLOT_AFTER_EXCHANGE
            took(got)
#endif
        }
#ifdef BROKEN_SLOT_AFTER_EXCHANGE
            read_slot();
            assert(got == first);
            taken++;
#endif
            break
        :: d_step { top != first -> first = top }
        fi
#endif
    od;
    atomic { first = 0; end = 0; which = 0; got = none }
}

proctype taker() {
    byte first = 0, end = 0, which = 0, got = none;
end_idle:
    do
    :: top < bottom -> take()  // otherwise every look would find the same
    od
}

// --- the properties -------------------------------------------------------------------------------

init {
    byte i = 0;
    atomic {
        run owner();
        for (i : 1 .. TAKERS) { run taker() }
        i = 0
    }
    timeout;  // true when no other process can move
    assert(taken == pushed && top == bottom)
}
