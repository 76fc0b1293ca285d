/* SPDX-License-Identifier: MIT
 * cadre_wait: run what is there, help, and sleep until the group's count is zero. group.h explains how the end is noticed.
 *
 * Who sleeps lies in a bucket, chosen by the group's address, so that the one who wakes need not touch the group. A bucket's
 * lock is taken after a group's and before a run queue's. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "group/run.h"
#include "sched/chaos.h"

#define BUCKETS 256

/* Somebody who waits for a group, on the stack of the call. */
struct sleeper {
    struct cdr_node node;
    const struct cadre_group *group;
    struct cdr_block block;
};

static struct bucket {
    CDR_OWN_LINE struct cdr_lock lock;
    struct cdr_node *sleepers;
} buckets[BUCKETS];

/* In the child of a fork nobody sleeps any more. */
static void forget(void) { memset(buckets, 0, sizeof buckets); }
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

static struct bucket *bucket_of(const struct cadre_group *g)
{
    return &buckets[((uintptr_t)g >> 4) * 0x9e3779b97f4a7c15u >> 56];
}

void cdr_group_wake(const struct cadre_group *g)
{
    struct bucket *bucket = bucket_of(g);
    struct cdr_node *keep = NULL, *node;

    cdr_lock(&bucket->lock);
    while ((node = cdr_list_take(&bucket->sleepers)) != NULL) {
        struct sleeper *sleeper = cdr_container_of(node, struct sleeper, node);

        if (sleeper->group != g)
            cdr_list_append(&keep, node);
        else if (cdr_wait_claim(&sleeper->block.wait))
            cdr_wait_finish(&sleeper->block.wait, CDR_WOKEN);
    }
    bucket->sleepers = keep;
    cdr_unlock(&bucket->lock);
}

static bool is_done(void *g) { return cdr_group_is_done(g); }

/* Run the group's tasks that lie on top of the worker's deque on the waiter's own stack, as long as there is enough of it. */
static void run_own(struct cadre_group *g, struct cdr_fiber *fiber)
{
    size_t need = g->stack_size > CDR_STACK_PROMISE ? g->stack_size : CDR_STACK_PROMISE;
    struct cdr_task task;
    int saved;

    if (fiber->native || cdr_fiber_room(fiber) < need)
        return;
    if ((g->flags & CADRE_PINNED) != 0 && !fiber->worker->pool)
        return;
    saved = *fiber->worker->errno_at;
    while (cdr_deque_pop(&fiber->worker->deque, &task, g, 0)) {
        cdr_chaos_point();
        cdr_task_run(fiber, &task);
    }
    *fiber->worker->errno_at = saved;
}

static bool is_within(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    for (const struct cdr_frame *frame = fiber->frame; frame != NULL; frame = frame->below)
        if (frame->group == g)
            return true;
    return false;
}

/* May tasks have been accepted that wait for a slot or for their time? Then who waits looks after them when the context ends. */
static bool needs_care(const struct cadre_group *g) { return cdr_group_is_limited(g) || cdr_load(&g->p_backlog) != NULL; }

/* Has the group ended, other than by a wait? Then nothing makes it live again but a reset. */
static bool has_ended(struct cadre_group *g)
{
    int state;

    (void)cadre_ctx_error(&g->p_ctx); /* what ended a parent is written down */
    state = cdr_load_acquire(&g->p_ctx.p_state);
    return (cdr_load(&g->p_word) & CDR_STOPPED) != 0 || (state != CDR_LIVE && (state & CDR_BY_WAIT) == 0);
}

/* Sleep until somebody finds the count zero, or the group's context ends while tasks need care. In a round that is over there is nothing to
 * listen to; whoever begins the next one wakes those who wait. */
static __attribute__((noinline)) void sleep_until_done(struct cadre_group *g, struct cdr_fiber *fiber)
{
    struct bucket *bucket = bucket_of(g);
    bool cares = needs_care(g), over = cdr_ctx_ended_by_wait(&g->p_ctx), ended, changed;
    struct sleeper sleeper = { .group = g };
    enum cdr_reason reason;

    cdr_group_bind(g);
    ended = has_ended(g);
    if (cares && ended)
        cdr_group_purge(g); /* a parent's end may have gone unnoticed */
    if (cdr_block_enter(&sleeper.block, fiber, cares && !ended && !over ? &g->p_ctx : NULL) != 0) {
        if (has_ended(g))
            cdr_group_purge(g);
        return;
    }
    cdr_lock(&bucket->lock);
    cdr_list_append(&bucket->sleepers, &sleeper.node);
    changed = (!cares && needs_care(g)) || (over && !cdr_ctx_ended_by_wait(&g->p_ctx));
    if (changed && cdr_wait_claim(&sleeper.block.wait)) /* too late to be woken for that: come again */
        cdr_wait_finish(&sleeper.block.wait, CDR_WOKEN);
    cdr_unlock(&bucket->lock);
    /* Whoever is last sees the flag and the owner's counts, or it is this thread: it counts until it has looked on. */
    cdr_group_count_in(g);
    cdr_or(&g->p_word, (uint64_t)CDR_WAITED);
    cdr_group_look_on(g, fiber);
    cdr_group_end_shared(g, fiber, false);
    reason = cdr_block_park(&sleeper.block, INT64_MAX);
    cdr_lock(&bucket->lock);
    if (cdr_linked(&sleeper.node))
        cdr_list_remove(&bucket->sleepers, &sleeper.node);
    cdr_unlock(&bucket->lock);
    cdr_block_leave(&sleeper.block);
    if ((reason == CDR_WOKEN_BY_CANCEL || reason == CDR_WOKEN_BY_TIMER) && has_ended(g))
        cdr_group_purge(g);
}

