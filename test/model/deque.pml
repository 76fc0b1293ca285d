/* SPDX-License-Identifier: MIT
 * The deque: an owner that pushes and pops with plain stores, thieves that take the public part, and thieves that make
 * private tasks public by force. Every task is taken exactly once.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_NO_BARRIER
 * broken: -DBROKEN_NO_REREAD
 * broken: -DBROKEN_BARRIER_FIRST
 * broken: -DBROKEN_POP_LOADS_FIRST
 *
 * Steps and source (src/sched/deque.h, deque.c): push: cdr_deque_push, cdr_deque_push_slow, spill, share_half. pop:
 * cdr_deque_pop, cdr_deque_pop_slow, refill. steal: cdr_deque_steal. force: cdr_deque_force. ask: cdr_deque_request.
 *
 * The owner has a store buffer, first in, first out, as on x86: what it writes to `tail` and to the ring comes to memory when
 * the process `memory` feels like it. Taking or leaving the lock, and any exchange, waits until the buffer is empty; the
 * membarrier of a thief waits until the owner's is. Only the owner writes tail and ring, so that its own view of them is a
 * copy. Steps of the owner that nobody else can tell apart are one step: what it puts into its buffer shows only later
 * anyway.
 *
 * There is one thief, for ever: all that thieves do they do under the lock. It may take any number of public tasks, which
 * covers the source's choice of numbers.
 *
 * Left out: shared_only (then everything is under the lock), stealing by family, drain, and processors that reorder more than
 * x86 does. */
#ifndef TASKS
#define TASKS 5
#endif
#define RING 4
#define HALF 2
#define START RING     /* so that tail - 1 never wraps */
#define LOOK_EVERY 3
#define POPS 2         /* that the owner does in between; it pops until nothing is left afterwards */
#define TAIL RING      /* in the buffer; smaller numbers are slots of the ring */

byte head = START, open = START, split = START, tail = START, limit = 0;
byte ring[RING];
byte spilled[HALF];
bool batch = false;    /* one is enough: so few are the tasks */
bool locked = false;

chan buffer = [3] of { byte, byte };
bool taken[TASKS + 1];

inline take(id)
{
    assert(id != 0 && !taken[id]);
    taken[id] = true
}

inline half_up(all, half) { half = (all) - (all) / 2 }

/* ---- the owner: t and mine are tail and ring as it sees them ---- */

inline own_lock() { !locked && empty(buffer) -> locked = true }
inline own_unlock() { empty(buffer) -> locked = false }
inline set_tail(to) { t = to; buffer!TAIL, t }

inline write_slot(at, id)
{
    mine[(at) % RING] = id;
    buffer!((at) % RING), id
}

inline share_half()
{
    half_up(t - open, n);
    open = open + n;
    split = open;
    n = 0
}

inline spill()
{
    assert(!batch);
    spilled[0] = mine[head % RING];
    spilled[1] = mine[(head + 1) % RING];
    batch = true;
    head = head + HALF;
    if
    :: open < head -> open = head; split = open
    :: else
    fi
}

inline push_slow(id)
{
    own_lock();
    if
    :: t - head == RING -> spill()
    :: else
    fi;
    write_slot(t, id);
    set_tail(t + 1);
    empty(buffer);    /* the exchange; its two halves are one step */
    n = limit;
    limit = (head + RING > t - 1 + LOOK_EVERY -> t - 1 + LOOK_EVERY : head + RING);
    if
    :: n == 0 -> share_half()
    :: else -> n = 0
    fi;
    own_unlock()
}

inline push(id)
{
    atomic {
        if
        :: t >= limit -> push_slow(id)
        :: else ->
            assert(t - head < RING);
            write_slot(t, id);
            set_tail(t + 1)
        fi
    }
}

inline refill()
{
    write_slot(t, spilled[0]);
    write_slot(t + 1, spilled[1]);
    set_tail(t + HALF);
    spilled[0] = 0;
    spilled[1] = 0;
    batch = false
}

inline pop_slow()
{
    if
    :: t == head && !batch    /* the owner alone adds tasks: empty stays empty */
    :: else ->
        own_lock();
        if
        :: t == head && batch -> refill()
        :: else
        fi;
        if
        :: t == head
        :: else ->
            got = mine[(t - 1) % RING];
            set_tail(t - 1);
            if
            :: open > t -> open = head + (t - head) / 2; split = open
            :: else
            fi
        fi;
        own_unlock()
    fi
}

/* When matches is false the newest task is not of the group that is asked for, and stays. */
inline pop(matches)
{
#ifdef BROKEN_POP_LOADS_FIRST
    n = split;
    set_tail(t - 1);
    atomic {
#else
    set_tail(t - 1);
    atomic {
        n = split;
#endif
        if
        :: t >= n && matches -> got = mine[t % RING]; n = 0
        :: t >= n && !matches -> set_tail(t + 1); n = 0
        :: else ->
            n = 0;
            set_tail(t + 1);
            pop_slow();
            if
            :: got != 0 && !matches -> push(got); got = 0
            :: else
            fi
        fi;
        if
        :: got != 0 -> take(got)
        :: else
        fi
    }
}

active proctype owner()
{
    byte t = START, mine[RING], next = 1, pops = 0, got = 0, n = 0;

    do
    :: next <= TASKS -> push(next); next++
    :: pops < POPS -> pop(true); atomic { got = 0; pops++ }
    :: pops < POPS -> pop(false); pops++
    :: next > TASKS -> break
    od;
    do
    :: pop(true);
        if
        :: got == 0 && t == head && !batch -> break
        :: else -> got = 0
        fi
    od;
    for (next : 1 .. TASKS) {
        assert(taken[next])
    }
}

active proctype memory()
{
    byte at, value;

end:
    do
    :: atomic {
        buffer?at, value ->
        if
        :: at == TAIL -> tail = value
        :: else -> ring[at] = value
        fi;
        at = 0;
        value = 0
    }
    od
}

/* ---- thieves ---- */

inline steal()
{
    if
    :: batch -> atomic { take(spilled[0]); take(spilled[1]); spilled[0] = 0; spilled[1] = 0; batch = false }
    :: else ->
        do
        :: head + n < open -> take(ring[(head + n) % RING]); n++
        :: n > 0 || head == open -> break
        od;
        atomic { head = head + n; n = 0 }
    fi
}

inline force()
{
    n = tail;
    if
    :: n > open ->
#ifdef BROKEN_BARRIER_FIRST
        empty(buffer);
#endif
        atomic { half_up(n - open, to); to = open + to; split = to };
#if !defined(BROKEN_NO_BARRIER) && !defined(BROKEN_BARRIER_FIRST)
        empty(buffer);    /* the membarrier */
#endif
#ifndef BROKEN_NO_REREAD
        n = tail;
#endif
        atomic {
            if
            :: n < to -> to = (n > open -> n : open)
            :: else
            fi;
            open = to;
            split = open
        }
    :: else
    fi;
    n = 0;
    to = 0
}

active proctype thief()
{
    byte n = 0, to = 0;

end:
    do
    :: atomic { !locked -> locked = true };
        if
        :: steal()
        :: force()
        fi;
        locked = false
    od
}

active proctype asker()
{
end:
    do
    :: limit != 0 -> limit = 0
    od
}
