/* SPDX-License-Identifier: MIT
 * Delayed starts: cadre_go_after and its kin. delayed.h has the states and the rules. */
#include <string.h>

#include "base/check.h"
#include "group/group.h"

#define ARENA_SIZE (64u << 10)
#define RETRY ((int64_t)1000 * 1000) /* when memory was short */

enum state { FREE, WAITING, DUE, RUNNING, ENDED };

/* A delayed start. */
struct cdr_start {
    struct cdr_heap_node node;
    struct cdr_start *next; /* in the list of those that are due, or of free ones */
    struct cadre_group *group;
    cadre_fn *fn;
    void *arg;
    int64_t period; /* 0: only once */
    uint64_t id;
    uint32_t index;
    enum state state;
};

/* ---- records ---- */

static struct {
    struct cdr_lock lock;
    struct cdr_start *free;
} pool;

static struct {
    struct cdr_lock lock;
    struct cdr_schedule *first;
} fired;

/* In the child of a fork: what the parent's threads were doing is abandoned. */
static void forget_all(void)
{
    memset(&pool, 0, sizeof pool);
    memset(&fired, 0, sizeof fired);
}
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget_all); }

static struct cdr_start *start_get(void)
{
    struct cdr_start *start;

    cdr_lock(&pool.lock);
    if (pool.free == NULL) {
        struct cdr_start *arena = cdr_map(ARENA_SIZE);

        for (size_t i = 0; arena != NULL && i < ARENA_SIZE / sizeof *arena; i++) {
            arena[i].next = pool.free;
            pool.free = &arena[i];
        }
    }
    start = pool.free;
    if (start != NULL)
        pool.free = start->next;
    cdr_unlock(&pool.lock);
    return start;
}

/* Its name is not known any more from here on. The group's lock is held, or nobody has been told the name. */
static void start_put(struct cdr_start *start)
{
    start->state = FREE;
    cdr_store(&start->group, NULL);
    cdr_store(&start->id, start->id + 1);
    cdr_lock(&pool.lock);
    start->next = pool.free;
    pool.free = start;
    cdr_unlock(&pool.lock);
}

/* ---- the heap and its timer; p_lock is held ---- */

static struct cdr_schedule *schedule_of(struct cadre_group *g) { return &cdr_backlog_of(g)->schedule; }

static struct cdr_start *first_waiting(const struct cdr_schedule *schedule)
{
    struct cdr_heap_node *node = cdr_heap_min(&schedule->waiting);

    return node != NULL ? cdr_container_of(node, struct cdr_start, node) : NULL;
}

/* Called by timers, under their shard's lock. The group is there: something waits in its heap. */
static bool fire(struct cdr_timer *timer)
{
    struct cdr_schedule *schedule = cdr_container_of(timer, struct cdr_schedule, timer);

    cdr_lock(&fired.lock);
    if (!schedule->fired) {
        schedule->fired = true;
        cdr_group_count_in(schedule->group);
        schedule->next_fired = fired.first;
        fired.first = schedule;
    }
    cdr_unlock(&fired.lock);
    return true;
}

static void run_fired(void);

static void set_timer(struct cdr_schedule *schedule, int64_t when)
{
    struct cdr_worker *w = cdr_self_or_null(); /* there is one, unless the timer is only stopped */

    cdr_timer_stop(&schedule->timer);
    schedule->at = when;
    if (when == INT64_MAX)
        return;
    cdr_store_release(&cdr_timers_after[CDR_AFTER_DELAYED], run_fired);
    schedule->timer.fire = fire;
    if (cdr_timer_start(&schedule->timer, cdr_timer_shard(w), when))
        cdr_timer_changed(w, when);
}

/* The timer must be set exactly while the heap is not empty, and may go off too early. This is for after an insertion. */
static void advance_timer(struct cdr_schedule *schedule)
{
    const struct cdr_start *first = first_waiting(schedule);

    if (first->node.time < schedule->at)
        set_timer(schedule, first->node.time);
}

