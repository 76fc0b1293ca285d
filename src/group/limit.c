/* SPDX-License-Identifier: MIT
 * Limits: slots, the queue of tasks that wait for one, and the callers of cadre_go that wait for either.
 *
 * A task with a slot counts one in the word's slots. Room is looked for without the lock while nobody waits; once WANTED is set all
 * go through the lock, so that nobody overtakes. Whoever frees a slot dispatches: first the queue, oldest first, then starters. A
 * starter's task goes where its turn puts it, into a slot or into the queue, by the hand of the dispatcher; the starter only has to
 * return.
 *
 * A starter that registers sets WANTED and then looks for room once more; who frees a slot does so in one step with looking for
 * WANTED. One of the two sees the other. */
#include <stdlib.h>

#include "base/check.h"
#include "group/group.h"

/* A caller of cadre_go that waits. */
struct starter {
    struct cdr_waiter waiter;
    struct cdr_task *task;
    uint32_t own; /* tasks of the group that are below it on its stack, and wait with it */
    int result;
};

static struct starter *starter_of(struct cdr_waiter *waiter) { return cdr_container_of(waiter, struct starter, waiter); }

struct cdr_backlog *cdr_backlog_need(struct cadre_group *g)
{
    int saved = errno;

    if (g->p_backlog == NULL) {
        struct cdr_backlog *backlog = calloc(1, sizeof *backlog);

        if (backlog != NULL)
            backlog->schedule = (struct cdr_schedule){ .group = g, .at = INT64_MAX };
        cdr_store_release(&g->p_backlog, backlog);
    }
    errno = saved;
    return g->p_backlog;
}

/* The limit that holds now; UINT32_MAX for none. */
static uint32_t limit_of(const struct cadre_group *g)
{
    int32_t set = cdr_load(&g->p_limit);

    if (set == 0)
        return g->limit > 0 ? (uint32_t)g->limit : UINT32_MAX;
    return set < 0 ? UINT32_MAX : (uint32_t)set - 1;
}

/* p_lock is held: is there a slot? Tasks without one count too when the limit was set after they started. */
static bool has_room(const struct cadre_group *g, uint32_t leaving)
{
    uint64_t word = cdr_load_acquire(&g->p_word);
    uint32_t limit = limit_of(g), used = cdr_slots(word);
    const struct cdr_backlog *backlog = cdr_backlog_of(g);
    uint32_t others;

    if (cdr_load(&g->p_limit) != 0) {
        others = cdr_group_count(g, word) - used - cdr_load(&g->p_holds) - leaving;
        if (backlog != NULL)
            others -= (uint32_t)(backlog->queued_count + backlog->dropped_count + backlog->schedule.held);
        used += (int32_t)others > 0 ? others : 0;
    }
    return used < limit && used < CDR_SLOTS_MAX;
}

bool cdr_group_take_slot(struct cadre_group *g, struct cdr_task *task)
{
    uint64_t word = cdr_load(&g->p_word);

    if (cdr_load(&g->p_limit) != 0)
        return false;
    do {
        if ((word & (CDR_WANTED | CDR_STOPPED)) != 0 || cdr_slots(word) >= (uint32_t)g->limit)
            return false;
    } while (!cdr_cas(&g->p_word, &word, word + CDR_ONE + CDR_SLOT));
    task->index = cdr_group_next_index(g);
    return true;
}

/* ---- the queue; p_lock is held ---- */

static bool queue_has_room(const struct cadre_group *g)
{
    const struct cdr_backlog *backlog = cdr_backlog_of(g);

    return g->queue == CADRE_UNBOUNDED || (backlog != NULL ? backlog->queued_count : 0) < (size_t)g->queue;
}

static int append(struct cadre_group *g, const struct cdr_task *task)
{
    struct cdr_backlog *backlog = cdr_backlog_need(g);
    struct cdr_batch *batch = backlog != NULL ? backlog->queued.newest : NULL;

    if (backlog == NULL)
        return -ENOMEM;
    if (batch == NULL || batch->count == CDR_BATCH_SIZE) {
        batch = cdr_batch_get();
        if (batch == NULL)
            return -ENOMEM;
        cdr_batches_append(&backlog->queued, batch);
    }
    batch->tasks[batch->count++] = *task;
    backlog->queued_count++;
    return 0;
}

static int enqueue(struct cadre_group *g, struct cdr_task *task)
{
    uint32_t index = cdr_group_next_index(g);

    task->index = index;
    if (append(g, task) < 0)
        return -ENOMEM;
    cdr_add(&g->p_word, CDR_ONE);
    return 1;
}

