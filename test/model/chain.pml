// SPDX-License-Identifier: Apache-2.0
// The counts of chains: lib/locality/chains.md explains them with the same words; the code is in
// lib/locality/chain.cpp.
//
// What is proved, for every interleaving of a lead, a child of it that opens a chain of its own, a
// child of that which creates another one, somebody who opens a chain with a record that has come
// back, and those who look at all that are open, again and again:
//   - a chain closes once, when all its members have ended, nested chains included, and no earlier;
//   - its record is given back once, and not while anybody holds it;
//   - in the end nothing is pending, and all records are in the pool;
//   - who looks holds a record of a chain that was open, and it stays what it is meanwhile;
//   - every chain closes at last, and its record comes back, whoever looks (`ltl`; that holds under
//     weak fairness, since somebody may always look once more while a chain is open).
//
// Both counts are in one word: each change is one step.
//
// Sizes: -DONLOOKERS=n.

#ifndef ONLOOKERS
#define ONLOOKERS 2
#endif

#define outer 0
#define inner 1
#define none 2

byte pending[2];
byte references[2];
byte parent[2] = none;
byte members[2];       // those that have not ended, nested chains included: what pending should be
bool open[2];
bool in_pool[2];
byte use[2];           // how often a record was taken

// A member that is pending creates one.
inline enter(c) {
    atomic {
#ifndef BROKEN_PARENT_IS_NOT_HELD
        assert(open[c]);
#endif
        pending[c]++;
        references[c]++;
        members[c]++
    }
}

inline give_back(c) { atomic { assert(!in_pool[c]); in_pool[c] = true } }

// A member ends; `with`: references that it gives up in the same step. Then the chain that the
// chain is in, if this one has closed.
inline leave(c, with, which, outward, closed, idle) {
    which = c;
    outward = with;
    do
    :: which != none ->
#ifndef BROKEN_PARENT_IS_READ_LATE
        above = parent[which];
#endif
        atomic {
            assert(pending[which] > 0 && references[which] >= outward && !in_pool[which]);
            assert(members[which] > 0);
            members[which]--;
            pending[which]--;
            references[which] = references[which] - outward;
            closed = pending[which] == 0;
            idle = references[which] == 0;
            if
            :: closed -> assert(open[which] && members[which] == 0); open[which] = false
            :: else
            fi
        };
        if
        :: idle -> give_back(which)
        :: else
        fi;
#ifdef BROKEN_PARENT_IS_READ_LATE
        above = parent[which];
#endif
        if
        :: closed -> which = above; outward = 1
        :: else -> break
        fi
    :: else -> break
    od
}

inline release(c, idle) {
    atomic {
        assert(references[c] > pending[c]);
        references[c]--;
        idle = references[c] == 0
    };
    if
    :: idle -> give_back(c)
    :: else
    fi
}

#define locals byte which, outward, above; bool closed, idle

proctype lead() {
    locals;
    leave(outer, 0, which, outward, closed, idle);
    release(outer, idle)
}

// Opens the inner chain, creates a child in it, and ends.
proctype inner_lead() {
    locals;
#ifndef BROKEN_PARENT_IS_NOT_HELD
    enter(outer);
#endif
    atomic {
        assert(in_pool[inner]);
        in_pool[inner] = false;
        use[inner]++;
        parent[inner] = outer
    };
    atomic {
        pending[inner] = 1;
        references[inner] = 1;
        members[inner] = 1;
        open[inner] = true
    };
    enter(inner);
    run child();
    leave(inner, 1, which, outward, closed, idle);
    // What the lead is in the outer chain, which is the inner one's until that has closed.
    leave(outer, 1, which, outward, closed, idle)
}

// Creates another one, which ends first.
proctype child() {
    locals;
    enter(inner);
    leave(inner, 1, which, outward, closed, idle);
#ifdef BROKEN_LEAVES_TWICE
    leave(inner, 0, which, outward, closed, idle);
#endif
    // The outer chain is open as long as a member of the inner one has not ended.
    assert(open[inner] && open[outer]);
    leave(inner, 1, which, outward, closed, idle)
}

// Takes the record of the inner chain when it has come back, for a chain without a parent.
proctype next_user() {
    locals;
    atomic { in_pool[inner] && use[inner] == 1 -> in_pool[inner] = false; use[inner]++ };
    parent[inner] = none;
    atomic {
        assert(pending[inner] == 0 && references[inner] == 0);
        pending[inner] = 1;
        references[inner] = 1;
        members[inner] = 1;
        open[inner] = true
    };
    leave(inner, 1, which, outward, closed, idle)
}

#if defined(BROKEN_HOLDS_WHAT_IS_CLOSED)
#define may_hold(c) true
#elif defined(BROKEN_HOLDS_WHAT_IS_HELD)
#define may_hold(c) (references[c] > 0)
#else
#define may_hold(c) (pending[c] > 0)
#endif

// Holds the inner chain for a while whenever it is open. One that finds it closed, and goes on, has
// changed nothing.
proctype snapshot() {
    bool idle;
    byte seen;
end:
    do
    :: atomic { may_hold(inner) -> references[inner]++; seen = use[inner] };
        atomic { assert(use[inner] == seen && !in_pool[inner]); seen = 0 };
        release(inner, idle);
        idle = false
    od
}

init {
    byte i = 0;
    atomic {
        in_pool[inner] = true;
        pending[outer] = 1;
        references[outer] = 1;
        members[outer] = 1;
        open[outer] = true;
        enter(outer);       // the inner lead, while the lead runs
        run lead();
        run inner_lead();
        run next_user();
        for (i : 1 .. ONLOOKERS) { run snapshot() }
        i = 0
    }
    timeout;  // true when no other process can move
    assert(!open[outer] && !open[inner]);
    assert(pending[outer] == 0 && pending[inner] == 0);
    assert(references[outer] == 0 && references[inner] == 0);
    assert(in_pool[outer] && in_pool[inner])
}

ltl all_close { <> (in_pool[outer] && in_pool[inner] && use[inner] == 2) }
