/* SPDX-License-Identifier: MIT
 * Channels and select: two selects, a sender, a receiver and a cancel over two channels. No deadlock, no element lost or
 * doubled, nobody waits while there is somebody to trade with, and nobody touches a waiter that is gone.
 *
 * cc: -DSAFETY -DCOLLAPSE
 * pan: -m200000
 * broken: -DBROKEN_LOCK_ORDER
 * broken: -DBROKEN_NO_DEQUEUE
 * broken: -DBROKEN_NO_CLAIM
 * broken: -DBROKEN_UNLOCK_TO_ENQUEUE
 *
 * Steps and source: send_now, recv_now: cdr_chan_send_now, cdr_chan_recv_now (src/sync/channel.c). take, wake:
 * cdr_waitq_take, cdr_waitq_wake (src/sync/waitq.h). chooser: cadre_select with lock_all, try_all, enqueue_all, wait_for_one
 * (src/sync/select.c). trader: cadre_send and cadre_recv with cdr_waitq_wait (src/sync/waitq.c), which do the same with one
 * case. canceller: tell, in src/sync/context.c.
 *
 * The channels have room for one element, or are rendezvous. FIRST receives from A or sends to B, SECOND the other way round,
 * so that each could serve the other in two ways. All waiters of a call share its wait: claimed and done. Work under a lock
 * is one step, except where the locks are taken. Left out: closing, deadlines, a channel that occurs twice in a select. */
#define A 0
#define B 1
#define FIRST 0
#define SECOND 1
#define SENDER 2      /* to A */
#define RECEIVER 3    /* from B */
#define NOBODY 4
#define CANCELLED 2   /* instead of the channel by which a call was woken */

byte capacity, count[2], slot[2];
bool locked[2];
chan receivers_a = [4] of { byte };
chan receivers_b = [4] of { byte };
chan senders_a = [4] of { byte };
chan senders_b = [4] of { byte };

bool waits[4];                 /* the call is under way and has waiters somewhere */
bool claimed[4], done[4];
byte value[4];                 /* how it was woken */
byte element[8];               /* of call and channel: what to send, or where to receive */
byte sent = 0, received = 0;   /* sets of elements, as bits */

inline lock(c) { atomic { !locked[c] -> locked[c] = true } }
inline unlock(c) { locked[c] = false }
inline lock_all(c, d) { lock(c); lock(d) }
inline unlock_all() { unlock(A); unlock(B) }

inline was_sent(e) { assert(!(sent & (1 << (e)))); sent = sent | (1 << (e)) }
inline was_received(e) { assert((e) != 0 && !(received & (1 << (e)))); received = received | (1 << (e)) }

/* The first in the queue that can still be claimed, or NOBODY. */
inline take(queue)
{
    served = NOBODY;
    do
    :: served == NOBODY && len(queue) > 0 ->
        queue?served;
        assert(waits[served]);
        if
#ifdef BROKEN_NO_CLAIM
        :: true -> claimed[served] = true
#else
        :: !claimed[served] -> claimed[served] = true
        :: else -> served = NOBODY
#endif
        fi
    :: else -> break
    od
}

/* result: done now or not. */
inline send_now(c, queue)
{
    result = true;
    take(queue);
    if
    :: served != NOBODY -> element[served * 2 + c] = element[me * 2 + c]
    :: served == NOBODY && count[c] < capacity -> slot[c] = element[me * 2 + c]; count[c]++
    :: else -> result = false
    fi
}

inline recv_now(c, queue)
{
    result = true;
    if
    :: count[c] > 0 ->
        element[me * 2 + c] = slot[c];
        count[c]--;
        slot[c] = 0;
        take(queue);
        if
        :: served != NOBODY -> slot[c] = element[served * 2 + c]; count[c]++
        :: else
        fi
    :: else ->
        take(queue);
        if
        :: served != NOBODY -> element[me * 2 + c] = element[served * 2 + c]
        :: else -> result = false
        fi
    fi
}

inline wake(c)
{
    if
    :: served != NOBODY ->
        atomic { assert(waits[served]); value[served] = c };
        atomic { assert(waits[served]); done[served] = true; served = NOBODY }
    :: else
    fi
}

inline drop(queue)
{
    if
    :: queue??[eval(me)] -> queue??eval(me)
    :: else
    fi
}

