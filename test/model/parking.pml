/* SPDX-License-Identifier: MIT
 * Parking the pool's threads, and the monitor that dozes: no wake-up is lost. Whatever is there to be done, somebody does it,
 * unless all tokens are in use; and the monitor does not doze while somebody computes.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_LOOK_BEFORE_LISTING
 * broken: -DBROKEN_NO_LOOK_AFTER_LISTING
 * broken: -DBROKEN_NO_SUCCESSOR
 * broken: -DBROKEN_NO_BARRIER
 * broken: -DBROKEN_NO_SECOND_LOOK
 * broken: -DBROKEN_NO_WAKE_OF_MONITOR
 * broken: -DBROKEN_UNPARK_UNSEEN
 *
 * Steps and source: wake_one: cdr_wake_one. idle: cdr_idle, list, unpark_self and park (src/sched/idle.c). search: search
 * (src/sched/loop.c), cdr_search (src/sched/steal.c). look, all_quiet, doze: the functions of these names in
 * src/sched/monitor.c. push: cdr_deque_push (src/sched/deque.h), and cdr_push_slow (src/sched/inject.c).
 *
 * Visible work stands for all that cdr_work_visible looks at; private work for the private part of the deque of `thread`, a
 * plain thread that pushes and then computes for ever. Only the monitor sees that; what it asks for, a search takes by force.
 * `thread` also makes work visible, as an injected fiber. It takes no token: there are as many as pool threads.
 *
 * The thread has a store buffer, first in, first out, as on x86: its push goes there and shows later. A fence or an exchange
 * waits until it is empty, and so does the monitor's membarrier. Everything else in this protocol is fenced or under
 * idle_lock.
 *
 * The monitor's clock is not shown. It looks again whenever a look would change something; a state in which nobody can do
 * anything, not even it, must be one without work. The first worker may find a task that never ends; the rest is the other's.
 * That the monitor wakes somebody for visible work too is not shown: it must not be needed. Left out: timers, who keeps
 * the time, tokens of plain threads, pinned fibers, the slot. */
#define WORKERS 2
#define INJECTED 2
#define PUSHED 1

byte visible = 0, private = 0, limit = 1;    /* limit: 0 asks the owner to come by, anything else lets it push */
byte searching = 0, idle_count = 0;
bool idle[WORKERS], granted[WORKERS];
bool dormant = false, monitor_asleep = false, stuck = false;
byte tokens = 0;
chan buffer = [PUSHED] of { bit };

/* The look and the exchange are one step: an exchange that comes too late does nothing. */
inline monitor_wake_if_dormant()
{
    atomic {
#ifdef BROKEN_NO_WAKE_OF_MONITOR
        skip
#else
        if
        :: dormant -> dormant = false; monitor_asleep = false
        :: else
        fi
#endif
    }
}

inline list(w) { d_step { assert(!idle[w]); idle[w] = true; granted[w] = false; idle_count++; tokens++ } }
inline unlist(w) { idle[w] = false; idle_count--; tokens-- }

/* After a fence. That the list is looked at before it is locked changes nothing. */
inline wake_one()
{
    monitor_wake_if_dormant();
    if
    :: searching != 0
    :: else ->
        d_step {
            chosen = (idle[0] -> 0 : (idle[1] -> 1 : WORKERS));
            if
            :: tokens > 0 && chosen < WORKERS -> unlist(chosen); searching++; granted[chosen] = true
            :: else
            fi;
            chosen = WORKERS
        }
    fi
}

/* One round over all that others have. */
inline look_around()
{
    if
    :: atomic { visible > 0 -> visible--; hit = true }
    :: atomic { visible == 0 && limit == 0 && private > 0 -> private--; hit = true }    /* asked for, then by force */
    :: atomic { visible == 0 && (private == 0 || limit != 0) -> hit = false }
    fi
}

inline search()
{
    searching++;
    look_around();
    d_step { searching--; last = (searching == 0) };
#ifndef BROKEN_NO_SUCCESSOR
    if
    :: last && hit -> wake_one()
    :: else
    fi;
#endif
    last = false
}

inline park()
{
    skip;    /* a label cannot come first */
end_parked:
    granted[me];
    searching--;
    monitor_wake_if_dormant()
}

inline go_idle()
{
#ifdef BROKEN_LOOK_BEFORE_LISTING
    see = (visible > 0);
    list(me);
#else
    list(me);
    see = (visible > 0);
#endif
#ifdef BROKEN_NO_LOOK_AFTER_LISTING
    see = false;
#endif
    if
    :: see ->
        d_step {    /* unpark_self */
            see = (idle[me] && tokens > 0);
            if
            :: see -> unlist(me)
            :: else
            fi
        }
    :: else
    fi;
    if
    :: see ->
        see = false;
#ifndef BROKEN_UNPARK_UNSEEN
        monitor_wake_if_dormant()
#endif
    :: else -> park()
    fi
}

active [WORKERS] proctype worker()
{
    byte me = _pid, chosen = WORKERS;
    bool hit = false, last = false, see = false;

    do
    :: search();
        if
        :: hit -> hit = false
        :: hit && me == 0 -> hit = false; stuck = true; break    /* its task computes for ever */
        :: else -> go_idle()
        fi
    od
}

/* What follows the store. */
inline push()
{
    if
    :: limit == 0 ->    /* cdr_deque_push_slow, whose lock and exchange drain the buffer */
        atomic { empty(buffer) -> limit = 1 };
        monitor_wake_if_dormant()
    :: else
    fi
}

active proctype thread()
{
    byte chosen = WORKERS, injected = 0, pushed = 0;

    do
    :: injected < INJECTED -> atomic { injected++; visible++ }; empty(buffer); wake_one()
    :: atomic { pushed < PUSHED -> pushed++; buffer!1 }; push()
    :: injected == INJECTED && pushed == PUSHED -> break
    od
}

active proctype memory()
{
end:
    do
    :: atomic { buffer?1 -> private++ }
    od
}

inline all_quiet(quiet)
{
    quiet = (idle_count == WORKERS);
    quiet = (quiet && visible == 0);
    quiet = (quiet && private == 0)
}

active proctype monitor()
{
    byte chosen = WORKERS;
    bool quiet = false;

end:
    do
    :: private > 0 && limit != 0 -> limit = 0
    :: private > 0 && searching == 0 && idle_count > 0 && tokens > 0 -> wake_one()
    :: visible == 0 && private == 0 && idle_count == WORKERS ->
        dormant = true;
        limit = 0;
#ifndef BROKEN_NO_BARRIER
        empty(buffer);    /* the membarrier */
#endif
        all_quiet(quiet);
#ifdef BROKEN_NO_SECOND_LOOK
        quiet = true;
#endif
        if
        :: quiet ->
            quiet = false;
            atomic { monitor_asleep = dormant };
end_dozing:
            !monitor_asleep
        :: else
        fi;
        dormant = false
    od
}

active proctype check()
{
    timeout -> assert(visible == 0 && private == 0 && empty(buffer) && searching == 0 && !(stuck && monitor_asleep))
}
