/* SPDX-License-Identifier: MIT
 * Timers: one heap per worker, each with its lock, so that starting and stopping stay local. A worker fires its own while it is
 * busy; the one parked worker that keeps time sleeps until the earliest of all; the monitor fires what both missed. */
#ifndef CADRE_SCHED_TIMER_H
#define CADRE_SCHED_TIMER_H

#include "base/heap.h"
#include "platform/os.h"

struct cdr_timer_shard {
    struct cdr_lock lock;
    struct cdr_heap heap;
    int64_t next; /* the earliest time in the heap, INT64_MAX when it is empty; read without the lock */
};

struct cdr_timer {
    struct cdr_heap_node node;
    struct cdr_timer_shard *shard; /* NULL: not started */
    bool armed;                    /* in the heap */
    /* Called with the shard locked and the timer out of the heap, so that cdr_timer_stop, which takes the lock, can rely on
     * fire being over. Takes no lock but those of run queues, of hooks and of delayed starts. When it returns true, all of
     * cdr_timers_after are called once the shard is unlocked; the timer may be gone by then. */
    bool (*fire)(struct cdr_timer *timer);
};

/* Set by the layers above, before they start timers that ask for it. */
enum { CDR_AFTER_HOOKS, CDR_AFTER_DELAYED, CDR_AFTERS };
extern void (*cdr_timers_after[CDR_AFTERS])(void);

void cdr_timer_shard_init(struct cdr_timer_shard *shard);

/* Set fire, then start. True when it became the earliest of its shard. */
bool cdr_timer_start(struct cdr_timer *timer, struct cdr_timer_shard *shard, int64_t when);

/* After this the timer is in no heap and its fire is not running. A timer that was not started is fine. */
void cdr_timer_stop(struct cdr_timer *timer);

/* Fire what is due. True when something was. */
bool cdr_timers_fire(struct cdr_timer_shard *shard, int64_t now);

#endif
