/* SPDX-License-Identifier: MIT
 * The poller: no event of a descriptor is left lying, whoever computes, sleeps or dozes, and a keeper that is granted a token or poked
 * wakes, be it in the poller or on its futex. It takes a gigabyte and more than a minute with its variants, so it is not among those that
 * every check runs: copy it beside them, and `scripts/check-models ROOT OUT poller` does.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m300000 -E
 * broken: -DBROKEN_LISTENING_LATE
 * broken: -DBROKEN_NO_BELL
 * broken: -DBROKEN_LOOK_CLEARS_BELL
 * broken: -DBROKEN_NO_POKE
 * broken: -DBROKEN_OPEN_LATE
 * broken: -DBROKEN_NO_NEED
 * broken: -DBROKEN_DOZE_BLINDLY
 * broken: -DBROKEN_DOZE_WITHOUT_SECOND_LOOK
 * broken: -DBROKEN_MONITOR_LOOKS_AWAY
 * broken: -DBROKEN_KEEPER_LEAVES_UNSEEN
 * broken: -DBROKEN_SLOT_KEPT
 *
 * Steps and source: rouse, keep_time, park, wake_one, keeper_poke: rouse, keep_time and listen_until, park, cdr_wake_one,
 * cdr_keeper_poke (src/sched/idle.c). need_poller, wait_begins: cdr_poller_need, cdr_poller_wait_begins with cdr_keeper_need;
 * hand_out: collect (src/sched/poller.c) with happened (src/io/descriptor.c). find: pool_step (src/sched/loop.c) and the listing of
 * cdr_idle. monitor: look, all_quiet and doze (src/sched/monitor.c).
 *
 * One call waits for a descriptor: a plain thread's, which sleeps itself, or a fiber's, which the first worker runs at the
 * beginning and which some worker must resume. The kernel keeps an event until somebody collects it. Plain threads take all
 * tokens that are free, which only the monitor gets back, and may make a fiber ready. A timer is due once while the thread waits, which
 * makes a keeper leave. The first worker may compute for ever; the rest is the other's.
 *
 * Every word that two sides look at crosswise is accessed by sequentially consistent operations, or under idle_lock, so memory is
 * sequentially consistent here. The monitor's clock is not shown: it looks again whenever a look would change something. It wakes
 * somebody for visible work, since who was called for that may find an event first, and then does not search. That it empties
 * slots is not shown: it must not be needed. A call no longer counts as waiting once its event is collected, which is
 * earlier than in the library. Left out: timers that start, which use the same poke; pinned fibers; armings that are out of date;
 * tasks, which parking.pml has. A process that has nothing left to do just waits; check says what must be so when all do. */
#define WORKERS 2
#define NOBODY 3

mtype = { ASLEEP, POKED, GRANTED, THREAD, FIBER };

mtype kind = 0;    /* whose call it is */
mtype wake[WORKERS] = GRANTED;
bool idle[WORKERS], listening[WORKERS], slot[WORKERS];
byte idle_count = 0, searching = 0, visible = 0, tokens = 0;
byte timekeeper = NOBODY;
byte taken = 0;    /* tokens of plain threads that compute */

bool open = false, bell = false;
byte waits = 0;
bool armed = false, happened = false, pending = false;    /* pending: in the kernel's list */
bool expired = false;    /* the one timer that there is, and that needs no waiting for */
bool dormant = false, monitor_asleep = false;

/* Inside a step: parking.pml has it on its own. */
inline monitor_wake_if_dormant()
{
    if
    :: dormant -> dormant = false; monitor_asleep = false
    :: else
    fi
}

/* The word of `chosen` has changed. A futex needs no step: who sleeps on it looks at the word. */
inline rouse()
{
    atomic {
        if
#ifndef BROKEN_NO_BELL
        :: chosen != NOBODY && listening[chosen] -> bell = true
#endif
        :: else
        fi;
        chosen = NOBODY
    }
}

inline unlist(w) { idle[w] = false; idle_count--; tokens-- }

