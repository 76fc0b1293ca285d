/* SPDX-License-Identifier: MIT
 * Waiting in a wait queue. Lock order: the object's lock before the context's; when the waiter returns it holds neither. */
#include "sync/waitq.h"

void cdr_waitq_wake_all(void **woken, enum cdr_reason reason)
{
    struct cdr_waiter *waiter;

    while ((waiter = cdr_waitq_first(woken)) != NULL) {
        cdr_waitq_remove(woken, waiter);
        cdr_waitq_wake(waiter, reason);
    }
}

int cdr_waitq_wait(void **queue, struct cdr_lock *lock, struct cdr_waiter *waiter, struct cadre_ctx *ctx,
                   void (*left)(void *object, void **woken), void *object)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_block block;
    enum cdr_reason reason;
    void *woken = NULL;
    int error = w != NULL ? cdr_block_enter(&block, w->fiber, ctx) : -ENOMEM;

    if (error != 0) {
        cdr_unlock(lock);
        (void)cadre_ctx_error(ctx); /* settles it, and runs its hooks */
        return error;
    }
    waiter->block = &block;
    cdr_waitq_put(queue, waiter);
    cdr_unlock(lock);
    reason = cdr_block_park(&block, INT64_MAX);
    if (reason == CDR_WOKEN_BY_CANCEL || reason == CDR_WOKEN_BY_TIMER) {
        cdr_lock(lock);
        cdr_waitq_remove(queue, waiter);
        if (left != NULL)
            left(object, &woken);
        cdr_unlock(lock);
        cdr_waitq_wake_all(&woken, CDR_WOKEN);
        error = cdr_block_error(&block, reason);
    } else if (reason == CDR_WOKEN_CLOSED) {
        error = -EPIPE;
    }
    cdr_block_leave(&block);
    return error;
}