/* What came of it: by channel c, as sender or as receiver. */
inline account(c, is_send)
{
    atomic {
        if
        :: is_send -> was_sent(element[me * 2 + c])
        :: else -> was_received(element[me * 2 + c])
        fi
    }
}

inline try_a()
{
    if
    :: me == FIRST -> recv_now(A, senders_a)
    :: else -> send_now(A, receivers_a)
    fi
}

inline try_b()
{
    if
    :: me == FIRST -> send_now(B, receivers_b)
    :: else -> recv_now(B, senders_b)
    fi
}

inline enqueue_all()
{
    waits[me] = true;
    if
    :: me == FIRST -> receivers_a!me; senders_b!me
    :: else -> senders_a!me; receivers_b!me
    fi
}

proctype chooser(byte me)
{
    byte served = NOBODY, by = NOBODY;
    bool result;

#ifdef BROKEN_LOCK_ORDER
    if
    :: me == FIRST -> lock_all(A, B)
    :: else -> lock_all(B, A)
    fi;
#else
    lock_all(A, B);
#endif
    atomic {
        if
        :: by = A; try_a(); if :: !result -> by = B; try_b() :: else fi
        :: by = B; try_b(); if :: !result -> by = A; try_a() :: else fi
        fi
    };
    if
    :: result -> unlock_all(); wake(by)
    :: else ->
#ifdef BROKEN_UNLOCK_TO_ENQUEUE
        unlock_all();
        lock_all(A, B);
#endif
        atomic { enqueue_all() };
        unlock_all();
end_parked:
        done[me];
        by = value[me];
#ifndef BROKEN_NO_DEQUEUE
        lock_all(A, B);
        atomic {
            drop(receivers_a);
            drop(receivers_b);
            drop(senders_a);
            drop(senders_b)
        };
        unlock_all();
#endif
        waits[me] = false
    fi;
    if
    :: by == CANCELLED
    :: by == A -> account(A, me == SECOND)
    :: by == B -> account(B, me == FIRST)
    fi
}

proctype trader(byte me)
{
    byte served = NOBODY, by = NOBODY, c = (me == SENDER -> A : B);
    bool result;

    lock(c);
    atomic {
        if
        :: me == SENDER -> send_now(A, receivers_a)
        :: else -> recv_now(B, senders_b)
        fi
    };
    if
    :: result -> unlock(c); by = c; wake(c)
    :: else ->
        atomic {
            waits[me] = true;
            if
            :: me == SENDER -> senders_a!me
            :: else -> receivers_b!me
            fi
        };
        unlock(c);
end_parked:
        done[me];
        by = value[me];
        if
        :: by == CANCELLED ->
            lock(c);
            atomic { drop(senders_a); drop(receivers_b) };
            unlock(c)
        :: else
        fi;
        waits[me] = false
    fi;
    if
    :: by == CANCELLED
    :: else -> account(c, me == SENDER)
    fi
}

/* The wait is alive as long as the context is locked, which is not shown: so finding it is one step with claiming it. */
proctype canceller(byte who)
{
    bool first;

end:
    atomic { waits[who] -> first = !claimed[who]; claimed[who] = true };
    if
    :: first -> value[who] = CANCELLED; done[who] = true
    :: else
    fi
}

init
{
    atomic {
        if
        :: capacity = 0
        :: capacity = 1
        fi;
        element[FIRST * 2 + B] = 1;
        element[SECOND * 2 + A] = 2;
        element[SENDER * 2 + A] = 3;
        run chooser(FIRST);
        run chooser(SECOND);
        run trader(SENDER);
        run trader(RECEIVER);
        if
        :: run canceller(FIRST)
        :: run canceller(SENDER)
        :: skip
        fi
    };
    timeout;
    assert(!locked[A] && !locked[B]);
    /* every element that was sent has been received or lies in a channel */
    assert((received & ~sent) == 0);
    assert((sent & ~received) == ((count[A] > 0 -> 1 << slot[A] : 0) | (count[B] > 0 -> 1 << slot[B] : 0)));
    /* nobody who waits could go */
    assert(!(len(receivers_a) > 0 && (len(senders_a) > 0 || count[A] > 0)));
    assert(!(len(receivers_b) > 0 && (len(senders_b) > 0 || count[B] > 0)));
    assert(!(len(senders_a) > 0 && count[A] < capacity));
    assert(!(len(senders_b) > 0 && count[B] < capacity))
}