inline call(w) { unlist(w); searching++; chosen = w; wake[w] = GRANTED }

/* cdr_wake_one, in a step of the caller's, which rouse() follows. */
inline wake_one()
{
    monitor_wake_if_dormant();
    if
    :: searching == 0 && tokens > 0 && idle[0] -> call(0)
    :: searching == 0 && tokens > 0 && !idle[0] && idle[1] -> call(1)
    :: else
    fi
}

inline keeper_poke()
{
    atomic {
        if
        :: timekeeper != NOBODY && wake[timekeeper] == ASLEEP -> chosen = timekeeper; wake[chosen] = POKED
        :: else
        fi
    };
    rouse()
}

/* ---- the call that waits ---- */

inline need_poller()
{
#ifdef BROKEN_OPEN_LATE
    keeper_poke();
    open = true
#else
    open = true;
#ifndef BROKEN_NO_POKE
    keeper_poke()
#endif
#endif
}

inline wait_begins(pool)
{
    need_poller();
    atomic { armed = true; pending = happened };    /* the kernel looks at once */
    waits++;
#ifndef BROKEN_NO_NEED
    if
    :: timekeeper != NOBODY
    :: timekeeper == NOBODY && pool -> atomic { monitor_wake_if_dormant() }
    :: timekeeper == NOBODY && !pool -> atomic { wake_one() }; rouse()
    fi
#endif
}

/* In one step: from the kernel's list to the thread, or to the slot of the worker that has looked. */
inline hand_out()
{
    if
    :: pending && kind == FIBER -> slot[me] = true; waits--; pending = false; armed = false
    :: pending && kind == THREAD -> waits--; pending = false; armed = false
    :: else
    fi
}

/* ---- workers ---- */

inline leave_futex()
{
    atomic {
        wake[me] != ASLEEP;
        if
        :: wake[me] == POKED -> wake[me] = ASLEEP
        :: else
        fi
    }
}

/* In the poller, once it is open. */
inline keep_time()
{
    do
    :: !open -> leave_futex();
        if
        :: wake[me] == GRANTED -> break
        :: else
        fi
    :: open ->
#ifdef BROKEN_LISTENING_LATE
        asleep = (wake[me] == ASLEEP);
        listening[me] = true;
#else
        listening[me] = true;
        asleep = (wake[me] == ASLEEP);
#endif
        if
        :: asleep ->
            atomic {
                pending || bell || (kind == THREAD && !expired);
                asleep = false;
                if
                :: pending || bell
                :: else -> expired = true; due = true
                fi;
                rang = bell;
                events = pending;
                hand_out();
                if
                :: slot[me] -> monitor_wake_if_dormant()
                :: else
                fi
            };
            if
            :: rang -> atomic { bell = false; rang = false }
            :: else
            fi
        :: else
        fi;
        atomic {
            listening[me] = false;
            if
            :: wake[me] == POKED -> wake[me] = ASLEEP
            :: else
            fi;
            if
            :: wake[me] == GRANTED || events || due -> events = false; due = false; break
            :: else
            fi
        }
    od
}

/* No longer keeper, and no token: all of them are in use. */
inline hand_over()
{
    atomic {
#ifndef BROKEN_SLOT_KEPT
        if
        :: slot[me] -> slot[me] = false; visible++; wake_one()
        :: else
        fi;
#endif
#ifndef BROKEN_KEEPER_LEAVES_UNSEEN
        monitor_wake_if_dormant()
#endif
    };
    rouse()
}

inline park()
{
    if
    :: atomic { timekeeper == NOBODY -> timekeeper = me };
        keep_time();
        timekeeper = NOBODY;
        atomic {
            if
            :: wake[me] != GRANTED && idle[me] && tokens > 0 -> unlist(me); mine = true; monitor_wake_if_dormant()
            :: else
            fi
        };
        if
        :: !mine && wake[me] != GRANTED -> hand_over()
        :: else
        fi
    :: timekeeper != NOBODY
    fi;
    do
    :: atomic { mine -> mine = false; break }
    :: atomic { !mine && wake[me] == GRANTED -> searching--; monitor_wake_if_dormant(); break }
    :: !mine && wake[me] != GRANTED -> leave_futex()
    od
}

