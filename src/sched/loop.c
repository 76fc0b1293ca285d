/* SPDX-License-Identifier: MIT
 * What workers do all day: pick the next thing, run it, switch stacks.
 *
 * Every switch goes through cdr_switch. The stack that is left must not be touched by anybody else until the switch is over, so
 * whatever publishes it (putting it into a queue, saying that it is parked) is the `after` of the switch, done on the
 * next stack. After a switch returns the fiber may be on another thread: everything is read again through fiber->worker. */
#include "base/check.h"
#include "sched/chaos.h"
#include "sched/poller.h"
#include "sched/worker.h"

#define SLOT_STREAK 64 /* so often in a row the slot may go before the queues */
#define FAIR_EVERY 61  /* every so many picks, the oldest work goes first */

static void switched(struct cdr_fiber *fiber)
{
    struct cdr_worker *w = fiber->worker;
    void (*after)(void *) = w->after;

    cdr_note_switched(&fiber->note);
    if (after != NULL) {
        w->after = NULL;
        after(w->after_arg);
    }
}

void cdr_switch(struct cdr_fiber *from, struct cdr_fiber *to, void (*after)(void *arg), void *arg, bool dying)
{
    struct cdr_worker *w = from->worker;
    int saved = *w->errno_at;

    cdr_assert(w->fiber == from && from != to);
    w->after = after;
    w->after_arg = arg;
    w->fiber = to;
    to->worker = w;
    cdr_note_switch(&from->note, &to->note, dying);
    cdr_context_switch(&from->context, &to->context);
    switched(from);
    *from->worker->errno_at = saved;
}

/* The `after` of leaving a fiber for good. */
static void release(void *arg)
{
    struct cdr_fiber *fiber = arg;
    struct cdr_worker *w = cdr_self_tls;

    cdr_fiber_put(&w->fibers, fiber);
}

/* Run a task on the running fiber, or on a larger one in its place. */
static void run(struct cdr_fiber *fiber, struct cdr_task *task)
{
    struct cdr_worker *w = fiber->worker;
    struct cdr_fiber *big;

    if (cdr_likely((task->family & CDR_TASK_BIG) == 0) || fiber->high - fiber->low >= cdr_task_stack(task)) {
        cdr_task_run(fiber, task);
        return;
    }
    big = cdr_fiber_get(NULL, cdr_task_stack(task), cdr_fiber_main);
    if (big == NULL) {
        cdr_task_refuse(fiber, task, -ENOMEM);
        return;
    }
    big->first = *task;
    if (w->helper == fiber)
        w->helper = big;
    cdr_switch(fiber, big, release, fiber, true);
}

/* ---- the pool's threads ---- */

static struct cdr_fiber *take_slot(struct cdr_worker *w)
{
    if (cdr_load(&w->slot) == NULL)
        return NULL;
    return cdr_exchange(&w->slot, (struct cdr_fiber *)NULL); /* against the monitor */
}

static struct cdr_fiber *take_queued(struct cdr_worker *w, struct cdr_fiber_queue *queue)
{
    struct cdr_fiber *fiber;

    if (cdr_load(&queue->count) == 0)
        return NULL;
    cdr_lock(&w->ready_lock);
    fiber = cdr_fiber_queue_take(queue);
    cdr_unlock(&w->ready_lock);
    return fiber;
}

static bool take_own(struct cdr_worker *w, struct cdr_found *found)
{
    if ((w->picks & 1) != 0 && (found->fiber = take_queued(w, &w->ready)) != NULL)
        return true;
    if (cdr_deque_pop(&w->deque, &found->task, NULL, 0))
        return true;
    found->task.fn = NULL;
    return (found->fiber = take_queued(w, &w->ready)) != NULL;
}

/* The oldest first, whatever it is; and every other time, what others have: a plain thread that sleeps cannot run its tasks, and with
 * all workers busy nobody else searches. */
static bool take_fairly(struct cdr_worker *w, struct cdr_found *found)
{
    struct cdr_batch *batch;

    if (cdr_load(&w->timers.next) != INT64_MAX)
        cdr_timers_fire(&w->timers, cdr_now());
    if (cdr_poller_is_used())
        cdr_poller_look();
    if (w->picks / FAIR_EVERY % 2 != 0)
        return cdr_search(w, found, 0);
    if (cdr_take_injected(w, found))
        return true;
    if (cdr_deque_empty(&w->deque))
        return false;
    cdr_deque_share(&w->deque, false);
    if (cdr_deque_steal(&w->deque, &found->task, 1, 0, &batch) == 1)
        return true;
    found->task.fn = NULL;
    if (batch == NULL)
        return false;
    cdr_task_copy(&found->task, &batch->tasks[--batch->count]);
    if (batch->count > 0)
        cdr_deque_give_back(&w->deque, batch);
    else
        cdr_batch_put(batch);
    return true;
}

