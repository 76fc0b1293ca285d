/* SPDX-License-Identifier: MIT
 * Parking: a fiber or a thread that blocks, and three who want to wake it, one of them its own timer. It goes on exactly
 * once, never while its old stack is in use, and nobody touches the wait or the fiber after it may be gone.
 *
 * cc: -DSAFETY
 * broken: -DBROKEN_PARKED_TOO_EARLY
 * broken: -DBROKEN_NO_CLAIM
 * broken: -DBROKEN_READY_BY_BOTH
 * broken: -DBROKEN_FINISH_IN_TWO
 * broken: -DBROKEN_TIMER_NOT_STOPPED
 * broken: -DBROKEN_LOOK_FIRST
 *
 * Steps and source (src/sched/park.h, park.c): claim: cdr_wait_claim. finish: cdr_wait_finish. parker: cdr_wait_park, with
 * its worker's parked() on the next stack and sleep_on_thread(). timer: fire(), called by cdr_timers_fire under the shard's
 * lock; stop_timer: cdr_timer_stop (src/sched/timer.c). resumer: whoever takes from the run queue that cdr_ready filled.
 *
 * All accesses to the state are read-modify-writes or loads in a loop, so memory is sequentially consistent here. One process
 * is the call that parks; `kind` says what it runs on. A futex sleeps only if the word is what was expected, and a wake-up
 * may come for no reason. Left out: spinning before the sleep, and what the finisher hands over. */
mtype = { FIBER, FALLBACK, NATIVE };    /* FALLBACK: a fiber, but there was no stack for its worker to go on with */

mtype kind;
bool claimed = false, is_parked = false, is_done = false, on_thread = false;    /* the bits of wait.state */

bool alive = true;           /* the wait, and the fiber as somebody who waits */
bool stack_in_use = true;    /* the worker is still on the fiber's stack */
byte ready = 0;              /* how often the fiber is in the run queue */
byte resumed = 0;
bool asleep = false;         /* in the futex */
byte finishes = 0;           /* worker.finishes: the futex's word, which outlives the wait */
bool armed = false, shard_locked = false;

inline make_ready() { assert(ready == 0 && resumed == 0); ready++ }

inline finish()
{
    assert(alive);
#ifdef BROKEN_FINISH_IN_TWO
    was_parked = is_parked;
    was_on_thread = on_thread;
    is_done = true;
#else
    atomic {    /* the exchange */
        was_parked = is_parked;
        was_on_thread = on_thread;
        is_done = true;
        claimed = true;
        is_parked = false;
        on_thread = false
    };
#endif
    if
    :: was_on_thread -> finishes++; asleep = false
    :: !was_on_thread && was_parked -> atomic { assert(alive); make_ready() }
#ifdef BROKEN_READY_BY_BOTH
    :: !was_on_thread && !was_parked -> make_ready()
#else
    :: else
#endif
    fi
}

inline claim()
{
    assert(alive);
    atomic { first = !claimed; claimed = true }
#ifdef BROKEN_NO_CLAIM
    ; first = true
#endif
}

inline try_to_wake()
{
    claim();
    if
    :: first -> finish()
    :: else
    fi
}

/* A waker finds the wait in some queue, under a lock that the parker takes before it goes on: see waitq.h. The wait can
 * therefore not go away before the claim; afterwards only the winner uses it. */
bool queue_locked = false, queued = true;

active [2] proctype waker()
{
    bool first, was_parked, was_on_thread;

    if
    :: atomic { !queue_locked -> queue_locked = true };
        if
        :: queued -> claim()
        :: else
        fi;
        queue_locked = false;
        if
        :: first -> finish()
        :: else
        fi
    :: skip    /* never comes, if another does */
    fi
}

active proctype timer()
{
    bool first, was_parked, was_on_thread;

end:
    armed;
    atomic { !shard_locked -> shard_locked = true };
    if
    :: armed -> armed = false; try_to_wake()
    :: else
    fi;
    shard_locked = false
}

inline sleep_on_thread()
{
    do
    ::
#ifndef BROKEN_LOOK_FIRST
        expected = finishes;
#endif
        if
        :: is_done -> break
        :: else
        fi;
#ifdef BROKEN_LOOK_FIRST
        expected = finishes;
#endif
        if
        :: atomic { expected == finishes -> asleep = true };
            if
            :: !asleep    /* woken */
            :: kind == NATIVE && !expired -> asleep = false; expired = true; try_to_wake()    /* its own timeout */
            :: !expired -> asleep = false    /* a signal */
            fi
        :: else
        fi
    od
}

active proctype parker()
{
    bool first, was_parked, was_on_thread, expired = false;
    byte expected;

    if
    :: kind = FIBER
    :: kind = FALLBACK
    :: kind = NATIVE; on_thread = true
    fi;
    if
    :: kind == NATIVE -> sleep_on_thread()
    :: else ->
        armed = true;
        if
        :: is_done    /* no need to suspend */
        :: !is_done && kind == FALLBACK -> on_thread = true; sleep_on_thread()
        :: !is_done && kind == FIBER ->
#ifndef BROKEN_PARKED_TOO_EARLY
            stack_in_use = false;    /* the switch; what follows is on the next stack */
#endif
            atomic { first = is_done; is_parked = true };
            if
            :: first -> make_ready()
            :: else
            fi;
#ifdef BROKEN_PARKED_TOO_EARLY
            stack_in_use = false;
#endif
            resumed == 1;    /* what follows is on the fiber's stack again */
        fi;
#ifndef BROKEN_TIMER_NOT_STOPPED
        atomic { !shard_locked -> shard_locked = true };
        armed = false;
        shard_locked = false
#endif
    fi;
    assert(is_done);
    atomic { !queue_locked -> queue_locked = true };
    queued = false;
    queue_locked = false;
    alive = false
}

active proctype resumer()
{
end:
    ready > 0;
    ready--;
    assert(!stack_in_use);
    resumed++
}
