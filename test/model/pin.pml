// SPDX-License-Identifier: Apache-2.0
// A slot of the sticky table: threads pin it and release it again. lib/locality/README.md explains
// it with the same words.
//
// What is proved, for every interleaving:
//   - all who hold the slot at the same time have been told the same domain, and the slot keeps it
//     (asserts in `hold`);
//   - a candidate becomes the domain only while nobody else holds one (assert in `told`);
//   - no count of 0 keeps a domain (assert in `changed`), and in the end the slot is free;
//   - everybody gets through (`ltl`).
//
// Each access to the slot is one step. Sizes: -DTHREADS=2..4 -DROUNDS=n.

#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

#define undecided 0

byte domain = undecided;  // with `count` one word
byte count = 0;

byte holders = 0;  // those that have been told a domain and have not begun to release
byte agreed = 0;   // what they were told
byte done = 0;

// After each step that changes the word.
#ifdef BROKEN_TWO_STEPS
inline changed() { skip }  // what comes of it must be noticed, too
#else
inline changed() { assert(count > 0 || domain == undecided) }
#endif

inline told(which) {
    mine = which;
    if
    :: holders == 0 -> agreed = mine
    :: else -> assert(agreed == mine)
    fi;
    holders++
}

inline acquire(candidate) {
    d_step {
        count++;
        seen_domain = domain;
        seen_count = count;
        changed();
        if
        :: domain != undecided -> told(domain)
        :: else
        fi
    }
    do
    :: mine != undecided -> break
    :: mine == undecided ->
        d_step {
            if
#ifdef BROKEN_DECIDED_BY_STORE
            :: true ->
#else
            :: domain == seen_domain && count == seen_count ->
#endif
                domain = candidate;
                told(candidate)
            :: else ->
                seen_domain = domain;
                seen_count = count;
                if
                :: domain != undecided -> told(domain)
                :: else
                fi
            fi
        }
    od
}

inline release() {
    d_step {
        holders--;
        seen_domain = domain;
        seen_count = count
    }
#ifdef BROKEN_NOT_COUNTED
    d_step { domain = undecided; count-- }
#elif defined(BROKEN_TWO_STEPS)
    d_step { count--; seen_count = count }
    if
    :: seen_count == 0 -> domain = undecided
    :: else
    fi
#else
    do
    :: d_step {
#ifdef BROKEN_RELEASED_BY_STORE
            true ->
#else
            domain == seen_domain && count == seen_count ->
#endif
            if
            :: seen_count == 1 -> domain = undecided; count = 0
            :: else -> count = seen_count - 1
            fi;
            changed()
        }
        break
    :: d_step {
            !(domain == seen_domain && count == seen_count) ->
            seen_domain = domain;
            seen_count = count
        }
    od
#endif
}

inline hold() {
    assert(domain == mine && count > 0);
    assert(domain == mine && count > 0)
}

proctype user(byte me) {
    byte round = 0, mine = undecided, seen_domain = 0, seen_count = 0;
    do
    :: round < ROUNDS ->
        acquire(me + 1);
        hold();
        release();
        mine = undecided;
        round++
    :: else -> break
    od;
    done++
}

init {
    byte i = 0;
    atomic {
        for (i : 0 .. THREADS - 1) { run user(i) }
        i = 0
    }
    done == THREADS;
    assert(count == 0 && domain == undecided)
}

ltl all_get_through { <> (done == THREADS) }
