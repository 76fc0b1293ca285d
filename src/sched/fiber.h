/* SPDX-License-Identifier: MIT
 * Fibers: stacks that code can be suspended on, and the pool that they come from.
 *
 * A worker always runs on some fiber. Tasks run to completion on it, one after the other, without owning it; only when a task
 * blocks does the fiber stay behind with it, and the worker goes on with another. A thread's native stack is a fiber too,
 * which never leaves its thread.
 *
 *                     cdr_fiber_get            switched to             task blocks: cdr_suspend
 *     (pool, global) ---------------> (ready) -------------> (running) --------------------> (suspended)
 *          ^                                                  |    ^                              |
 *          |      its worker resumes another fiber instead    |    |     cdr_ready, then picked   |
 *          +--------------------------------------------------+    +------------------------------+
 */
#ifndef CADRE_SCHED_FIBER_H
#define CADRE_SCHED_FIBER_H

#include "platform/context.h"
#include "platform/os.h"
#include "platform/sanitizer.h"
#include "sched/task.h"

struct cdr_frame;

struct cdr_fiber {
    struct cdr_context context;
    struct cdr_worker *worker; /* that runs it, set before it is switched to: after a suspension the way to the new worker */
    struct cdr_frame *frame;   /* the group layer's: the innermost task that runs on it */
    uintptr_t low, high;       /* the usable stack */
    struct cdr_fiber *next;    /* in the queue or pool that it is in */
    struct cdr_worker *home;   /* where it must be resumed while pins is not 0 */
    unsigned pins;
    bool native;
    unsigned char size_class;
    struct cdr_slab *slab;     /* that the stack belongs to */
    struct cdr_task first; /* first.fn != NULL: run this before anything else (a task with a large stack) */
    struct cdr_note_stack note;
};

/* The stack that fibers get, and what a task may count on of it: a task that is run inside cadre_wait shares it with the waiter. */
#define CDR_STACK_SIZE ((size_t)256 << 10)
#define CDR_STACK_PROMISE ((size_t)128 << 10)
#define CDR_STACK_CLASSES 13 /* 256 KiB << class: up to 1 GiB */

/* First in, first out, linked by next. */
struct cdr_fiber_queue {
    struct cdr_fiber *first, *last;
    size_t count;
};

static inline void cdr_fiber_queue_put(struct cdr_fiber_queue *q, struct cdr_fiber *fiber)
{
    fiber->next = NULL;
    if (q->last != NULL)
        q->last->next = fiber;
    else
        q->first = fiber;
    q->last = fiber;
    cdr_store(&q->count, q->count + 1);
}

static inline struct cdr_fiber *cdr_fiber_queue_take(struct cdr_fiber_queue *q)
{
    struct cdr_fiber *fiber = q->first;

    if (fiber == NULL)
        return NULL;
    q->first = fiber->next;
    if (q->first == NULL)
        q->last = NULL;
    cdr_store(&q->count, q->count - 1);
    return fiber;
}

/* Fibers of the usual size that a worker keeps at hand, the most recently used (and so the warmest) first. */
struct cdr_fiber_cache {
    struct cdr_fiber *free;
    unsigned count;
};

/* A fiber with a stack of at least `stack` usable bytes that will start in `entry`(fiber), or NULL. cache may be NULL. */
struct cdr_fiber *cdr_fiber_get(struct cdr_fiber_cache *cache, size_t stack, void (*entry)(void *fiber));

/* Nobody is on the fiber any more, and it will not be resumed. */
void cdr_fiber_put(struct cdr_fiber_cache *cache, struct cdr_fiber *fiber);

/* Give back to the kernel what has not been wanted since the last call; and is there anything to give? For the monitor. */
void cdr_fiber_pools_trim(void);
bool cdr_fiber_pools_spare(void);

/* Around fork(2). */
void cdr_fiber_pools_lock(void);
void cdr_fiber_pools_unlock(void);

/* The largest stack that can be asked for. */
#define CDR_STACK_MAX ((CDR_STACK_SIZE << (CDR_STACK_CLASSES - 1)) - CDR_STACK_PROMISE)

/* Is p on the fiber's stack? */
static inline bool cdr_fiber_holds(const struct cdr_fiber *fiber, const void *p)
{
    return (uintptr_t)p - fiber->low < fiber->high - fiber->low;
}

/* How much of the running fiber's stack is left. */
static inline size_t cdr_fiber_room(const struct cdr_fiber *fiber)
{
    return (uintptr_t)__builtin_frame_address(0) - fiber->low;
}

#endif
