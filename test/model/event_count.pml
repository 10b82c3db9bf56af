// SPDX-License-Identifier: Apache-2.0
// The event count of lib/sleep/: one epoch word, one count of waiters, any number of either side.
// Each waiter needs one item; each notifier makes one and notifies.
//
// What is proved, for every interleaving: nobody sleeps while an item that was announced lies
// there (invalid end states), and all waiters are served in the end (`ltl`).
//
// Ways to use it, all of which must hold:
//   default               waiters prepare (register, read the ticket), look again, wait; notify()
//   -DNOTIFY_IF_WAITING   the same with notify_if_waiting(): fence, look for waiters first
//   -DLATE_REGISTRATION   waiters only read the epoch, look again, and register when they wait:
//                         how workers park. Needs notify(), which always moves the epoch
//   -DWAKE_ALL            wakes all instead of one
//
// An item is a plain store: it waits in a store buffer until a fence or a read-modify-write.

#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef NOTIFIERS
#define NOTIFIERS 2
#endif

mtype = { absent, ready, taken };

mtype item[NOTIFIERS] = absent;
bool buffered[NOTIFIERS];  // stored, but not yet visible to others
byte epoch = 0;            // the futex word
byte waiters = 0;
bool asleep[WAITERS];      // in the kernel
byte served = 0;

// --- the kernel -----------------------------------------------------------------------------------

// Compares and sleeps in one step.
inline futex_wait(w, expected) {
    d_step { if :: epoch == expected -> asleep[w] = true :: else fi };
    !asleep[w]
}

// Wakes whom it likes.
inline futex_wake() {
#ifdef WAKE_ALL
    d_step { for (i : 0 .. WAITERS - 1) { asleep[i] = false } i = 0 }
#else
    atomic {
        if
        :: asleep[0] -> asleep[0] = false
        :: asleep[1] -> asleep[1] = false
#if WAITERS > 2
        :: asleep[2] -> asleep[2] = false
#endif
        :: else
        fi
    }
#endif
}

// --- the notifier ---------------------------------------------------------------------------------

inline make_item() { buffered[n] = true }
inline fence() { !buffered[n] }

inline notify() {
#ifndef BROKEN_NO_BUMP
    atomic { fence(); epoch++ }  // a read-modify-write empties the buffer
#else
    fence();
#endif
    if
    :: waiters != 0 -> futex_wake()
    :: else
    fi
}

inline notify_if_waiting() {
#ifndef BROKEN_NO_FENCE
    fence();
#endif
    if
    :: waiters != 0 -> atomic { fence(); epoch++ } futex_wake()
    :: else
    fi
}

proctype notifier(byte n) {
    byte i = 0;
#ifdef BROKEN_NOTIFY_FIRST
    notify();
    make_item();
#else
    make_item();
#ifdef NOTIFY_IF_WAITING
    notify_if_waiting();
#else
    notify();
#endif
#endif
}

proctype store_buffer(byte n) {
end:
    do
    :: d_step { buffered[n] -> buffered[n] = false; item[n] = ready }
    od
}

// --- the waiter -----------------------------------------------------------------------------------

// One look at all items; takes one if there is one.
inline try_take() {
    atomic {
        if
        :: item[0] == ready -> item[0] = taken; got = true
        :: item[1] == ready -> item[1] = taken; got = true
#if NOTIFIERS > 2
        :: item[2] == ready -> item[2] = taken; got = true
#endif
        :: else
        fi
    }
}

proctype waiter(byte w) {
    byte ticket = 0;
    bool got = false;
    do
    :: try_take();
        if :: got -> break :: else fi;
#ifndef LATE_REGISTRATION
        waiters++;
#endif
#ifndef BROKEN_TICKET_AFTER_CHECK
        ticket = epoch;
#endif
#ifndef BROKEN_NO_RECHECK
        try_take();
        if
        :: got ->
#ifndef LATE_REGISTRATION
            waiters--;
#endif
            break
        :: else
        fi;
#endif
#ifdef BROKEN_TICKET_AFTER_CHECK
        ticket = epoch;
#endif
#if defined(LATE_REGISTRATION) && !defined(BROKEN_NO_REGISTRATION)
        waiters++;
#endif
        do
        :: epoch == ticket -> futex_wait(w, ticket)
        :: else -> break
        od;
#ifndef BROKEN_NO_REGISTRATION
        waiters--;
#endif
        ticket = 0
    od;
    served++
}

init {
    byte i = 0;
    atomic {
        for (i : 0 .. NOTIFIERS - 1) { run notifier(i); run store_buffer(i) }
        for (i : 0 .. WAITERS - 1) { run waiter(i) }
    }
}

ltl all_served { <> (served == WAITERS) }