static void wait_until(struct cdr_schedule *schedule, struct cdr_start *start, int64_t when)
{
    start->state = WAITING;
    start->node.time = when;
    cdr_heap_insert(&schedule->waiting, &start->node);
}

static void stop_waiting(struct cdr_schedule *schedule, struct cdr_start *start)
{
    cdr_heap_remove(&schedule->waiting, &start->node);
    if (first_waiting(schedule) == NULL && schedule->at != INT64_MAX)
        set_timer(schedule, INT64_MAX);
}

/* ---- what is due; p_lock is held ---- */

/* See that a worker will come for the one that is due. 0 or -ENOMEM. */
static int call_for(struct cadre_group *g, struct cdr_worker *w, const struct cdr_start *start)
{
    struct cdr_task task = { .fn = start->fn, .group = g, .family = cdr_go_family(g) | CDR_TASK_DUE };
    bool repeated = start->period > 0;

    if (repeated)
        cdr_group_count_in(g);
    else
        schedule_of(g)->held--; /* the task takes its count */
    if (cdr_group_admit_due(g, w, &task) == 0)
        return 0;
    if (repeated)
        cdr_sub(&g->p_word, CDR_ONE);
    else
        schedule_of(g)->held++;
    return -ENOMEM;
}

/* 0, or -ENOMEM; then it goes back to the heap. */
static int append_due(struct cadre_group *g, struct cdr_worker *w, struct cdr_start *start)
{
    struct cdr_schedule *schedule = schedule_of(g);
    struct cdr_start **end = schedule->due != NULL ? &schedule->due_last->next : &schedule->due;

    start->state = DUE;
    start->next = NULL;
    *end = start;
    schedule->due_last = start;
    if (call_for(g, w, start) == 0)
        return 0;
    /* Nobody will come for it. Others that were to be started may have been given up meanwhile, so it is looked for. */
    schedule->due_last = NULL;
    for (end = &schedule->due; *end != NULL && *end != start; end = &(*end)->next)
        schedule->due_last = *end;
    if (*end == NULL) { /* it was the one that was given up, in place of another */
        schedule->held -= start->period == 0;
        return 0;
    }
    *end = NULL;
    wait_until(schedule, start, start->node.time);
    return -ENOMEM;
}

/* Start what is due by now. */
static void start_due(struct cadre_group *g, struct cdr_worker *w)
{
    struct cdr_schedule *schedule;
    struct cdr_start *start;
    int64_t now = cdr_now(), next = INT64_MAX;

    cdr_lock(cdr_group_lock_of(g));
    schedule = schedule_of(g);
    while ((start = first_waiting(schedule)) != NULL && next == INT64_MAX) {
        if (start->node.time > now) {
            next = start->node.time;
        } else {
            cdr_heap_remove(&schedule->waiting, &start->node);
            if (append_due(g, w, start) < 0)
                next = now + RETRY;
        }
    }
    if (next != schedule->at)
        set_timer(schedule, next);
    cdr_unlock(cdr_group_lock_of(g));
}

/* With no lock held. */
static void run_fired(void)
{
    struct cdr_worker *w = cdr_self();

    for (;;) {
        struct cdr_schedule *schedule;
        struct cadre_group *g;

        cdr_lock(&fired.lock);
        schedule = w != NULL ? fired.first : NULL; /* without memory for this thread to be anybody, others will come by */
        if (schedule != NULL) {
            fired.first = schedule->next_fired;
            schedule->fired = false;
        }
        cdr_unlock(&fired.lock);
        if (schedule == NULL)
            return;
        g = schedule->group;
        start_due(g, w);
        cdr_group_end_shared(g, w->fiber, false);
    }
}

/* ---- starting and dropping ---- */

