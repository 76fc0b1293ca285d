/* SPDX-License-Identifier: MIT
 * What a task does with time and with its thread: sleep, yield, pin; and the clock and errno as tasks see them. */
#include "base/check.h"
#include "sync/context.h"

cadre_time cadre_now(void) { return cdr_now(); }

cadre_time cadre_in(cadre_time duration)
{
    cadre_time now = cdr_now();

    if (duration > 0 && now > CADRE_FOREVER - duration)
        return CADRE_FOREVER;
    /* The clock starts near 0; and a deadline of 0 would mean none. */
    return duration < 0 && now + duration < 1 ? 1 : now + duration;
}

int cadre_sleep(struct cadre_ctx *ctx, cadre_time duration)
{
    cadre_time until = cadre_in(duration);
    struct cdr_worker *w = cdr_self();
    struct cdr_block block;
    enum cdr_reason reason;
    int error;

    if (w == NULL)
        return -ENOMEM;
    error = cadre_ctx_error(ctx);
    if (error != 0 || duration <= 0)
        return error;
    error = cdr_block_enter(&block, w->fiber, ctx);
    if (error != 0)
        return error;
    reason = cdr_block_park(&block, until);
    if (reason != CDR_WOKEN_BY_TIMER || block.deadline < until)
        error = cdr_block_error(&block, reason);
    cdr_block_leave(&block);
    return error;
}

static void go_last(void *fiber) { cdr_ready_last(fiber); }

void cadre_yield(void)
{
    struct cdr_worker *w = cdr_self_or_null();

    if (w == NULL || w->fiber->native || !cdr_suspend(w->fiber, go_last, w->fiber))
        cdr_thread_yield();
}

/* Pinned tasks live on the pool's threads only: an adopted thread leaves when it likes and would strand them. */
static void to_pool(void *fiber) { cdr_inject(fiber); }

void cadre_pin(void)
{
    struct cdr_worker *w = cdr_self_or_null();
    struct cdr_fiber *fiber = w != NULL ? w->fiber : NULL;

    if (fiber == NULL || fiber->native)
        return;
    while (fiber->pins == 0 && !fiber->worker->pool)
        cdr_suspend(fiber, to_pool, fiber);
    fiber->pins++;
}

void cadre_unpin(void)
{
    struct cdr_worker *w = cdr_self_or_null();

    if (w == NULL || w->fiber->native)
        return;
    cdr_require(w->fiber->pins > 0, "not pinned");
    w->fiber->pins--;
}
