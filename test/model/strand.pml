// SPDX-License-Identifier: Apache-2.0
// The line of one strand: submitters put tokens in line, and whoever runs a token hands the strand
// on to the next. lib/locality/README.md explains it with the same words; strand_table.pml is the
// table that finds strands by key.
//
// What is proved, for every interleaving:
//   - at most one token may run at any time (asserts in `execute`);
//   - the tokens of one submitter run in their order (the same);
//   - nothing is lost: all tokens run, and in the end the strand is unused (`ltl`, asserts in `init`).
//
// Each access to what threads share is one step. What only one thread can see is not.
//
// Sizes: -DSUBMITTERS=n -DTOKENS=n, of each. -DREUSE: each submitter has one node for all its
// tokens, which it uses again as soon as the one before has left.

#ifndef SUBMITTERS
#define SUBMITTERS 2
#endif
#ifndef TOKENS
#define TOKENS 2
#endif
#define RUNNERS 2

#ifdef REUSE
#define nodes SUBMITTERS
#define node_of(s, i) (s)
#define submitter_of(n) (n)
#else
#define nodes (SUBMITTERS * TOKENS)
#define node_of(s, i) ((s) * TOKENS + (i))
#define submitter_of(n) ((n) / TOKENS)
#endif
#define total (SUBMITTERS * TOKENS)

#define none 255
#define unused 254
#define running 253

byte queue = unused;         // or running, or the node on top of the stack
byte link[nodes] = none;
byte ready = none;           // taken from the stack, oldest first
chan runnable = [total] of { byte };

byte number[nodes];          // which of its submitter's tokens this node is
byte expected[SUBMITTERS];   // which one must run next
bool in_use[nodes];
byte executing = 0;
byte finished = 0;

inline submit(n) {
    seen = queue;
    do
    :: true ->
        if
        :: seen == unused
        :: seen == running -> link[n] = none
        :: else -> link[n] = seen
        fi;
        atomic {
            if
#ifdef BROKEN_PUSH_BY_STORE
            :: seen != unused -> queue = n; break
#endif
            :: queue == seen ->
                if
                :: seen == unused -> queue = running
                :: else -> queue = n
                fi;
                break
            :: else -> seen = queue
            fi
        }
    od;
    if
    :: seen == unused -> runnable!n
    :: else
    fi
}

proctype submitter(byte s) {
    byte i = 0, seen = 0;
    do
    :: i < TOKENS ->
        d_step {
            !in_use[node_of(s, i)] -> in_use[node_of(s, i)] = true; number[node_of(s, i)] = i
        }
        submit(node_of(s, i));
        i++
    :: else -> break
    od
}

// Takes all that were pushed; the oldest is next.
inline take_stack() {
    d_step { seen = queue; queue = running }
    d_step {
#ifdef BROKEN_NEWEST_FIRST
        next = seen;
        seen = 0;
#else
        do
        :: seen != none -> after = link[seen]; link[seen] = next; next = seen; seen = after
        :: else -> break
        od;
        seen = 0;
        after = 0
#endif
    }
}

inline finish() {
#ifdef BROKEN_STACK_BEFORE_READY
    d_step { next = none; seen = queue }
    if
    :: seen != running -> take_stack()
    :: else -> next = ready
    fi;
#else
    next = ready;
#endif
    if
    :: next == none ->
        seen = queue;
        if
#ifdef BROKEN_EXCHANGE
        :: seen == running -> queue = unused; goto idle
#else
        :: d_step { seen == running && queue == running -> queue = unused }
            goto idle
#endif
        :: d_step { seen != running || queue != running -> skip }
        fi;
        take_stack()
    :: else
    fi;
    ready = link[next]
}

inline execute(n) {
    d_step {
        assert(executing == 0);
        assert(number[n] == expected[submitter_of(n)]);
        expected[submitter_of(n)]++;
        executing++
    }
    d_step { executing--; finished++ }
}

proctype runner() {
    byte mine = none, next = none, seen = 0, after = 0;
end:
    do
    :: runnable?mine ->
        execute(mine);
        finish();
        runnable!next;
idle:
        skip;
        d_step { in_use[mine] = false; mine = none; next = none; seen = 0 }
    od
}

#define complete (finished == total)

init {
    byte i = 0;
    atomic {
        for (i : 0 .. SUBMITTERS - 1) { run submitter(i) }
        for (i : 0 .. RUNNERS - 1) { run runner() }
        i = 0
    }
    timeout;
    assert(complete);
    assert(queue == unused && ready == none)
}

ltl all_run { <> complete }