static bool dequeue(struct cdr_backlog *backlog, struct cdr_task *task)
{
    struct cdr_batch *batch = backlog != NULL ? backlog->queued.oldest : NULL;

    if (batch == NULL || backlog->queued_count == 0)
        return false;
    *task = batch->tasks[backlog->queued_first++];
    backlog->queued_count--;
    if (backlog->queued_first == batch->count) {
        backlog->queued_first = 0;
        cdr_batch_put(cdr_batches_take_oldest(&backlog->queued));
    }
    return true;
}

/* ---- dispatching ---- */

/* Start a task that has been waiting; it is counted already. */
static void launch(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task)
{
    task->family |= CDR_TASK_SLOT;
    cdr_add(&g->p_word, CDR_SLOT);
    if (cdr_push(w, *task) == 0)
        return;
    /* No memory to start it: it is dropped, and says so. */
    cdr_sub(&g->p_word, CDR_SLOT);
    task->family &= ~CDR_TASK_SLOT;
    if ((task->family & CDR_TASK_DUE) != 0 && !cdr_delayed_take_locked(task)) {
        cdr_sub(&g->p_word, CDR_ONE);
        return;
    }
    if ((task->family & CDR_TASK_REPEATED) != 0)
        cdr_delayed_forget_locked(task);
    cdr_group_error_add_locked(g, -ENOMEM, CADRE_FROM_START, task->index, NULL);
    if (!cdr_drop_keep(g, task))
        cdr_sub(&g->p_word, CDR_ONE); /* not even that: its argument is lost, the group is not */
}

static void serve_starter(struct cadre_group *g, struct cdr_worker *w, struct cdr_waiter *waiter, bool slot)
{
    struct starter *starter = starter_of(waiter);

    cdr_backlog_of(g)->blocked -= starter->own;
    if (slot) {
        cdr_add(&g->p_word, CDR_ONE);
        starter->task->index = cdr_group_next_index(g);
        launch(g, w, starter->task);
        starter->result = 1;
    } else {
        starter->result = enqueue(g, starter->task);
    }
    cdr_waitq_wake(waiter, CDR_WOKEN);
}

static void serve(struct cadre_group *g, struct cdr_worker *w, uint32_t leaving)
{
    struct cdr_backlog *backlog = cdr_backlog_of(g);
    struct cdr_waiter *waiter;
    struct cdr_task task;
    bool slot;

    while ((slot = has_room(g, leaving)) || (g->p_starters != NULL && queue_has_room(g) && g->queue != 0)) {
        if (slot && dequeue(backlog, &task)) {
            launch(g, w, &task);
            continue;
        }
        waiter = cdr_waitq_take(&g->p_starters);
        if (waiter == NULL)
            break;
        serve_starter(g, w, waiter, slot);
    }
}

static bool nobody_waits(const struct cadre_group *g)
{
    const struct cdr_backlog *backlog = cdr_backlog_of(g);

    return (backlog == NULL || backlog->queued_count == 0) && g->p_starters == NULL;
}

void cdr_group_dispatch(struct cadre_group *g, struct cdr_worker *w, uint32_t leaving)
{
    serve(g, w, leaving);
    if (nobody_waits(g))
        cdr_and(&g->p_word, ~(uint64_t)CDR_WANTED);
}

/* ---- waiting for room ---- */

/* How many tasks of g does this fiber carry? None of them can go on while the caller waits. */
static uint32_t carried(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    uint32_t n = 0;

    for (const struct cdr_frame *frame = fiber->frame; frame != NULL; frame = frame->below)
        n += frame->group == g;
    return n;
}

static void set_wanted(struct cadre_group *g, struct cdr_fiber *fiber)
{
    cdr_or(&g->p_word, (uint64_t)CDR_WANTED);
    if (cdr_load(&g->p_limit) != 0)
        cdr_group_look_on(g, fiber); /* there may be tasks without slots, which end by a plain store */
}

/* p_lock is held, and released. */
static int wait_for_room(struct cadre_group *g, struct cdr_task *task, struct cdr_fiber *fiber)
{
    uint32_t own = carried(g, fiber);
    struct starter starter = { .task = task, .own = own };
    struct cdr_backlog *backlog = cdr_backlog_need(g);
    int result;

    if (backlog == NULL || (own > 0 && backlog->blocked + own >= cdr_slots(cdr_load(&g->p_word)))) {
        if (nobody_waits(g))
            cdr_and(&g->p_word, ~(uint64_t)CDR_WANTED);
        cdr_unlock(cdr_group_lock_of(g));
        return backlog == NULL ? -ENOMEM : -EDEADLK;
    }
    backlog->blocked += own;
    result = cdr_waitq_wait(&g->p_starters, cdr_group_lock_of(g), &starter.waiter, &g->p_ctx, NULL, NULL);
    if (own > 0 && (result == -ECANCELED || result == -ETIMEDOUT)) { /* in vain, and nobody took it */
        cdr_lock(cdr_group_lock_of(g));
        cdr_backlog_of(g)->blocked -= own;
        cdr_unlock(cdr_group_lock_of(g));
    }
    return result == 0 ? starter.result : result == -EPIPE ? -ECANCELED : result;
}