/* One step, as parking.pml has what can come between: its own, what the poller has, if calls wait, and what is visible; or there is
 * nothing, and it is listed. */
inline find()
{
#ifdef BROKEN_LOOK_CLEARS_BELL
    bell = false;
#endif
    if
    :: !slot[me] && waits != 0 -> hand_out()
    :: else
    fi;
    if
    :: slot[me] -> slot[me] = false; hit = true
    :: !slot[me] && visible > 0 -> visible--; hit = true
    :: else -> assert(!idle[me]); idle[me] = true; wake[me] = ASLEEP; idle_count++; tokens++
    fi
}

active [WORKERS] proctype worker()
{
    byte me = _pid, chosen = NOBODY;
    bool asleep = false, rang = false, events = false, due = false, mine = false, hit = false;

    if
    :: me == 0 -> kind = FIBER; wait_begins(true)
    :: me == 0 -> kind = FIBER; wait_begins(true); goto computes    /* another fiber, for ever */
    :: me == 0 -> kind = THREAD
    :: me != 0
    fi;
    do
    ::  atomic {
            find();
            if
            :: hit -> hit = false; goto more
            :: hit && me == 0 -> hit = false; break
            :: else
            fi
        };
        park();
more:
        skip
    od;
computes:
    false
}

/* ---- the others ---- */

active proctype waiter()
{
    byte chosen = NOBODY;

    kind == THREAD;
    wait_begins(false)
}

active proctype event() { atomic { happened = true; pending = armed } }

active proctype other()
{
    byte chosen = NOBODY;

    atomic {
        tokens > 0 -> taken = tokens; tokens = 0;
        if
        :: skip
        :: visible++
        fi
    };
    atomic { wake_one() };
    rouse()
}

#ifdef BROKEN_DOZE_BLINDLY
#define NOBODY_HEARS false
#else
#define NOBODY_HEARS (timekeeper == NOBODY && waits != 0)
#endif

active proctype monitor()
{
    byte chosen = NOBODY;

    do
    ::  atomic {
            if
#ifndef BROKEN_MONITOR_LOOKS_AWAY
            :: waits != 0 && timekeeper == NOBODY && pending && kind == FIBER -> visible++; waits--; pending = false; armed = false
            :: waits != 0 && timekeeper == NOBODY && pending && kind == THREAD -> waits--; pending = false; armed = false
#endif
            :: waits != 0 && timekeeper == NOBODY && idle_count > 0 && tokens > 0 && searching == 0
            :: visible > 0 && idle_count > 0 && tokens > 0 && searching == 0
            :: visible > 0 && tokens == 0 && taken > 0 -> tokens = taken; taken = 0
            fi;
            wake_one()
        };
        rouse()
    ::  atomic { idle_count == WORKERS && visible == 0 && !NOBODY_HEARS -> tokens = tokens + taken; taken = 0 };
        dormant = true;
        if
#ifdef BROKEN_DOZE_WITHOUT_SECOND_LOOK
        :: skip ->
#else
        :: idle_count != WORKERS || visible != 0
        :: atomic { idle_count == WORKERS && visible == 0 && NOBODY_HEARS -> wake_one() }; rouse()
        :: idle_count == WORKERS && visible == 0 && !NOBODY_HEARS && (slot[0] || slot[1])
        :: idle_count == WORKERS && visible == 0 && !NOBODY_HEARS && !slot[0] && !slot[1] ->
#endif
            atomic { monitor_asleep = dormant };
            !monitor_asleep
        fi;
        dormant = false
    od
}

/* Nobody can do anything any more. */
active proctype check()
{
    timeout;
    assert(!pending && waits == 0 && visible == 0 && !slot[0] && !slot[1] && searching == 0)
}
