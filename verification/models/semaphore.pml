/* The semaphore under sudden death: see README.md.
 * A acquirers of OPS rounds each, B releasers of OPS rounds of 1 or 2 permits, K deaths. */
#ifndef A
#define A 2
#endif
#ifndef B
#define B 1
#endif
#ifndef K
#define K 1
#endif
#ifndef OPS
#define OPS 2
#endif
#define PROCESSES (A + B)


byte permits;
bool sleepers;             /* the note; the word reads EMPTY when it is set and there are no permits */
bool asleep[4];
bool will[4];     /* the pending entry names the word */
byte deaths = K;

#define ANY_ASLEEP (asleep[0] || asleep[1] || asleep[2] || asleep[3])

/* The kernel wakes one of those asleep, whichever; `woken` counts them. */
inline wake_one(woken) {
    if
    :: asleep[0] -> asleep[0] = false; woken++
    :: asleep[1] -> asleep[1] = false; woken++
    :: asleep[2] -> asleep[2] = false; woken++
    :: asleep[3] -> asleep[3] = false; woken++
    :: else
    fi
}

/* One step, or the death of its process. */
#define STEP(what) if :: atomic { what } :: atomic { deaths > 0 -> deaths--; goto died } fi

#ifdef NO_WILL
#define LEAVE_WILL skip
#else
#define LEAVE_WILL will[me] = true
#endif

proctype acquirer(byte me) {
    byte rounds = OPS, ignored;
    bool slept, more;
    do
    :: rounds == 0 -> break
    :: rounds > 0 ->
        rounds--; slept = false; more = false;
        /* Spinning takes what there is. */
        if
        :: STEP(permits > 0 -> permits--); goto done
        :: skip
        fi;
        STEP(LEAVE_WILL);
look:
        if
        :: atomic { permits > 0 ->
            permits--;
#ifndef NO_MARK
            sleepers = sleepers || slept;
#endif
            more = slept && permits > 0 }
            goto taken
        :: atomic { permits == 0 -> sleepers = true }
        :: atomic { deaths > 0 -> deaths--; goto died }
        fi;
        if
        :: atomic { permits == 0 && sleepers -> asleep[me] = true }
        :: atomic { !(permits == 0 && sleepers) -> slept = true; goto look }
        :: atomic { deaths > 0 -> deaths--; goto died }
        fi;
endasleep:
        if
        :: atomic { !asleep[me] -> slept = true }
#ifdef TIMEOUT
        :: atomic { asleep[me] -> asleep[me] = false; goto over }
#endif
        :: atomic { deaths > 0 -> deaths--; asleep[me] = false; goto died }
        fi;
        goto look;
#ifdef TIMEOUT
over:   /* a last try, then it leaves */
        if
        :: atomic { permits > 0 -> permits--; sleepers = true; more = permits > 0 } goto taken
        :: atomic { permits == 0 -> skip } goto given_up
        :: atomic { deaths > 0 -> deaths--; goto died }
        fi;
#endif
taken:
#ifndef NO_HAND_ON
        if
        :: more -> STEP(wake_one(ignored))
        :: else
        fi;
#endif
#ifdef TIMEOUT
given_up:
#endif
        STEP(will[me] = false);
done:   skip
    od;
    goto over_and_out;
died:
    atomic { if :: will[me] -> wake_one(ignored) :: else fi; will[me] = false; ignored = 0 }
over_and_out: skip
}

proctype releaser(byte me) {
    byte rounds = OPS, count, woken;
    bool had;
    do
    :: rounds == 0 -> break
    :: rounds > 0 ->
        rounds--; woken = 0; had = false;
        if :: count = 1 :: count = 2 fi;
        if
        :: atomic { !sleepers -> permits = permits + count } goto done
        :: atomic { sleepers -> LEAVE_WILL }
        :: atomic { deaths > 0 -> deaths--; goto died }
        fi;
        STEP(permits = permits + count; had = sleepers; sleepers = false);
        if
        :: had ->
            STEP(wake_one(woken); if :: count == 2 -> wake_one(woken) :: else fi);
            if
            :: woken == count -> STEP(sleepers = true)
            :: else
            fi
        :: else
        fi;
        STEP(will[me] = false);
done:   skip
    od;
    goto over_and_out;
died:
    atomic { if :: will[me] -> wake_one(woken) :: else fi; will[me] = false; woken = 0 }
over_and_out: skip
}

init {
    byte next;
    atomic {
        do
        :: next < A -> run acquirer(next); next++
        :: next >= A && next < PROCESSES -> run releaser(next); next++
        :: next == PROCESSES -> break
        od
    }
    /* Nobody can move: whoever sleeps has nothing to take, and the next release will see it. */
    timeout -> assert(!ANY_ASLEEP || (permits == 0 && sleepers))
}