/* Has a helping thread helped enough? With many slots it comes back when half of them are free, so that it need not switch stacks
 * for each task; but not so late that the workers run out. */
static bool helped_enough(void *arg)
{
    struct cadre_group *g = arg;
    uint32_t used = cdr_slots(cdr_load_acquire(&g->p_word)), limit = limit_of(g);

    return (used < limit && (used <= limit / 2 || used <= 2 * (uint32_t)cdr_load(&cdr_rt.target))) || cdr_group_stopped(g);
}

int cdr_group_admit(struct cadre_group *g, struct cdr_task *task, struct cdr_fiber *fiber, bool may_wait)
{
    int result = -EAGAIN;

    task->family |= CDR_TASK_SLOT;
    if (cdr_group_take_slot(g, task))
        return 0;
    if (fiber->native && may_wait && g->queue == 0) { /* a plain thread helps rather than sleeps */
        cdr_help(fiber->worker, cdr_load(&g->p_family), helped_enough, g, false);
        if (cdr_group_take_slot(g, task))
            return 0;
    }
    cdr_lock(cdr_group_lock_of(g));
    set_wanted(g, fiber); /* from here on nobody takes a slot without the lock */
    serve(g, fiber->worker, 0);
    if ((cdr_load(&g->p_word) & CDR_STOPPED) != 0) {
        result = -ECANCELED;
    } else if (nobody_waits(g) && has_room(g, 0)) {
        cdr_add(&g->p_word, CDR_ONE + CDR_SLOT);
        task->index = cdr_group_next_index(g);
        result = 0;
    } else {
        task->family &= ~CDR_TASK_SLOT;
        if (g->p_starters == NULL && queue_has_room(g))
            result = enqueue(g, task);
        else if (may_wait)
            return wait_for_room(g, task, fiber);
    }
    if (nobody_waits(g))
        cdr_and(&g->p_word, ~(uint64_t)CDR_WANTED);
    cdr_unlock(cdr_group_lock_of(g));
    if ((cdr_load(&g->p_word) & CDR_DROPPED) != 0)
        cdr_drop_rest(g);
    return result;
}

int cdr_group_admit_due(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task)
{
    int result;

    if (!cdr_group_is_limited(g))
        return cdr_push(w, *task) < 0 ? -ENOMEM : 0;
    set_wanted(g, w->fiber);
    result = append(g, task);
    cdr_group_dispatch(g, w, 0);
    return result;
}

/* Move one task that is queued or waits for its time to the kept ones; without a drop callback, or memory, it is counted out at once. False: the queue is empty. */
static bool purge_one(struct cadre_group *g)
{
    struct cdr_task task;
    bool there, gone, kept = false;

    cdr_lock(cdr_group_lock_of(g));
    there = dequeue(cdr_backlog_of(g), &task);
    gone = there && (task.family & CDR_TASK_DUE) != 0 && !cdr_delayed_take_locked(&task);
    if (there && (task.family & CDR_TASK_REPEATED) != 0)
        cdr_delayed_forget_locked(&task);
    there = there || cdr_delayed_purge_one(g, &task);
    if (there && !gone && g->drop != NULL)
        kept = cdr_drop_keep(g, &task);
    cdr_unlock(cdr_group_lock_of(g));
    if (there && !gone && !kept)
        cdr_drop_now(g, &task);
    if (there && !kept)
        cdr_drop_count_out(g, 1);
    return there;
}

void cdr_group_purge(struct cadre_group *g)
{
    struct cdr_waiter *waiter;
    bool noted = false;

    cdr_group_count_in(g); /* so that it stays until this is over */
    while (purge_one(g))
        noted = true;
    if (noted)
        cdr_group_note_cancel(g);
    cdr_lock(cdr_group_lock_of(g));
    while ((waiter = cdr_waitq_take(&g->p_starters)) != NULL) {
        cdr_backlog_of(g)->blocked -= starter_of(waiter)->own;
        cdr_waitq_wake(waiter, CDR_WOKEN_CLOSED);
    }
    if (nobody_waits(g))
        cdr_and(&g->p_word, ~(uint64_t)CDR_WANTED);
    cdr_unlock(cdr_group_lock_of(g));
    cdr_drop_count_out(g, 1);
}
