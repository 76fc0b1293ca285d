/* SPDX-License-Identifier: MIT
 * What the scheduler does with work that has just come up: tasks that were pushed, and the queue of what belongs to no worker. */
#include "sched/worker.h"

int cdr_push_slow(struct cdr_worker *w, int found)
{
    if (found < 0)
        return found;
    if (!w->pool && cdr_load(&w->token) == CDR_TOKEN_NONE)
        cdr_token_take(w, CDR_TOKEN_OUTSIDE); /* it computes too: one worker less beside it */
    cdr_fence_seq();                          /* pairs with those of the monitor about to doze, and of cdr_idle */
    if (cdr_load(&cdr_rt.dormant) != 0)
        cdr_monitor_wake();
    if (found & CDR_PUSH_DEEP)
        cdr_wake_one();
    return 0;
}

void cdr_inject(struct cdr_fiber *fiber)
{
    cdr_lock(&cdr_rt.inject_lock);
    cdr_fiber_queue_put(&cdr_rt.injected, fiber);
    cdr_store(&cdr_rt.injected_any, 1u);
    cdr_unlock(&cdr_rt.inject_lock);
    cdr_wake_one();
}

void cdr_inject_tasks(struct cdr_batches *tasks)
{
    struct cdr_batch *batch;

    cdr_lock(&cdr_rt.inject_lock);
    while ((batch = cdr_batches_take_oldest(tasks)) != NULL)
        cdr_batches_append(&cdr_rt.injected_tasks, batch);
    cdr_store(&cdr_rt.injected_any, 1u);
    cdr_unlock(&cdr_rt.inject_lock);
    cdr_wake_one();
}
