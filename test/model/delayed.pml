/* SPDX-License-Identifier: MIT
 * Delayed starts: a timer that fires, the starting of what is due, somebody who cancels one of two starts, and the group's memory going away
 * once the waiter sees the count at zero. Each start runs or is dropped exactly once, nobody touches the group when it is gone, and the
 * waiter comes to its end.
 *
 * cc: -DSAFETY
 * broken: -DBROKEN_FIRE_UNCOUNTED
 * broken: -DBROKEN_TIMER_LEFT_SET
 * broken: -DBROKEN_TAKEN_TWICE
 * broken: -DBROKEN_CANCEL_UNCOUNTED
 * broken: -DBROKEN_NOT_SET_AGAIN
 *
 * Steps and source (src/group/delayed.c): timer: fire(), under the shard's lock. runner: run_fired() and start_due(). worker:
 * cdr_task_run with CDR_TASK_DUE, cdr_delayed_take. canceller: cadre_delayed_cancel. set_timer: set_timer() with cdr_timer_stop
 * and cdr_timer_start.
 *
 * Start 0 is cancelled at any time; start 1 is due later, or there is none. Time is that `now` moves on whenever it likes. All accesses are under locks
 * or read-modify-writes, so memory is sequentially consistent here. The caller of cadre_delayed_cancel sees to it that the group is there
 * while it calls; so the waiter waits for the canceller, too. Left out: limits, repeated starts, purges. */
#define NONE 9

bool p_locked = false, shard_locked = false;
byte count = 2;            /* of the group: the two starts */
bool gone = false;
byte now = 0;

bool waiting[2] = true;    /* in the heap; start i is due at i + 1 */
bool due[2] = false;       /* in the list */
bool ended[2] = false;     /* in the list, but cancelled */
byte at = 1;               /* when the timer goes off, as the group has it */
bool armed = true;
byte armed_at = 1;
bool fired = false;        /* in the list of fired groups */
byte called = 0;           /* tasks that have been pushed for what is due */
byte ran[2] = 0, dropped[2] = 0;
byte two;
bool cancelled = false;    /* the canceller is through */

inline lock_p() { atomic { assert(!gone); !p_locked -> p_locked = true } }
inline unlock_p() { assert(!gone); p_locked = false }

/* p_lock is held. */
inline set_timer(when)
{
    atomic { !shard_locked -> shard_locked = true };
    armed = false;
    at = when;
    if
    :: when != NONE -> armed = true; armed_at = when
    :: else
    fi;
    shard_locked = false
}

inline first_waiting(i)
{
    if
    :: waiting[0] -> i = 0
    :: !waiting[0] && waiting[1] -> i = 1
    :: else -> i = NONE
    fi
}

proctype clock()
{
    now = 1;
    now = 2
}

proctype timer()
{
end:
    do
    :: atomic { armed && now >= armed_at && !shard_locked -> shard_locked = true };
        if
        :: armed && now >= armed_at ->
            armed = false;
            assert(!gone);    /* something waits in the heap, and counts */
            if
            :: !fired ->
#ifndef BROKEN_FIRE_UNCOUNTED
                count++;
#endif
                fired = true
            :: else
            fi
        :: else
        fi;
        shard_locked = false
    od
}

proctype runner()
{
    byte i, time;

end:
    do
    :: atomic { fired -> fired = false };
        lock_p();
        time = now;
        first_waiting(i);
        do
        :: i != NONE && i + 1 <= time ->
            waiting[i] = false;
            due[i] = true;
            called++;    /* the task takes the start's count */
            first_waiting(i)
        :: else -> break
        od;
#ifndef BROKEN_NOT_SET_AGAIN
        if
        :: i == NONE && at != NONE -> set_timer(NONE)
        :: i != NONE && at != i + 1 -> set_timer(i + 1)
        :: else
        fi;
#endif
        unlock_p();
#ifndef BROKEN_FIRE_UNCOUNTED
        atomic { assert(!gone); count-- }
#endif
    od
}

proctype worker()
{
    byte i;
    bool alive;

end:
    do
    :: atomic { called > 0 -> called-- };
        lock_p();
        alive = false;
        if
        :: due[0] || ended[0] -> i = 0
        :: else -> i = 1
        fi;
        assert(due[i] || ended[i]);
        alive = due[i];
#ifndef BROKEN_TAKEN_TWICE
        due[i] = false;
#endif
        ended[i] = false;
        unlock_p();
        if
        :: alive -> ran[i]++
        :: else
        fi;
        atomic { assert(!gone); count-- }
    od
}

proctype canceller()
{
    bool drop = false, counted = false;
    byte i;

    lock_p();
    if
    :: waiting[0] ->
        waiting[0] = false;
        drop = true;
        counted = true;    /* the start's own */
        first_waiting(i);
#ifndef BROKEN_TIMER_LEFT_SET
        if
        :: i == NONE -> set_timer(NONE)
        :: else    /* it may go off too early */
        fi
#endif
    :: due[0] ->
        due[0] = false;
        ended[0] = true;
        drop = true
    :: else
    fi;
    if
    :: drop && !counted ->
#ifndef BROKEN_CANCEL_UNCOUNTED
        count++
#endif
    :: else
    fi;
    unlock_p();
    cancelled = true;    /* from here on only the count keeps the group */
    if
    :: drop ->
        assert(!gone);
        dropped[0]++;
#ifdef BROKEN_CANCEL_UNCOUNTED
        if
        :: counted -> atomic { assert(!gone); count-- }
        :: else
        fi
#else
        atomic { assert(!gone); count-- }
#endif
    :: else
    fi
}

proctype waiter()
{
    cancelled && count == 0;
    gone = true;
    assert(!armed && !fired);
    assert(ran[0] + dropped[0] == 1);
    assert(ran[1] == two && dropped[1] == 0)
}

init {
    atomic {
        if
        :: two = 1
        :: two = 0; waiting[1] = false; count = 1
        fi;
        run clock(); run timer(); run runner(); run worker(); run worker(); run canceller(); run waiter()
    }
}
