/* SPDX-License-Identifier: MIT
 * Finding work that others have. Stealing a task that its owner would have run a moment later costs both more than it gains, so
 * a thief looks a few times before it asks an owner for private tasks, and asks only for what has stayed all the while. */
#include "sched/worker.h"

#define WINDOW 8 /* rounds in which private tasks must stay to be worth asking for */

/* Behind what is ready already. */
static void keep_ready(struct cdr_worker *w, struct cdr_fiber_queue *queue)
{
    cdr_lock(&w->ready_lock);
    for (struct cdr_fiber *fiber; (fiber = cdr_fiber_queue_take(queue)) != NULL;)
        cdr_fiber_queue_put(&w->ready, fiber);
    cdr_unlock(&w->ready_lock);
}

bool cdr_take_injected(struct cdr_worker *w, struct cdr_found *found)
{
    enum { MOST = 32 };
    struct cdr_fiber_queue others = { 0 };
    struct cdr_batch *batch;
    uint32_t more;

    if (cdr_load(&cdr_rt.injected_any) == 0)
        return false;
    cdr_lock(&cdr_rt.inject_lock);
    found->fiber = cdr_fiber_queue_take(&cdr_rt.injected);
    for (int i = 1; i < MOST && cdr_rt.injected.first != NULL; i++)
        cdr_fiber_queue_put(&others, cdr_fiber_queue_take(&cdr_rt.injected));
    batch = found->fiber == NULL ? cdr_batches_take_oldest(&cdr_rt.injected_tasks) : NULL;
    more = cdr_rt.injected.first != NULL || cdr_rt.injected_tasks.oldest != NULL;
    cdr_store(&cdr_rt.injected_any, more);
    cdr_unlock(&cdr_rt.inject_lock);
    if (others.first != NULL) {
        more = 1;
        keep_ready(w, &others);
    }
    if (more) /* those who brought it may have relied on this thread alone */
        cdr_wake_one();
    if (batch == NULL)
        return found->fiber != NULL;
    cdr_deque_adopt(&w->deque, batch);
    if (cdr_deque_pop(&w->deque, &found->task, NULL, 0))
        return true;
    found->task.fn = NULL;
    return false;
}

/* Half of the victim's fibers that are ready, at most what one visit should move. */
static bool steal_ready(struct cdr_worker *w, struct cdr_worker *victim, struct cdr_found *found)
{
    enum { MOST = 32 };
    struct cdr_fiber_queue loot = { 0 };
    size_t want;

    if (cdr_load(&victim->ready.count) == 0 || !cdr_try_lock(&victim->ready_lock))
        return false;
    want = (victim->ready.count + 1) / 2;
    for (size_t i = 0; i < want && i < MOST; i++)
        cdr_fiber_queue_put(&loot, cdr_fiber_queue_take(&victim->ready));
    cdr_unlock(&victim->ready_lock);
    found->fiber = cdr_fiber_queue_take(&loot);
    if (loot.first != NULL)
        keep_ready(w, &loot);
    return found->fiber != NULL;
}

/* Run the first of the stolen tasks, keep the others. */
static bool keep(struct cdr_worker *w, struct cdr_task *tasks, unsigned n, struct cdr_found *found)
{
    found->task = tasks[0];
    for (unsigned i = n; i-- > 1;) { /* the oldest will be popped first */
        int pushed = cdr_deque_push(&w->deque, tasks[i]);

        if (cdr_unlikely(pushed < 0)) /* cannot be: the thief's ring was empty */
            cdr_task_refuse(w->fiber, &tasks[i], pushed);
    }
    return true;
}

static bool steal_tasks(struct cdr_worker *w, struct cdr_worker *victim, struct cdr_found *found)
{
    struct cdr_task tasks[32];
    struct cdr_batch *batch;
    unsigned n;

    if (cdr_load(&victim->deque.open) <= cdr_load(&victim->deque.head) && cdr_load(&victim->deque.batches.oldest) == NULL)
        return false;
    n = cdr_deque_steal(&victim->deque, tasks, 32, 0, &batch);
    if (n > 0)
        return keep(w, tasks, n, found);
    if (batch == NULL)
        return false;
    cdr_deque_adopt(&w->deque, batch);
    if (cdr_deque_pop(&w->deque, &found->task, NULL, 0))
        return true;
    found->task.fn = NULL;
    return false;
}

/* What stays private at the victim for a whole window is asked for; what stays after that is taken by force. */
static void press(struct cdr_worker *victim, unsigned round)
{
    struct cdr_deque *d = &victim->deque;
    uint64_t open = cdr_load(&d->open), low = UINT64_MAX;

    for (int i = 0; i < WINDOW; i++) {
        uint64_t tail = cdr_load(&d->tail);

        if (tail < low)
            low = tail;
        if (low <= open)
            return;
        for (int j = 0; j < 4; j++)
            cdr_spin_hint();
    }
    if (cdr_load(&d->limit) == 0 && round >= 3 * WINDOW)
        cdr_deque_force(d);
    else
        cdr_deque_request(d);
}

bool cdr_search(struct cdr_worker *w, struct cdr_found *found, unsigned round)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);
    uint32_t start = (uint32_t)(cdr_random(w) % count);

    found->task.fn = NULL;
    found->fiber = NULL;
    if (cdr_take_injected(w, found))
        return true;
    for (uint32_t i = 0; i < count; i++) {
        struct cdr_worker *victim = cdr_load_acquire(&cdr_rt.workers[(start + i) % count]);

        if (victim == w || victim == NULL)
            continue;
        if (steal_ready(w, victim, found) || steal_tasks(w, victim, found))
            return true;
        if (round % WINDOW == WINDOW - 1)
            press(victim, round);
    }
    for (int i = 0; i < 8; i++)
        cdr_spin_hint();
    return false;
}

bool cdr_steal_family(struct cdr_worker *w, uint32_t family)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);

    for (uint32_t i = 0; i < count; i++) {
        struct cdr_worker *victim = cdr_load_acquire(&cdr_rt.workers[i]);
        struct cdr_found found;
        struct cdr_task tasks[8];
        struct cdr_batch *batch;
        unsigned n;

        if (victim == w || victim == NULL)
            continue;
        if (cdr_load(&victim->deque.open) <= cdr_load(&victim->deque.head)) {
            if (cdr_deque_depth(&victim->deque) > 1)
                cdr_deque_request(&victim->deque);
            continue;
        }
        n = cdr_deque_steal(&victim->deque, tasks, 8, family, &batch);
        if (n > 0) {
            keep(w, tasks, n, &found);
            if (cdr_push(w, found.task) < 0)
                cdr_task_refuse(w->fiber, &found.task, -ENOMEM);
            return true;
        }
    }
    return false;
}

bool cdr_work_visible(const struct cdr_worker *w)
{
    uint32_t count = cdr_load_acquire(&cdr_rt.count);

    if (cdr_load(&cdr_rt.injected_any) != 0 || cdr_load(&w->pinned.count) != 0)
        return true;
    for (uint32_t i = 0; i < count; i++) {
        const struct cdr_worker *victim = cdr_load_acquire(&cdr_rt.workers[i]);

        if (victim == NULL)
            continue;
        if (cdr_load(&victim->ready.count) != 0 || cdr_load(&victim->deque.batches.oldest) != NULL
            || cdr_load(&victim->deque.open) > cdr_load(&victim->deque.head))
            return true;
    }
    return false;
}
