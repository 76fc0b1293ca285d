/* SPDX-License-Identifier: MIT
 * The mutex: a flag under a lock and a queue. Unlocking hands it to the first who waits. The owner is a task, known by its
 * frame, or a plain thread, known by its native fiber. */
#include "sync/waitq.h"

static struct cdr_lock *lock_of(struct cadre_mutex *m) { return (struct cdr_lock *)(void *)&m->p_lock; }

static const void *caller(const struct cdr_worker *w)
{
    const struct cdr_fiber *fiber = w->fiber;

    return fiber->frame != NULL ? (const void *)fiber->frame : (const void *)fiber;
}

/* Does the caller hold m, or a task below it on the same stack, which cannot go on before the caller has ended? */
static bool held_here(const struct cadre_mutex *m, const struct cdr_worker *w)
{
    return m->p_owner == caller(w) || m->p_owner == w->fiber || (m->p_owner != NULL && cdr_fiber_holds(w->fiber, m->p_owner));
}

static int lock_now(struct cadre_mutex *m, const struct cdr_worker *w)
{
    if (!m->p_held) {
        m->p_held = 1;
        m->p_owner = caller(w);
        return 0;
    }
    return held_here(m, w) ? -EDEADLK : -EAGAIN;
}

int cadre_mutex_try_lock(struct cadre_mutex *m)
{
    struct cdr_worker *w = cdr_self();
    int result;

    if (m == NULL || w == NULL)
        return m == NULL ? -EINVAL : -ENOMEM;
    cdr_lock(lock_of(m));
    result = lock_now(m, w);
    cdr_unlock(lock_of(m));
    return result == -EDEADLK ? -EAGAIN : result;
}

int cadre_mutex_lock(struct cadre_ctx *ctx, struct cadre_mutex *m)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_waiter waiter = { 0 };
    int result;

    if (m == NULL || w == NULL)
        return m == NULL ? -EINVAL : -ENOMEM;
    waiter.element = (void *)(uintptr_t)caller(w);
    cdr_lock(lock_of(m));
    result = lock_now(m, w);
    if (result == -EAGAIN)
        return cdr_waitq_wait(&m->p_waiters, lock_of(m), &waiter, ctx, NULL, NULL);
    cdr_unlock(lock_of(m));
    return result;
}

int cadre_mutex_unlock(struct cadre_mutex *m)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_waiter *next;

    if (m == NULL || w == NULL)
        return m == NULL ? -EINVAL : -ENOMEM;
    cdr_lock(lock_of(m));
    if (!m->p_held || m->p_owner != caller(w)) {
        cdr_unlock(lock_of(m));
        return -EPERM;
    }
    next = cdr_waitq_take(&m->p_waiters);
    m->p_held = next != NULL;
    m->p_owner = next != NULL ? next->element : NULL;
    cdr_unlock(lock_of(m));
    if (next != NULL)
        cdr_waitq_wake(next, CDR_WOKEN);
    return 0;
}
