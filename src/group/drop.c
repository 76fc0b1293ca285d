/* SPDX-License-Identifier: MIT
 * Tasks that were accepted and will never run. Their arguments go to the group's drop callback in the order in which they were
 * accepted; but they turn up in any order, as workers come across them. So they are kept, and still counted, until they are all
 * that is left of the group; whoever sees that sorts them and hands them over, before the group is done.
 *
 * While DROPPED is set, all ends go through the lock, so that exactly one sees that only dropped tasks are left. The owner's
 * plain count is made to notice by a membarrier, as in group.h. */
#include <stdlib.h>

#include "base/check.h"
#include "group/group.h"

static void *argument(struct cdr_task *task)
{
    return (task->family & CDR_COPY_INLINE) != 0 ? (void *)&task->arg : task->arg;
}

void cdr_drop_now(struct cadre_group *g, const struct cdr_task *accepted)
{
    struct cdr_task task = *accepted;

    if (g->drop != NULL)
        g->drop(argument(&task));
    if ((task.family & CDR_COPY_MALLOC) != 0)
        free(task.arg);
}

bool cdr_drop_keep(struct cadre_group *g, const struct cdr_task *task)
{
    struct cdr_backlog *backlog = cdr_backlog_need(g);
    struct cdr_batch *batch = backlog != NULL ? backlog->dropped.newest : NULL;

    if (backlog != NULL && (batch == NULL || batch->count == CDR_BATCH_SIZE)) {
        batch = cdr_batch_get();
        if (batch != NULL)
            cdr_batches_append(&backlog->dropped, batch);
    }
    if (batch == NULL)
        return false;
    batch->tasks[batch->count++] = *task;
    backlog->dropped_count++;
    cdr_or(&g->p_word, (uint64_t)CDR_DROPPED);
    return true;
}

void cdr_group_drop(struct cadre_group *g, struct cdr_fiber *fiber, const struct cdr_task *task)
{
    bool kept = false;

    if ((cdr_load(&g->p_word) & CDR_STOPPED) == 0 || cadre_ctx_error(&g->p_ctx) != 0)
        cdr_group_note_cancel(g);
    if ((task->family & CDR_TASK_SLOT) != 0 && (cdr_load(&g->p_word) & CDR_WANTED) != 0)
        cdr_group_purge(g); /* the queue will not be served any more */
    if (g->drop != NULL) {
        cdr_lock(cdr_group_lock_of(g));
        kept = cdr_drop_keep(g, task);
        if (kept && (task->family & CDR_TASK_SLOT) != 0)
            cdr_sub(&g->p_word, CDR_SLOT);
        cdr_unlock(cdr_group_lock_of(g));
    }
    if (kept) {
        if (!cdr_group_is_local(g, fiber) && !cdr_rt.no_membarrier)
            cdr_membarrier();
        cdr_drop_finish(g, false, false);
        return;
    }
    cdr_drop_now(g, task);
    cdr_group_end(g, fiber, (task->family & CDR_TASK_SLOT) != 0);
}

/* ---- in the order of being accepted: a merge of sorted runs would do, but a heap needs no memory ---- */

static struct cdr_task *at(struct cdr_batch **index, size_t i)
{
    return &index[i / CDR_BATCH_SIZE]->tasks[i % CDR_BATCH_SIZE];
}

static void sift(struct cdr_batch **index, size_t i, size_t n)
{
    for (;;) {
        size_t child = 2 * i + 1;
        struct cdr_task swap;

        if (child >= n)
            return;
        if (child + 1 < n && at(index, child + 1)->index > at(index, child)->index)
            child++;
        if (at(index, i)->index >= at(index, child)->index)
            return;
        swap = *at(index, i);
        *at(index, i) = *at(index, child);
        *at(index, child) = swap;
        i = child;
    }
}

/* All batches but the newest are full. Without memory for the index they are left in the order they turned up in. */
static void sort(struct cdr_batches *dropped, size_t n)
{
    struct cdr_batch **index = malloc((n / CDR_BATCH_SIZE + 1) * sizeof *index);
    size_t batches = 0;

    if (index == NULL)
        return;
    for (struct cdr_batch *batch = dropped->oldest; batch != NULL; batch = batch->next)
        index[batches++] = batch;
    for (size_t i = n / 2; i-- > 0;)
        sift(index, i, n);
    for (size_t left = n; left-- > 1;) {
        struct cdr_task swap = *at(index, 0);

        *at(index, 0) = *at(index, left);
        *at(index, left) = swap;
        sift(index, 0, left);
    }
    free(index);
}

static void hand_over(struct cadre_group *g, struct cdr_batches *dropped, size_t n)
{
    struct cdr_batch *batch;

    sort(dropped, n);
    while ((batch = cdr_batches_take_oldest(dropped)) != NULL) {
        for (size_t i = 0; i < batch->count; i++)
            cdr_drop_now(g, &batch->tasks[i]);
        cdr_batch_put(batch);
    }
}

/* n kept tasks end at once. */
static void end_kept(struct cadre_group *g, uint32_t n)
{
    uint64_t word = cdr_load(&g->p_word), next;

    do {
        next = word - n * CDR_ONE;
        if ((word & CDR_WAITED) != 0 && cdr_group_count(g, next) == 0)
            next &= ~(uint64_t)CDR_WAITED;
    } while (!cdr_cas(&g->p_word, &word, next));
    if (((word ^ next) & CDR_WAITED) != 0)
        cdr_group_wake(g);
}

bool cdr_drop_finish(struct cadre_group *g, bool ending, bool local)
{
    struct cdr_backlog *backlog;
    struct cdr_batches dropped = { 0 };
    size_t n = 0;

    cdr_lock(cdr_group_lock_of(g));
    backlog = cdr_backlog_of(g);
    if (backlog == NULL || backlog->dropped_count == 0) {
        cdr_unlock(cdr_group_lock_of(g));
        return false;
    }
    /* The kept tasks count, so the group stays while the lock is held. */
    if (ending && local)
        cdr_store_release(&g->p_ended, g->p_ended + 1);
    else if (ending)
        cdr_sub(&g->p_word, CDR_ONE);
    cdr_fence_seq();
    if (backlog->dropped_count == cdr_group_count(g, cdr_load_acquire(&g->p_word))) {
        dropped = backlog->dropped;
        n = backlog->dropped_count;
        backlog->dropped = (struct cdr_batches){ 0 };
        backlog->dropped_count = 0;
        cdr_and(&g->p_word, ~(uint64_t)CDR_DROPPED);
    }
    cdr_unlock(cdr_group_lock_of(g));
    if (n > 0) {
        hand_over(g, &dropped, n);
        end_kept(g, (uint32_t)n);
    }
    return true;
}
