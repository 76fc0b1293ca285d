/* SPDX-License-Identifier: MIT
 * Delayed starts from the inside.
 *
 * A delayed start is a record in its group's heap, and one timer per group is set to the earliest of them: starts that are due at the
 * same time keep the order of the calls, whatever threads they came from, and a million of them are one timer.
 *
 *     WAITING (in the heap) --due--> DUE (in the group's list) --a worker gets to it--> started, the record is free
 *     WAITING --cancelled or stopped--> dropped, the record is free
 *     DUE --cancelled--> ENDED: its arg is dropped, the worker that gets to it finds nothing to do
 *     a repeated one: DUE --started--> RUNNING --the run ends--> WAITING for the next time that is not past,
 *                     or, cancelled or stopped meanwhile (ENDED), dropped
 *
 * What is due is started by tasks that carry no record: CDR_TASK_DUE. Whoever runs such a task takes the record that has been due
 * longest. So the order of starting does not depend on the order in which deques are emptied.
 *
 * Counts. A record counts as one task of its group; when it is due, the task that starts it takes that count over. Of a repeated one each run
 * counts as well. The timer is set only while the heap is not empty, so the group is there when it fires; firing happens under a shard's
 * lock and only puts the group into a list, counted in, from which run_fired takes it, with no lock held, to do what is to be done.
 *
 * Locks: everything here is under the group's p_lock, which is taken before a shard's; the list of fired groups has a lock of its own, taken after
 * a shard's. A record's memory is never unmapped and its id changes when it is freed, so a name (struct cadre_delayed) of a
 * record that is gone, or is another group's by now, is recognised. */
#ifndef CADRE_GROUP_DELAYED_H
#define CADRE_GROUP_DELAYED_H

#include "base/heap.h"
#include "sched/task.h"
#include "sched/timer.h"

struct cdr_start;

struct cdr_schedule {
    struct cadre_group *group;
    struct cdr_heap waiting;
    struct cdr_start *due, *due_last; /* oldest first */
    size_t held;                      /* records that count without being a task that was started */
    struct cdr_timer timer;
    int64_t at; /* when the timer goes off; INT64_MAX: it is not set */
    /* under the lock of the list */
    struct cdr_schedule *next_fired;
    bool fired;
};

static inline bool cdr_schedule_empty(const struct cdr_schedule *schedule)
{
    return cdr_heap_min(&schedule->waiting) == NULL && schedule->due == NULL;
}

/* A task with CDR_TASK_DUE is about to run or to be dropped: make it the one that it stands for. False: that one was cancelled, and
 * the task has nothing to do but to count out. */
bool cdr_delayed_take(struct cdr_task *task);
bool cdr_delayed_take_locked(struct cdr_task *task);

/* A task with CDR_TASK_REPEATED is going to be dropped: it will not come again, and becomes one like others. */
void cdr_delayed_forget(struct cdr_task *task);
void cdr_delayed_forget_locked(struct cdr_task *task);

/* The argument of a task with CDR_TASK_REPEATED. */
void *cdr_delayed_argument(const struct cdr_task *task);

/* A run of a repeated start has ended, and still counts: see to the next one. */
void cdr_delayed_again(const struct cdr_task *task);

/* p_lock is held and the group has stopped: take one that waits out of the heap, as a task to be dropped. False: there is none. */
bool cdr_delayed_purge_one(struct cadre_group *g, struct cdr_task *task);

#endif
