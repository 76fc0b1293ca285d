/* SPDX-License-Identifier: MIT
 * A group's count, and those who wait for it to become zero: the owner counts in plain fields behind a store buffer, others
 * in the shared word. Nobody sleeps for ever, returns while a task runs, or touches the group when it is gone.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_NO_BARRIER
 * broken: -DBROKEN_PLAIN_END_WHILE_WAITED
 * broken: -DBROKEN_WAITER_NOT_COUNTED
 * broken: -DBROKEN_TORN_COUNT
 * broken: -DBROKEN_CLEAR_LATER
 * broken: -DBROKEN_CHECK_BEFORE_FLAG
 *
 * Steps and source: begin: cadre_go with a local group (src/group/go.c). end_local, end_shared, check: cdr_group_end,
 * end_shared and cdr_group_check (src/group/count.c). wake, sleep, is_done: cdr_group_wake, sleep_until_done
 * (src/group/wait.c), cdr_group_is_done (src/group/group.h). The layout of the word is in group.h too; here it is `shared`
 * with the flag `waited`, changed in one step.
 *
 * p_begun and p_ended of the owner go through a store buffer, first in, first out, as on x86. A read-modify-write of the
 * owner and the membarrier of another wait until it is empty. A load of the word and of the two fields are three steps.
 *
 * Why a waiter from outside counts itself in. Who ends a task elsewhere computes the count before its compare-and-swap, and
 * must not take itself for one of several because of an old p_ended: the swap would succeed, and nobody would clear the flag.
 * Old is what has been read before the waiter's membarrier. As long as the waiter counts, nobody else can be the last; when
 * it counts itself out, after the membarrier, all swaps that were computed earlier fail, and p_ended does not change any
 * more.
 *
 * The owner starts two tasks. One it runs itself inside cadre_wait; the other is taken and ended by `thief`. The first may
 * have had a third started by `other`, before it ends, so that the count is never zero in between. `guest` waits too, or does
 * not come. The group is gone once both have returned.
 *
 * Left out: slots and dropped tasks, re-use after wait, more than one waiter from outside. */
#define OWNER 0
#define GUEST 1

short shared = 0, begun = 0, ended = 0;
bool waited = false;
chan buffer = [3] of { mtype, byte };
mtype = { BEGUN, ENDED, PUSHED };

bool pushed = false, third_wanted = false, third_in = false, gone = false;
bool in_bucket[2], woken[2];
byte live = 2, returned = 0, waiters;

inline drained() { (_pid != owner_pid || empty(buffer)) }    /* before a read-modify-write */
byte owner_pid = 255;

/* ---- what the owner sees of its own fields ---- */

short my_begun = 0, my_ended = 0;

inline load_ended() { e = (_pid == owner_pid -> my_ended : ended) }
inline load_begun() { b = (_pid == owner_pid -> my_begun : begun) }

/* ---- everybody ---- */

inline load_word()
{
    atomic { assert(!gone); s = shared; w = waited }
}

inline forget() { d_step { s = 0; w = false; e = 0; b = 0 } }

inline wake()
{
    d_step {    /* under the bucket's lock; the group is not touched */
        if
        :: in_bucket[OWNER] -> in_bucket[OWNER] = false; woken[OWNER] = true
        :: else
        fi;
        if
        :: in_bucket[GUEST] -> in_bucket[GUEST] = false; woken[GUEST] = true
        :: else
        fi
    }
}

/* Compare and swap: the word as it was loaded, for one less or the same. `clear` says that waited goes too. */
inline swap(less, clear)
{
    atomic {
        drained();
        assert(!gone);
        swapped = (shared == s && waited == w);
        if
        :: swapped -> shared = shared - less; waited = waited && !(clear)
        :: else
        fi
    }
}

inline end_shared()
{
    do
    :: load_word();
        if
        :: w -> load_ended(); load_begun()
        :: else
        fi;
        zero = w && b - e + s - 1 == 0;
#ifdef BROKEN_CLEAR_LATER
        swap(1, false);
        if
        :: swapped && zero -> atomic { assert(!gone); waited = false }
        :: else
        fi;
#else
        swap(1, zero);
#endif
        if
        :: swapped -> break
        :: else
        fi
    od;
    forget();
    if
    :: zero -> zero = false; wake()
    :: else
    fi
}

