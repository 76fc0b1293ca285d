/* SPDX-License-Identifier: MIT
 * The wait queue: calls that wait for a channel, a semaphore or a mutex, first come, first served.
 *
 * A waiter lies on the stack of its call and belongs to the queue's object: its node is touched only under the object's lock. It
 * leaves the queue in one of two ways. Whoever can serve it takes it out and claims its wait; if the claim succeeds the waiter is
 * the taker's, to fill in and to finish, and if not the taker drops it and goes on to the next. Or its call, woken by something
 * else, takes it out itself. */
#ifndef CADRE_SYNC_WAITQ_H
#define CADRE_SYNC_WAITQ_H

#include "sync/context.h"

struct cdr_waiter {
    struct cdr_node node;
    struct cdr_block *block;
    void *element; /* a channel's: where to copy from or to */
    int64_t units; /* a semaphore's */
    int index;     /* a select's: which case */
};

static inline struct cdr_waiter *cdr_waitq_first(void *const *queue)
{
    return *queue != NULL ? cdr_container_of(*queue, struct cdr_waiter, node) : NULL;
}

static inline void cdr_waitq_put(void **queue, struct cdr_waiter *waiter)
{
    cdr_list_append((struct cdr_node **)(void *)queue, &waiter->node);
}

static inline void cdr_waitq_remove(void **queue, struct cdr_waiter *waiter)
{
    if (cdr_linked(&waiter->node))
        cdr_list_remove((struct cdr_node **)(void *)queue, &waiter->node);
}

/* The first waiter that can still be served, claimed and out of the queue; NULL when there is none. */
static inline struct cdr_waiter *cdr_waitq_take(void **queue)
{
    struct cdr_waiter *waiter;

    while ((waiter = cdr_waitq_first(queue)) != NULL) {
        cdr_waitq_remove(queue, waiter);
        if (cdr_wait_claim(&waiter->block->wait))
            return waiter;
    }
    return NULL;
}

/* Wake a waiter that was taken; it may be gone afterwards. */
static inline void cdr_waitq_wake(struct cdr_waiter *waiter, enum cdr_reason reason)
{
    waiter->block->wait.value = (uint32_t)waiter->index;
    cdr_wait_finish(&waiter->block->wait, reason);
}

/* Wake waiters that were taken and put into a list of the caller's. Without the object's lock: it may be gone once they go on. */
void cdr_waitq_wake_all(void **woken, enum cdr_reason reason);

/* Wait in the queue: called with *lock held, returns without. 0 when served, -EPIPE when the object was closed, else the context's
 * error, with the waiter out of the queue. left, unless NULL, is called with the lock held after leaving in vain, and may put waiters that it took
 * into *woken. */
int cdr_waitq_wait(void **queue, struct cdr_lock *lock, struct cdr_waiter *waiter, struct cadre_ctx *ctx,
                   void (*left)(void *object, void **woken), void *object);

#endif