/* The group is done: what is left to do before its owner may take it away. */
static void free_backlog(struct cadre_group *g)
{
    struct cdr_backlog *backlog;

    cdr_lock(cdr_group_lock_of(g));
    backlog = cdr_backlog_of(g);
    if (backlog != NULL && is_done(g) && g->p_starters == NULL && backlog->blocked == 0 && backlog->queued_count == 0
        && backlog->dropped_count == 0 && cdr_schedule_empty(&backlog->schedule)) {
        if (backlog->queued.oldest != NULL)
            cdr_batch_put(cdr_batches_take_oldest(&backlog->queued));
        cdr_store(&g->p_backlog, NULL);
        free(backlog);
    }
    cdr_unlock(cdr_group_lock_of(g));
}

/* The code for the waiter; when it is a task that returns it, the message goes along. */
static int answer(struct cadre_group *g, struct cdr_fiber *fiber)
{
    int code = cdr_load(&g->p_code);

    if (cdr_unlikely(cdr_load(&g->p_backlog) != NULL))
        free_backlog(g);
    cdr_group_end_round(g, fiber);
    if (cdr_unlikely(code != 0) && fiber->frame != NULL && g->p_note != 0) {
        fiber->frame->failed_code = code;
        fiber->frame->record = g->p_note;
    }
    return code;
}

/* The rest of cadre_wait, when there is more to do than to run what is there. */
static __attribute__((noinline)) int wait_longer(struct cadre_group *g, struct cdr_fiber *fiber)
{
    while (!is_done(g)) {
        if (is_within(g, fiber))
            return -EDEADLK;
        if (fiber->native)
            cdr_help(fiber->worker, cdr_load(&g->p_family), is_done, g, true);
        if (!is_done(g))
            sleep_until_done(g, fiber);
        run_own(g, fiber);
    }
    return answer(g, fiber);
}

/* Is the group on the waiter's stack, and such that its tasks need nothing but to be called? Where there is no membarrier none of them is
 * found in a private part, and they are run by run_any, which counts them right. */
static inline bool is_plain(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    return cdr_fiber_holds(fiber, g) && !fiber->native && (g->flags | g->stack_size) == 0 && g->parent == NULL
           && cdr_fiber_room(fiber) >= CDR_STACK_PROMISE;
}

/* Run the newest task if it is the group's, however it has to be run. False: there is none. */
static __attribute__((noinline)) bool run_any(struct cadre_group *g, struct cdr_fiber *fiber)
{
    struct cdr_task task;

    if (!cdr_deque_pop(&fiber->worker->deque, &task, g, 0))
        return false;
    cdr_task_run(fiber, &task);
    return true;
}

/* run_own for such a group. True when it is done; only the owner changes the plain counts, so that it can read them without care. */
static inline bool run_plain(struct cadre_group *g, struct cdr_fiber *fiber)
{
    const struct cdr_task *task;
    uint64_t word;

    while (word = cdr_load_acquire(&g->p_word), g->p_begun - g->p_ended + (uint32_t)(word >> 32) != 0) {
        cdr_chaos_point();
        if (cdr_likely((word & CDR_STOPPED) == 0 && cdr_load(&g->p_ctx.p_state) == 0
                       && (task = cdr_deque_top(&fiber->worker->deque)) != NULL && task->group == g
                       && (task->family & CDR_TASK_FLAGS) == 0 && cdr_deque_take_top(&fiber->worker->deque))) {
            cdr_task_call_plain(fiber, task, g);
            if (cdr_unlikely(!cdr_group_end_plainly(g)))
                cdr_group_end_shared(g, fiber, false);
        } else if (!run_any(g, fiber)) {
            return false;
        }
    }
    return true;
}

int cadre_wait(struct cadre_group *g)
{
    struct cdr_worker *w = cdr_self();
    struct cdr_fiber *fiber;

    if (cdr_unlikely(g == NULL || w == NULL))
        return g == NULL ? -EINVAL : is_done(g) ? cdr_load(&g->p_code) : -ENOMEM;
    fiber = w->fiber;
    if (cdr_unlikely(fiber->frame != NULL && fiber->frame->group == g))
        return -EDEADLK;
    if (cdr_likely(is_plain(g, fiber))) {
        int saved = *w->errno_at;
        bool done = run_plain(g, fiber);

        *fiber->worker->errno_at = saved;
        if (cdr_likely(done && cdr_load(&g->p_code) == 0 && cdr_load(&g->p_backlog) == NULL))
            return 0;
    } else {
        run_own(g, fiber);
        if (is_done(g) && (cdr_load(&g->p_code) | (int)g->flags) == 0 && cdr_load(&g->p_backlog) == NULL)
            return 0;
    }
    return wait_longer(g, fiber);
}
