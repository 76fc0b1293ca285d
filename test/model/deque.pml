/* SPDX-License-Identifier: MIT
 * The deque: an owner that pushes and pops with plain stores, thieves that take the public part, and thieves that make private
 * tasks public by force. Every task is taken exactly once.
 *
 * spin: -DTASKS=5
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_NO_BARRIER
 * broken: -DBROKEN_NO_REREAD
 * broken: -DBROKEN_NO_SPLIT_CHECK
 *
 * Steps and source (src/sched/deque.h, deque.c): push: cdr_deque_push, cdr_deque_push_slow, spill, share_half. pop: cdr_deque_pop,
 * cdr_deque_pop_slow, refill. steal: cdr_deque_steal. force: cdr_deque_force. ask: cdr_deque_request.
 *
 * The owner has a store buffer, first in, first out, as on x86: what it writes to `tail` and to the ring comes to memory when the
 * process `memory` feels like it. Taking or leaving the lock, and any exchange, waits until the buffer is empty; the membarrier of
 * a thief waits until the owner's is. Only the owner writes tail and ring, so that its own view of them is a copy.
 *
 * Left out: shared_only (then everything is under the lock), stealing by family, drain, and processors that reorder more
 * than x86 does. Thieves may take any number of public tasks, which covers the source's choice of numbers. */
#define RING 4
#define HALF 2
#define START RING     /* so that tail - 1 never wraps */
#define LOOK_EVERY 3
#define POPS 3         /* that the owner does in between; it pops until nothing is left afterwards */
#define THEFTS 2       /* steps of each thief */
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

/* ---- the owner ---- */

byte t = START, mine[RING];    /* tail and ring as the owner sees them */
byte next_id = 1, pops, got, want, seen;
bool found;

inline own_lock() { atomic { !locked && empty(buffer) -> locked = true } }
inline own_unlock() { atomic { empty(buffer) -> locked = false } }
inline set_tail(to) { t = to; buffer!TAIL, t }

inline write_slot(at, id)
{
    mine[(at) % RING] = id;
    buffer!((at) % RING), id
}

inline share_half()
{
    half_up(t - open, want);
    open = open + want;
    split = open
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
    want = (head + RING > t - 1 + LOOK_EVERY -> t - 1 + LOOK_EVERY : head + RING);
    atomic { empty(buffer) -> found = (limit == 0); limit = want };
    if
    :: found -> share_half()
    :: else
    fi;
    own_unlock()
}

inline push(id)
{
    if
    :: t >= limit -> push_slow(id)
    :: else ->
        write_slot(t, id);
        assert(t - head < RING);
        set_tail(t + 1)
    fi
}

inline refill()
{
    write_slot(t, spilled[0]);
    write_slot(t + 1, spilled[1]);
    set_tail(t + HALF);
    batch = false
}

inline pop_slow()
{
    got = 0;
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
    got = 0;
    set_tail(t - 1);
    seen = split;
#ifdef BROKEN_NO_SPLIT_CHECK
    seen = (seen > head -> head : seen);
#endif
    if
    :: t >= seen && matches -> got = mine[t % RING]
    :: t >= seen && !matches -> set_tail(t + 1)
    :: else ->
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

active proctype owner()
{
    byte id;

    do
    :: next_id <= TASKS -> push(next_id); next_id++
    :: pops < POPS -> pops++; pop(true)
    :: pops < POPS -> pops++; pop(false)
    :: next_id > TASKS -> break
    od;
    do
    :: pop(true); if :: got == 0 && t == head && !batch -> break :: else fi
    od
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
        at = 0; value = 0
    }
    od
}

/* ---- thieves ---- */

inline try_lock(got_it) { atomic { got_it = !locked; locked = true } }

inline steal()
{
    if
    :: batch -> take(spilled[0]); take(spilled[1]); batch = false
    :: else ->
        n = 0;
        do
        :: head + n < open -> take(ring[(head + n) % RING]); n++
        :: n > 0 || head == open -> break
        od;
        head = head + n
    fi
}

inline force()
{
    see = tail;
    if
    :: see > open ->
        half_up(see - open, n);
        n = open + n;
        split = n;
#ifndef BROKEN_NO_BARRIER
        empty(buffer);    /* the membarrier */
#endif
#ifndef BROKEN_NO_REREAD
        see = tail;
#endif
        if
        :: see < n -> n = (see > open -> see : open)
        :: else
        fi;
        open = n;
        split = open
    :: else
    fi
}

active [2] proctype thief()
{
    byte steps = 0, n, see;
    bool have;

    do
    :: steps < THEFTS ->
        steps++;
        n = 0; see = 0;
        if
        :: try_lock(have); if :: have -> steal(); locked = false :: else fi
        :: try_lock(have); if :: have -> force(); locked = false :: else fi
        :: limit = 0
        fi
    :: steps == THEFTS -> break
    od
}

/* ---- when all have ended ---- */

active proctype check()
{
    byte id = 1;

    timeout ->
    assert(head == tail && !batch);
    do
    :: id <= TASKS -> assert(taken[id]); id++
    :: else -> break
    od
}