bool cdr_delayed_take_locked(struct cdr_task *task)
{
    struct cdr_schedule *schedule = schedule_of(task->group);
    struct cdr_start *start = schedule->due;
    bool alive = start->state == DUE;

    schedule->due = start->next;
    task->family &= ~CDR_TASK_DUE;
    task->fn = start->fn;
    task->arg = start->arg;
    task->index = start->index;
    if (alive && start->period > 0) {
        start->state = RUNNING;
        task->arg = start;
        task->family |= CDR_TASK_REPEATED;
    } else {
        start_put(start);
    }
    return alive;
}

bool cdr_delayed_take(struct cdr_task *task)
{
    bool alive;

    cdr_lock(cdr_group_lock_of(task->group));
    alive = cdr_delayed_take_locked(task);
    cdr_unlock(cdr_group_lock_of(task->group));
    return alive;
}

void cdr_delayed_forget_locked(struct cdr_task *task)
{
    struct cdr_start *start = task->arg;

    task->family &= ~CDR_TASK_REPEATED;
    task->arg = start->arg;
    start_put(start);
    schedule_of(task->group)->held--;
    cdr_sub(&task->group->p_word, CDR_ONE); /* the task itself still counts */
}

void cdr_delayed_forget(struct cdr_task *task)
{
    cdr_lock(cdr_group_lock_of(task->group));
    cdr_delayed_forget_locked(task);
    cdr_unlock(cdr_group_lock_of(task->group));
}

void *cdr_delayed_argument(const struct cdr_task *task) { return ((const struct cdr_start *)task->arg)->arg; }

bool cdr_delayed_purge_one(struct cadre_group *g, struct cdr_task *task)
{
    struct cdr_start *start = cdr_backlog_of(g) != NULL ? first_waiting(schedule_of(g)) : NULL;

    if (start == NULL)
        return false;
    *task = (struct cdr_task){ .fn = start->fn, .arg = start->arg, .group = g, .index = start->index };
    stop_waiting(schedule_of(g), start);
    schedule_of(g)->held--;
    start_put(start);
    return true;
}

/* The first of the times after `when`, at intervals of the period, that is not past. */
static int64_t next_time(int64_t when, int64_t period)
{
    int64_t now = cdr_now(), skipped = when < now ? (now - when) / period : 0;

    if (when > INT64_MAX - period || when + skipped * period > INT64_MAX - period)
        return INT64_MAX - 1;
    return when + (skipped + 1) * period;
}

void cdr_delayed_again(const struct cdr_task *task)
{
    struct cdr_start *start = task->arg;
    struct cadre_group *g = task->group;
    bool again;

    cdr_lock(cdr_group_lock_of(g));
    again = start->state == RUNNING && (cdr_load(&g->p_word) & CDR_STOPPED) == 0;
    if (again) {
        wait_until(schedule_of(g), start, next_time(start->node.time, start->period));
        advance_timer(schedule_of(g));
    }
    cdr_unlock(cdr_group_lock_of(g));
    if (!again) {
        struct cdr_task last = *task;

        cdr_delayed_forget(&last);
        cdr_drop_now(g, &last);
    } else if (cdr_group_stopped(g)) {
        cdr_group_purge(g); /* it may have been through before the start was back */
    }
}

/* ---- the calls ---- */

/* p_lock is held, the group has a schedule: accept a start. */
static void accept(struct cadre_group *g, struct cdr_start *start, const struct cdr_task *task, int64_t when, int64_t period)
{
    start->fn = task->fn;
    start->arg = task->arg;
    start->period = period;
    start->index = cdr_group_next_index(g);
    cdr_store(&start->group, g);
    cdr_add_seq(&g->p_word, 2 * CDR_ONE); /* one is for the call itself: the start may be over before it is */
    cdr_group_keep_round(g); /* before anybody can find the start */
    schedule_of(g)->held++;
    wait_until(schedule_of(g), start, when);
    if (when > cdr_now())
        advance_timer(schedule_of(g));
}

