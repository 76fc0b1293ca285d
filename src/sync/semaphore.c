/* SPDX-License-Identifier: MIT
 * The weighted semaphore: a count under a lock and a queue, served in order. Units are handed to waiters by whoever frees them, so
 * that nobody can slip in between. */
#include "sync/waitq.h"

static struct cdr_lock *lock_of(struct cadre_sem *s) { return (struct cdr_lock *)(void *)&s->p_lock; }

/* The lock is held: hand units to those who wait, as far as they go. They are woken without it: the semaphore may be theirs to take
 * away. */
static void serve(void *object, void **woken)
{
    struct cadre_sem *s = object;
    struct cdr_waiter *waiter;

    while ((waiter = cdr_waitq_first(&s->p_waiters)) != NULL && waiter->units <= s->size - s->p_used) {
        cdr_waitq_remove(&s->p_waiters, waiter);
        if (!cdr_wait_claim(&waiter->block->wait))
            continue;
        s->p_used += waiter->units;
        cdr_waitq_put(woken, waiter);
    }
}

static int take_now(struct cadre_sem *s, int64_t n)
{
    if (n < 0 || n > s->size)
        return -EINVAL;
    if (s->p_waiters != NULL || n > s->size - s->p_used)
        return -EAGAIN;
    s->p_used += n;
    return 0;
}

int cadre_sem_try_acquire(struct cadre_sem *s, int64_t n)
{
    int result;

    if (s == NULL)
        return -EINVAL;
    cdr_lock(lock_of(s));
    result = take_now(s, n);
    cdr_unlock(lock_of(s));
    return result;
}

int cadre_sem_acquire(struct cadre_ctx *ctx, struct cadre_sem *s, int64_t n)
{
    struct cdr_waiter waiter = { .units = n };
    int result;

    if (s == NULL)
        return -EINVAL;
    cdr_lock(lock_of(s));
    result = take_now(s, n);
    if (result == -EAGAIN) /* leaving in vain may let those behind go */
        return cdr_waitq_wait(&s->p_waiters, lock_of(s), &waiter, ctx, serve, s);
    cdr_unlock(lock_of(s));
    return result;
}

int cadre_sem_release(struct cadre_sem *s, int64_t n)
{
    void *woken = NULL;
    int result = 0;

    if (s == NULL || n < 0)
        return -EINVAL;
    cdr_lock(lock_of(s));
    if (n > s->p_used) {
        result = -EINVAL;
    } else {
        s->p_used -= n;
        serve(s, &woken);
    }
    cdr_unlock(lock_of(s));
    cdr_waitq_wake_all(&woken, CDR_WOKEN);
    return result;
}