static void queue_ready(struct cdr_worker *w, struct cdr_fiber *fiber)
{
    cdr_lock(&w->ready_lock);
    cdr_fiber_queue_put(&w->ready, fiber);
    cdr_unlock(&w->ready_lock);
    cdr_wake_one();
}

void cdr_share_slot(struct cdr_worker *w)
{
    struct cdr_fiber *fiber = take_slot(w);

    if (fiber != NULL)
        queue_ready(w, fiber);
}

static struct cdr_fiber *take_pinned(struct cdr_worker *w)
{
    struct cdr_fiber *fiber = take_queued(w, &w->pinned);

    if (fiber != NULL)
        w->homed--;
    return fiber;
}

static bool pick(struct cdr_worker *w, struct cdr_found *found)
{
    uint32_t picks = w->picks + 1;

    cdr_store(&w->picks, picks);
    found->task.fn = NULL;
    if ((picks % 16) == 0 && cdr_load(&w->timers.next) != INT64_MAX)
        cdr_timers_fire(&w->timers, cdr_now());
    if ((picks & 2) != 0 && (found->fiber = take_pinned(w)) != NULL)
        return true;
    if (cdr_unlikely(picks % FAIR_EVERY == 0 || cdr_chaos(4)) && take_fairly(w, found))
        return true;
    if (w->streak < SLOT_STREAK && (found->fiber = take_slot(w)) != NULL) {
        w->streak++;
        return true;
    }
    w->streak = 0;
    if (take_own(w, found) || cdr_take_injected(w, found))
        return true;
    return (found->fiber = take_slot(w)) != NULL || (found->fiber = take_pinned(w)) != NULL;
}

static bool search(struct cdr_worker *w, struct cdr_found *found)
{
    enum { ROUNDS = 40 };
    bool hit = false;

    cdr_add_seq(&cdr_rt.searching, 1u);
    for (unsigned round = 0; round < ROUNDS && !hit; round++)
        hit = cdr_search(w, found, round);
    /* The last one to stop looking because it found something calls for a successor: there may be more. */
    if (__atomic_sub_fetch(&cdr_rt.searching, 1u, __ATOMIC_SEQ_CST) == 0 && hit)
        cdr_wake_one();
    return hit;
}

static void pool_step(struct cdr_worker *w, struct cdr_fiber *fiber)
{
    struct cdr_found found;

    if (cdr_unlikely(cdr_load(&w->lent) != 0))
        cdr_take_back(w);
    if (cdr_unlikely(cdr_load(&cdr_rt.tokens) < 0) && cdr_load(&w->pinned.count) == 0) {
        cdr_share_slot(w);
        if (!cdr_surrender(w))
            cdr_switch(fiber, &w->native, release, fiber, true); /* the thread ends */
    }
    if (!pick(w, &found) && !(cdr_poller_is_used() && cdr_poller_look() && pick(w, &found)) && !search(w, &found)) {
        if (!cdr_idle(w))
            cdr_switch(fiber, &w->native, release, fiber, true);
        return;
    }
    if (found.task.fn != NULL)
        run(fiber, &found.task);
    else
        cdr_switch(fiber, found.fiber, release, fiber, true);
}

/* ---- the fibers of adopted threads ---- */

/* Is the next task one for the helper? */
static bool next_to_help(struct cdr_worker *w, struct cdr_fiber *fiber, struct cdr_task *task)
{
    if (w->helper != fiber || (w->help_done != NULL && w->help_done(w->help_arg)))
        return false;
    return cdr_deque_pop(&w->deque, task, NULL, w->help_family);
}

static void helper_step(struct cdr_worker *w, struct cdr_fiber *fiber)
{
    struct cdr_task task;

    if (w->helper == fiber && cdr_tasks_run(fiber, w->help_family, w->help_done, w->help_arg))
        return; /* perhaps it is another worker's by now */
    if (next_to_help(w, fiber, &task))
        run(fiber, &task);
    else if (w->helper == fiber)
        cdr_switch(fiber, &w->native, NULL, NULL, false); /* waits here to be used again */
    else
        cdr_switch(fiber, &w->native, release, fiber, true);
}

