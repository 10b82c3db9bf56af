// SPDX-License-Identifier: Apache-2.0
// The table that finds strands by key: threads enter and leave. lib/locality/README.md explains it
// with the same words; strand.pml is what happens inside a strand.
//
// What is proved, for every interleaving:
//   - nobody touches a record that has been freed, and none is freed twice (assert in `touch`);
//   - who enters is a member of the only live record of the key (asserts in `entered`, `enter`);
//   - all get through, and in the end no record takes memory (`ltl`, asserts in `init`).
//
// Each access to what threads share is one step. What only one thread can see is not.
//
// One bucket. Sizes: -DTHREADS=2..4 -DROUNDS=n -DKEYS=n -DRECORDS=n. Thread t begins with key
// t mod KEYS and goes on to the next key in each round. -DINSIDE=n: the first n threads, at most one
// for each key, have entered before anything else happens, which makes room for more threads.
// The count of members is changed in one step, since any change comes out of the same loop.

#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef KEYS
#define KEYS 2
#endif
#ifndef RECORDS
#define RECORDS 4
#endif

#ifndef INSIDE
#define INSIDE 0
#endif

#define none 255
#define bit(r) (1 << (r))

typedef record {
    bool made;      // takes memory
    byte key;
    byte members;
    byte next;
    bool final;     // one word with `next`, which does not change any more
};
record all[RECORDS];

byte first = none;    // with `visitors` the word of the list
byte visitors = 0;
byte limbo = 0;       // set of records that are unlinked and not yet freed

byte live[KEYS] = none;  // the live record of each key
byte finished = 0;

inline touch(r) { assert(all[r].made) }

inline free_all(set) {
    d_step {
        r = 0;
        do
        :: r < RECORDS && (set & bit(r)) ->
            touch(r);
            assert(all[r].members == 0);
            all[r].made = false; all[r].key = 0; all[r].next = 0; all[r].final = false; r++
        :: r < RECORDS && !(set & bit(r)) -> r++
        :: r == RECORDS -> break
        od;
        r = 0;
        set = 0
    }
}

// --- a visit --------------------------------------------------------------------------------------

inline arrive() {
#ifdef BROKEN_NOT_COUNTED
    d_step { seen_first = first; seen_visitors = 1 }
#else
    d_step { visitors++; seen_first = first; seen_visitors = visitors }
#endif
}

#ifdef BROKEN_NOT_COUNTED
#define minus_one 0
#else
#define minus_one 1
#endif

// Ends a visit; the last one out goes back in if something waits to be freed.
inline depart() {
    do
    :: true ->
        alone = false;
        if
        :: retired != 0 || limbo != 0 ->
#ifdef BROKEN_FREED_AT_ONCE
            free_all(retired);
#endif
            d_step { seen_first = first; seen_visitors = visitors }
            if
            :: seen_visitors == minus_one ->
#ifndef BROKEN_LIMBO_TAKEN_LATE
                d_step { retired = retired | limbo; limbo = 0 }
#endif
                d_step {
                    if
                    :: first == seen_first && visitors == seen_visitors ->
                        visitors = 0;
                        alone = true
                    :: else
                    fi
                }
            :: else
            fi;
            if
            :: alone ->
#ifdef BROKEN_LIMBO_TAKEN_LATE
                d_step { retired = retired | limbo; limbo = 0 }
#endif
                free_all(retired)
            :: else -> d_step { limbo = limbo | retired; retired = 0 }
            fi
        :: retired == 0 && limbo == 0
        fi;
        if
        :: alone
        :: else -> d_step { seen_visitors = visitors; visitors = visitors - minus_one }
        fi;
#ifdef BROKEN_NO_LAST_LOOK_ALONE
        if
        :: alone -> break
        :: else
        fi;
#endif
        departed()
    od
}

// Leaves the loop around it, or starts over as a visitor.
inline departed() {
#ifdef BROKEN_NO_LAST_LOOK
    break
#else
    if
    :: seen_visitors != minus_one -> break
    :: seen_visitors == minus_one && limbo == 0 -> break
    :: seen_visitors == minus_one && limbo != 0 -> arrive()
    fi
#endif
}

// Walks from the first record that this visit has seen; `each` is a record that was joined, or none.
inline find(k) {
    each = seen_first;
    do
    :: each == none -> break
    :: each != none ->
        d_step {
            touch(each);
            if
#ifdef BROKEN_DEAD_REVIVED
            :: all[each].key == k ->
#else
            :: all[each].key == k && all[each].members > 0 ->
#endif
                all[each].members++;
                joined = true
            :: else
            fi
        }
        if
        :: joined -> joined = false; break
        :: else
        fi;
        d_step { touch(each); each = all[each].next }
    od
}

inline entered(k) {
    skip;
    d_step {
        touch(each);
        assert(all[each].key == k && all[each].members > 0);
        assert(live[k] == each)
    }
}

inline make(k) {
    d_step {
        mine = 0;
        do
        :: mine < RECORDS && all[mine].made -> mine++
        :: else -> break
        od;
        assert(mine < RECORDS);
        all[mine].made = true;
        all[mine].key = k;
        all[mine].members = 1
    }
}

