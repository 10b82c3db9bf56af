// SPDX-License-Identifier: Apache-2.0
// An operation state that waits for a token: lib/senders/README.md, "Waiting for a token", explains
// it with the same words; the code is in lib/senders/end_watch.cpp and tokengate/senders.hpp.
//
// What is proved, for every interleaving of the thread that starts it, the one that ends the token,
// and one that asks to stop:
//   - it completes exactly once (else somebody would stay behind: an invalid end state);
//   - nobody touches it after that;
//   - its stop callback is neither registered any more nor running on another thread by then.
//
// -DNO_STOP: nobody asks to stop. -DNO_END: the token does not end.

bool ended = false;        // the token's state word
bool attached = false;     // under the mutex of the table
bool requested = false;    // under the lock of the stop source, and the next two
bool registered = false;
bool running = false;      // the callback, on the thread that asks to stop
bool ready = false;        // steps_
bool end_said = false;
bool stop_said = false;
byte completions = 0;
bool gone = false;

#define touch assert(!gone)

// Destroys the callback, tells the receiver. `mine`: the callback that runs is the caller.
inline complete(mine) {
    touch;
#ifndef BROKEN_CALLBACK_STAYS
    registered = false;
    (mine || !running);
#endif
    atomic {
        touch;
        assert(!registered && (mine || !running));
        completions++;
        gone = true
    }
}

inline stop(mine, d) {
    touch;
    atomic { d = attached; attached = false };
#ifdef BROKEN_STOP_IGNORES_END
    d = true;
#endif
    if
    :: d ->
        atomic { touch; stop_said = true; d = ready };
        if
        :: d -> complete(mine)
        :: else
        fi
    :: else
    fi
}

active proctype start() {
    bool now, d;
    atomic { now = !ended; if :: now -> attached = true :: else fi };
    if
    :: !now -> complete(false)
    :: else ->
        atomic { touch; now = requested; if :: !now -> registered = true :: else fi };
        if
        :: now -> stop(false, d)
        :: else
        fi;
        atomic { touch; ready = true; now = end_said; d = stop_said };
        assert(!(now && d));
        if
        :: now || d -> complete(false)
        :: else
        fi
    fi
}

#ifndef NO_END
active proctype end() {
    bool told, now;
    atomic { ended = true; told = attached; attached = false };
    if
    :: told ->
        atomic { touch; end_said = true; now = ready };
#ifdef BROKEN_END_DOES_NOT_WAIT
        now = true;
#endif
        if
        :: now -> complete(false)
        :: else
        fi
    :: else
    fi
}
#endif

#ifndef NO_STOP
active proctype request() {
    bool called, d;
    atomic {
        requested = true;
        called = registered;
        if :: called -> registered = false; running = true :: else fi
    };
    if
    :: called -> stop(true, d); running = false
    :: else
    fi
}
#endif

// Whoever waits for the receiver.
active proctype receiver() {
    gone;
    assert(completions == 1)
}