void cdr_help(struct cdr_worker *w, uint32_t family, bool (*done)(void *arg), void *arg, bool all)
{
    enum { PATIENCE = 200 };
    uint32_t inside = CDR_TOKEN_INSIDE;
    int misses = 0;

    if (family == 0) /* nobody's */
        return;
    if (cdr_load(&w->token) != CDR_TOKEN_INSIDE && !cdr_token_take(w, CDR_TOKEN_INSIDE))
        return;
    cdr_store(&w->helps, w->helps + 1);
    w->help_family = family;
    w->help_done = all ? NULL : done;
    w->help_arg = arg;
    while (!done(arg) && misses < PATIENCE) {
        if (cdr_unlikely(cdr_load(&w->token) != CDR_TOKEN_INSIDE) && !cdr_token_take(w, CDR_TOKEN_INSIDE))
            break; /* it was stuck in a task's call, and others have the token now */
        if (cdr_deque_empty(&w->deque) && !cdr_steal_family(w, family)) {
            misses++;
            cdr_spin_hint();
            continue;
        }
        if (w->helper == NULL)
            w->helper = cdr_fiber_get(&w->fibers, 0, cdr_fiber_main);
        if (w->helper == NULL)
            break; /* no memory: the pool's threads will do it */
        misses = cdr_deque_empty(&w->deque) ? 0 : misses + 1; /* what is left may be another family's */
        cdr_switch(&w->native, w->helper, NULL, NULL, false);
    }
    cdr_cas(&w->token, &inside, (uint32_t)CDR_TOKEN_OUTSIDE); /* unless the monitor has taken it away */
}

/* ---- all fibers ---- */

void cdr_fiber_main(void *arg)
{
    struct cdr_fiber *fiber = arg;

    switched(fiber);
    if (fiber->first.fn != NULL) {
        struct cdr_task task = fiber->first;

        fiber->first.fn = NULL;
        cdr_task_run(fiber, &task);
    }
    for (;;) {
        struct cdr_worker *w = fiber->worker; /* may change with every step */

        if (w->pool)
            pool_step(w, fiber);
        else
            helper_step(w, fiber);
    }
}

bool cdr_suspend(struct cdr_fiber *fiber, void (*after)(void *arg), void *arg)
{
    struct cdr_worker *w = fiber->worker;
    struct cdr_fiber *next;

    cdr_assert(!fiber->native);
    if (!w->pool) {
        if (w->helper == fiber)
            w->helper = NULL; /* it has become a task's own */
        next = &w->native;
    } else {
        next = NULL;
        /* Straight to the fiber made ready last, but not for ever: the loop has other duties. */
        if (w->streak < SLOT_STREAK && !cdr_chaos(4) && (next = take_slot(w)) != NULL) {
            w->streak++;
            cdr_store(&w->picks, w->picks + 1);
        }
        if (next == NULL)
            next = cdr_fiber_get(&w->fibers, 0, cdr_fiber_main);
        if (next == NULL)
            return false;
    }
    if (fiber->pins > 0) {
        fiber->home = w;
        w->homed++;
    }
    cdr_switch(fiber, next, after, arg, false);
    return true;
}

/* ---- making ready ---- */

static bool ready_pinned(struct cdr_fiber *fiber)
{
    struct cdr_worker *home = fiber->home;

    if (cdr_likely(fiber->pins == 0))
        return false;
    cdr_lock(&home->ready_lock);
    cdr_fiber_queue_put(&home->pinned, fiber);
    cdr_unlock(&home->ready_lock);
    cdr_wake_home(home);
    return true;
}

void cdr_ready(struct cdr_fiber *fiber)
{
    struct cdr_worker *w = cdr_self_or_null();

    if (ready_pinned(fiber))
        return;
    if (w == NULL || !w->pool) {
        cdr_inject(fiber);
        return;
    }
    if (!cdr_chaos(3)) {
        fiber = cdr_exchange_seq(&w->slot, fiber);
        if (cdr_unlikely(cdr_load_seq(&cdr_rt.dormant) != 0)) /* the thread is back from the kernel, unnoticed yet */
            cdr_monitor_wake();
    }
    if (fiber != NULL)
        queue_ready(w, fiber);
}

void cdr_ready_last(struct cdr_fiber *fiber)
{
    struct cdr_worker *w = cdr_self_or_null();

    if (ready_pinned(fiber))
        return;
    if (w == NULL || !w->pool)
        cdr_inject(fiber);
    else
        queue_ready(w, fiber);
}