inline check()
{
    do
    :: load_word();
        if
        :: !w -> break
        :: else
        fi;
        load_ended();
        load_begun();
        if
        :: b - e + s != 0 -> break
        :: else -> swap(0, true)
        fi;
        if
        :: swapped -> wake(); break
        :: else
        fi
    od;
    forget()
}

inline is_done()
{
    do
#ifdef BROKEN_TORN_COUNT
    :: load_word();
        load_ended();
        load_begun();
        zero = (b - e + s == 0);
        break
#else
    :: load_ended();
        load_begun();
        load_word();
        zero = (b - e + s == 0);
        first[0] = e;
        first[1] = b;
        load_ended();
        load_begun();
        if
        :: !zero || first[0] == e && first[1] == b -> break
        :: else
        fi
#endif
    od;
    first[0] = 0;
    first[1] = 0;
    forget()
}

inline sleep(me)
{
    d_step { in_bucket[me] = true; woken[me] = false };
#ifdef BROKEN_CHECK_BEFORE_FLAG
    check();
#endif
#ifndef BROKEN_WAITER_NOT_COUNTED
    if
    :: me == GUEST -> atomic { assert(!gone); shared++ }
    :: else
    fi;
#endif
    atomic { drained(); assert(!gone); waited = true };
#ifndef BROKEN_NO_BARRIER
    if
    :: me == GUEST -> empty(buffer)    /* the membarrier */
    :: else
    fi;
#endif
#if defined(BROKEN_CHECK_BEFORE_FLAG)
    if
    :: me == GUEST -> atomic { shared-- }
    :: else
    fi;
#elif defined(BROKEN_WAITER_NOT_COUNTED)
    check();
#else
    if
    :: me == GUEST -> end_shared()
    :: else -> check()
    fi;
#endif
    woken[me]
}

inline wait(me)
{
    do
    :: is_done();
        if
        :: zero -> zero = false; break
        :: else -> sleep(me)
        fi
    od;
    assert(live == 0);
    atomic {
        returned++;
        if
        :: returned == waiters -> gone = true
        :: else
        fi
    }
}

inline store(what, value) { assert(!gone); buffer!what, value }

inline end_local()
{
    live--;
#ifdef BROKEN_PLAIN_END_WHILE_WAITED
    my_ended++;
    store(ENDED, my_ended);
    if
    :: waited -> empty(buffer); check()
    :: else
    fi
#else
    if
    :: waited -> end_shared()
    :: else ->
        my_ended++;
        store(ENDED, my_ended);
        if
        :: waited -> my_ended--; store(ENDED, my_ended); end_shared()
        :: else
        fi
    fi
#endif
}

active proctype owner()
{
    short s, e, b;
    bool w, swapped, zero;
    short first[2];

    owner_pid = _pid;
    if
    :: waiters = 1
    :: waiters = 2
    fi;
    if
    :: third_wanted = true
    :: skip
    fi;
    my_begun = 2;
    store(BEGUN, my_begun);
    store(PUSHED, 1);
    if
    :: third_wanted -> third_in
    :: else
    fi;
    end_local();
    wait(OWNER)
}

active proctype memory()
{
    mtype what;
    byte value;

end:
    do
    :: atomic {
        buffer?what, value ->
        if
        :: what == BEGUN -> begun = value
        :: what == ENDED -> ended = value
        :: what == PUSHED -> pushed = true
        fi;
        value = 0
    }
    od
}

active proctype thief()
{
    short s, e, b;
    bool w, swapped, zero;

    pushed;
    live--;
    end_shared()
}

active proctype other()
{
    short s, e, b;
    bool w, swapped, zero;

end:
    pushed && third_wanted;
    atomic { assert(!gone); shared++; live++ };
    third_in = true;
    live--;
    end_shared()
}

active proctype guest()
{
    short s, e, b;
    bool w, swapped, zero;
    short first[2];

    pushed;
    if
    :: waiters == 2 -> wait(GUEST)
    :: else
    fi
}
