/* SPDX-License-Identifier: MIT
 * Tasks that were accepted and will never run. Their arguments go to the group's drop callback in the order in which they were
 * accepted; but they turn up in any order, as workers come across them. So they are kept, and still counted, until they are all
 * that is left of the group; whoever sees that sorts them and hands them over, before the group is done.
 *
 * While DROPPED is set, all ends go through the lock, so that exactly one sees that only kept tasks are left. The kept ones count,
 * so the group stays while the lock is held; who is not the one to hand them over does not touch it any more. */
#include <stdlib.h>

#include "base/check.h"
#include "group/group.h"

static void *argument(struct cdr_task *task)
{
    return (task->family & CDR_COPY_INLINE) != 0 ? (void *)&task->arg : task->arg;
}

/* Whatever the callback does is not done by the task that happens to be underneath. */
void cdr_drop_now(struct cadre_group *g, const struct cdr_task *accepted)
{
    struct cdr_worker *w = cdr_self_or_null();
    struct cdr_fiber *fiber = w != NULL ? w->fiber : NULL;
    struct cdr_frame *frame = fiber != NULL ? fiber->frame : NULL;
    struct cdr_task task = *accepted;

    if (g->drop != NULL) {
        if (fiber != NULL)
            fiber->frame = NULL;
        g->drop(argument(&task));
        if (fiber != NULL)
            fiber->frame = frame;
    }
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
    if ((cdr_or(&g->p_word, (uint64_t)CDR_DROPPED) & CDR_DROPPED) == 0)
        cdr_group_look_on(g, NULL);
    return true;
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

/* p_lock is held. When kept tasks are all that is left, take them: they are the caller's to hand over. Returns how many. */
static size_t take_rest(struct cadre_group *g, struct cdr_batches *dropped)
{
    struct cdr_backlog *backlog = cdr_backlog_of(g);
    size_t n = backlog != NULL ? backlog->dropped_count : 0;

    if (n == 0 || n != cdr_group_count(g, cdr_load_acquire(&g->p_word)))
        return 0;
    *dropped = backlog->dropped;
    backlog->dropped = (struct cdr_batches){ 0 };
    backlog->dropped_count = 0;
    cdr_and(&g->p_word, ~(uint64_t)CDR_DROPPED);
    return n;
}

static void hand_over(struct cadre_group *g, struct cdr_batches *dropped, size_t n)
{
    struct cdr_batch *batch;

    if (n == 0)
        return;
    sort(dropped, n);
    while ((batch = cdr_batches_take_oldest(dropped)) != NULL) {
        for (size_t i = 0; i < batch->count; i++)
            cdr_drop_now(g, &batch->tasks[i]);
        cdr_batch_put(batch);
    }
    cdr_drop_count_out(g, (uint32_t)n);
}

void cdr_drop_count_out(struct cadre_group *g, uint32_t n)
{
    uint64_t word = cdr_load_acquire(&g->p_word), next;

    do {
        while ((word & CDR_DROPPED) != 0) {
            if (cdr_drop_end(g, n))
                return;
            word = cdr_load_acquire(&g->p_word);
        }
        next = word - n * CDR_ONE;
        if ((word & CDR_WAITED) != 0 && cdr_group_count(g, next) == 0)
            next &= ~(uint64_t)CDR_WAITED;
    } while (!cdr_cas(&g->p_word, &word, next));
    if (((word ^ next) & CDR_WAITED) != 0)
        cdr_group_wake(g);
}

bool cdr_drop_end(struct cadre_group *g, uint32_t ending)
{
    struct cdr_batches dropped = { 0 };
    size_t n = 0;
    bool kept;

    cdr_lock(cdr_group_lock_of(g));
    kept = g->p_backlog != NULL && cdr_backlog_of(g)->dropped_count > 0;
    if (kept) {
        cdr_sub(&g->p_word, ending * CDR_ONE);
        n = take_rest(g, &dropped);
    }
    cdr_unlock(cdr_group_lock_of(g));
    hand_over(g, &dropped, n);
    return kept;
}

void cdr_drop_rest(struct cadre_group *g)
{
    struct cdr_batches dropped = { 0 };
    size_t n;

    cdr_lock(cdr_group_lock_of(g));
    n = take_rest(g, &dropped);
    cdr_unlock(cdr_group_lock_of(g));
    hand_over(g, &dropped, n);
}

void cdr_group_drop(struct cadre_group *g, struct cdr_fiber *fiber, struct cdr_task *task)
{
    struct cdr_batches dropped = { 0 };
    bool slot = (task->family & CDR_TASK_SLOT) != 0, kept = false;
    size_t n = 0;

    if ((task->family & CDR_TASK_REPEATED) != 0)
        cdr_delayed_forget(task);
    if ((cdr_load(&g->p_word) & CDR_STOPPED) == 0 || cadre_ctx_error(&g->p_ctx) != 0)
        cdr_group_note_cancel(g);
    if (slot && (cdr_load(&g->p_word) & CDR_WANTED) != 0)
        cdr_group_purge(g); /* the queue will not be served any more */
    if (g->drop != NULL) {
        cdr_lock(cdr_group_lock_of(g));
        kept = cdr_drop_keep(g, task);
        if (kept && slot)
            cdr_sub(&g->p_word, CDR_SLOT);
        if (kept)
            n = take_rest(g, &dropped); /* in one go with keeping it: the next to look may end the group */
        cdr_unlock(cdr_group_lock_of(g));
    }
    if (kept) {
        hand_over(g, &dropped, n);
        return;
    }
    cdr_drop_now(g, task);
    cdr_group_end(g, fiber, slot);
}
