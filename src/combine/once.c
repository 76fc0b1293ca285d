/* SPDX-License-Identifier: MIT
 * Once: a mutex, and a word that says that there is nothing left to do. The word is stored inside the mutex and looked
 * at before it, so that afterwards a call costs one load.
 *
 * fn is called, not started: it is part of its caller, which is how a call from within fn on the same object is told
 * from one that only has to wait. Should fn panic, the way back leads past this file; a deferred call then gives the
 * mutex to the next. It is a record of its own, because the object may be gone by the time the task ends. */
#include <stdlib.h>

#include "cadre.h"

struct guard {
    struct cadre_once *once; /* NULL: it came back */
};

static void release(void *arg)
{
    struct guard *guard = arg;

    if (guard->once != NULL)
        (void)cadre_mutex_unlock(&guard->once->p_mutex);
    free(guard);
}

/* Returns 0, and *guard is NULL outside tasks: a panic is the end of the program there. */
static int guard_set(struct cadre_once *once, struct guard **guard)
{
    int saved = errno, code;

    *guard = malloc(sizeof **guard);
    if (*guard == NULL) {
        errno = saved;
        return -ENOMEM;
    }
    (*guard)->once = once;
    code = cadre_defer(release, *guard);
    if (code == 0)
        return 0;
    free(*guard);
    *guard = NULL;
    return code == -EPERM ? 0 : code;
}

/* The mutex is held. */
static int run(struct cadre_ctx *ctx, struct cadre_once *once, cadre_fn *fn, void *arg)
{
    struct guard *guard;
    int code = guard_set(once, &guard);

    if (code != 0)
        return code;
    code = fn(ctx, arg);
    if (guard != NULL)
        guard->once = NULL;
    if (code == 0)
        __atomic_store_n(&once->p_done, 1, __ATOMIC_RELEASE); /* with the acquire of those who do not take the mutex */
    return code;
}

int cadre_once(struct cadre_ctx *ctx, struct cadre_once *once, cadre_fn *fn, void *arg)
{
    int code;

    if (once == NULL || fn == NULL)
        return -EINVAL;
    if (__atomic_load_n(&once->p_done, __ATOMIC_ACQUIRE))
        return 0;
    code = cadre_mutex_lock(ctx, &once->p_mutex);
    if (code != 0)
        return code;
    if (!__atomic_load_n(&once->p_done, __ATOMIC_RELAXED)) /* the mutex orders it */
        code = run(ctx, once, fn, arg);
    (void)cadre_mutex_unlock(&once->p_mutex);
    return code;
}