inline enter(k) {
    arrive();
    do
    :: true ->
        find(k);
        if
        :: each != none ->
            if
            :: mine != none -> d_step { all[mine].made = false; all[mine].members = 0; mine = none }
            :: else
            fi;
            depart();
            break
        :: each == none && mine == none -> make(k)
        :: each == none && mine != none
        fi;
        // Inserts, if the first record is still the one that the walk began with.
        do
        :: d_step {
                first == seen_first && visitors == seen_visitors ->
                all[mine].next = seen_first;
                first = mine;
                visitors = visitors - minus_one;
                assert(live[k] == none);
                live[k] = mine
            }
            each = mine;
            mine = none;
            break
        :: d_step {
                !(first == seen_first && visitors == seen_visitors) ->
                retry = first == seen_first;
                seen_first = first;
                seen_visitors = visitors
            }
#ifndef BROKEN_INSERTED_BLINDLY
            if
            :: retry
            :: !retry -> break
            fi
#endif
        od;
        if
        :: each == none
        :: each != none ->
            // The end of the visit has come with the insertion.
            do
            :: true -> departed(); depart(); break
            od;
            break
        fi
    od
}

// --- leaving --------------------------------------------------------------------------------------

inline finalize_next(r, behind) {
    d_step {
        touch(r);
        behind = all[r].next;
#ifndef BROKEN_NOT_FINAL
        all[r].final = true
#endif
    }
}

// Dead records at the front; `each` is the first one that lives.
inline unlink_first() {
    d_step { seen_first = first; seen_visitors = visitors }
    each = seen_first;
    do
    :: each == none -> break
    :: each != none ->
        d_step { touch(each); seen = all[each].members }
        if
        :: seen != 0 -> break
        :: else
        fi;
        finalize_next(each, behind);
        d_step {
            if
            :: first == seen_first && visitors == seen_visitors ->
                first = behind;
                retired = retired | bit(each)
            :: else
            fi;
            seen_first = first;
            seen_visitors = visitors;
            each = seen_first
        }
    od;
    seen = 0
}

// Dead records behind `each`; starts over if it has died.
inline unlink_dead() {
    do
    :: true ->
        unlink_first();
        do
        :: each == none -> break
        :: each != none ->
            d_step { touch(each); retry = all[each].final; behind = all[each].next }
            if
            :: retry || behind == none -> break
            :: else
            fi;
            d_step { touch(behind); seen = all[behind].members }
            if
            :: seen != 0 -> each = behind
            :: else ->
                seen = behind;
                finalize_next(seen, behind);
                d_step {
                    touch(each);
                    if
                    :: all[each].next == seen && !all[each].final ->
                        all[each].next = behind;
                        retired = retired | bit(seen)
                    :: else
                    fi
                }
            fi;
            seen = 0
        od;
        if
        :: each == none || !retry -> break
        :: else
        fi
    od;
    skip;
    d_step { each = none; behind = 0; retry = false }
}

inline leave(r) {
    d_step {
        touch(r);
        all[r].members--;
        seen = all[r].members;
        if
        :: seen == 0 -> live[all[r].key] = none
        :: else
        fi
    }
    if
    :: seen == 0 ->
        arrive();
        // The usual case in one step.
        retry = false;
        if
        :: seen_visitors == 1 && seen_first == r ->
            d_step { touch(r); seen = all[r].members }
            if
            :: seen == 0 ->
                finalize_next(r, behind);
                d_step {
                    if
                    :: first == seen_first && visitors == seen_visitors ->
                        first = behind;
                        visitors = visitors - minus_one;
                        retired = bit(r);
                        retry = true
                    :: else
                    fi
                }
                if
                :: retry ->
                    free_all(retired);
                    do
                    :: true -> departed(); depart(); break
                    od
                :: else
                fi
            :: else
            fi
        :: else
        fi;
        if
        :: !retry -> unlink_dead(); depart()
        :: else
        fi
    :: else
    fi;
    skip;
    d_step {
        seen = 0; seen_first = none; seen_visitors = 0; behind = 0; retry = false; alone = false
    }
}

proctype thread(byte t) {
    byte round = 0, mine = none, each = none, held = none;
    byte seen_first = none, seen_visitors = 0, seen = 0, behind = 0, retired = 0, r = 0;
    bool joined = false, retry = false, alone = false;
    do
    :: round < ROUNDS ->
        if
        :: round == 0 && t < INSIDE -> each = t
        :: else -> enter((t + round) % KEYS)
        fi;
        entered((t + round) % KEYS);
        d_step {
            held = each;
            each = none; seen_first = none; seen_visitors = 0; retry = false; alone = false
        }
        leave(held);
        held = none;
        round++
    :: else -> break
    od;
    finished++
}

#define complete (finished == THREADS)

init {
    byte i = 0;
    atomic {
#if INSIDE > 0
        for (i : 0 .. INSIDE - 1) {
            all[i].made = true;
            all[i].key = i;
            all[i].members = 1;
            all[i].next = first;
            first = i;
            live[i] = i
        }
#endif
        for (i : 0 .. THREADS - 1) { run thread(i) }
        i = 0
    }
    complete;
    d_step {
        assert(first == none && visitors == 0 && limbo == 0);
        for (i : 0 .. RECORDS - 1) { assert(!all[i].made) }
    }
}

ltl all_get_through { <> complete }