static int delay(struct cadre_group *g, struct cdr_task *task, int64_t when, int64_t period, struct cadre_delayed *name)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_start *start;
    int error = cdr_go_check(g, w, task);

    if (error != 0)
        return error;
    start = start_get();
    cdr_lock(cdr_group_lock_of(g));
    if (start == NULL || cdr_backlog_need(g) == NULL) {
        cdr_unlock(cdr_group_lock_of(g));
        if (start != NULL)
            start_put(start);
        return cdr_go_refuse(g, task, -ENOMEM);
    }
    accept(g, start, task, when, period);
    if (name != NULL)
        *name = (struct cadre_delayed){ start, start->id };
    cdr_unlock(cdr_group_lock_of(g));
    if (when <= cdr_now())
        start_due(g, w);
    cdr_group_wake(g); /* who waits for the group has more to look after from now on */
    if (cdr_group_stopped(g))
        cdr_group_purge(g); /* it may have been through before the start was there */
    cdr_group_end_shared(g, w->fiber, false);
    return 0;
}

int cadre_go_at(struct cadre_group *g, cadre_time when, cadre_fn *fn, void *arg, struct cadre_delayed *delayed)
{
    struct cdr_task task = { .fn = fn, .arg = arg, .group = g };

    return cdr_go_valid(g, fn) ? delay(g, &task, when < INT64_MAX ? when : INT64_MAX - 1, 0, delayed) : -EINVAL;
}

int cadre_go_after(struct cadre_group *g, cadre_time duration, cadre_fn *fn, void *arg, struct cadre_delayed *delayed)
{
    return cadre_go_at(g, cadre_in(duration), fn, arg, delayed);
}

int cadre_go_every(struct cadre_group *g, cadre_time period, cadre_fn *fn, void *arg, struct cadre_delayed *delayed)
{
    struct cdr_task task = { .fn = fn, .arg = arg, .group = g };
    cadre_time first = cadre_in(period);

    if (!cdr_go_valid(g, fn) || period <= 0)
        return -EINVAL;
    return delay(g, &task, first < INT64_MAX ? first : INT64_MAX - 1, period, delayed);
}

/* p_lock is held, the name is good. True when the caller is to drop *task, and to count out `count`. */
static bool cancel(struct cadre_group *g, struct cdr_start *start, struct cdr_task *task, uint32_t *count)
{
    struct cdr_schedule *schedule = schedule_of(g);

    *task = (struct cdr_task){ .fn = start->fn, .arg = start->arg, .group = g, .index = start->index };
    *count = start->state == WAITING || start->period > 0;
    if (start->state == RUNNING) {
        start->state = ENDED; /* cdr_delayed_again does the rest */
        *count = 0;
        return false;
    }
    schedule->held -= *count;
    if (start->state == WAITING) {
        stop_waiting(schedule, start);
        start_put(start);
    } else {
        start->state = ENDED; /* whoever comes for it finds that */
        start->period = 0;
    }
    return true;
}

int cadre_delayed_cancel(struct cadre_group *g, const struct cadre_delayed *delayed)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_start *start = delayed != NULL ? delayed->p_record : NULL;
    struct cdr_task task = { 0 };
    bool known, drop = false;
    uint32_t count = 0;

    if (g == NULL || delayed == NULL)
        return -EINVAL;
    if (w == NULL)
        return -ENOMEM;
    if (start == NULL)
        return 0;
    cdr_lock(cdr_group_lock_of(g));
    known = cdr_load(&start->id) == delayed->p_id && cdr_load(&start->group) == g && start->state != ENDED;
    if (known)
        drop = cancel(g, start, &task, &count);
    if (drop && count == 0)
        cdr_group_count_in(g); /* so that it stays until the argument is dropped */
    cdr_unlock(cdr_group_lock_of(g));
    if (drop) {
        cdr_drop_now(g, &task);
        cdr_group_end_shared(g, w->fiber, false);
    }
    return known;
}
