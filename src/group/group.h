/* SPDX-License-Identifier: MIT
 * Groups from the inside: how tasks are counted, and how the last one to end finds those who wait.
 *
 * p_word, the group's one atomic word:
 *
 *     63 ............ 32 | 31 ........ 8 | 7 ..... 0
 *       shared count     |  slots in use |  flags
 *
 * The number of tasks (and holds) that have not ended is
 *
 *     p_begun - p_ended + shared        (modulo 2^32)
 *
 * p_begun and p_ended are written only by the owner, the fiber on whose stack the group lives, with plain stores, and only while
 * none of the flags is set that say that others look on: it counts there the tasks that it starts, and those that it runs itself,
 * inside cadre_wait. Everybody else counts in the shared part. So a group that is filled, run and waited for in one place
 * costs no atomic operation, and a group that is elsewhere (static, malloc'ed, on another's stack) needs no special care: its
 * address says which case it is.
 *
 * Completion. Who waits puts itself into a bucket (wait.c), sets WAITED, and then looks at the count. Who ends a task takes it out
 * of the count and, in the same compare-and-swap, clears WAITED if that made it zero; it then wakes the bucket, which is not part
 * of the group, and does not touch the group again: it may live on a stack that is gone. A count that reaches zero
 * without WAITED being set needs no wake-up: whoever waits later sees the zero.
 *   - The owner's plain store to p_ended against one who sets a flag: after setting it, that one runs a membarrier. Either its
 *     look at the count then sees the store, or the owner, which looks at the flags after the store, sees the flag; then it takes
 *     the store back and ends the task in the shared part, like everybody. While a flag is set the plain counts do not change,
 *     but for that moment; seeing the count one too low then does no harm, since the task has ended and the owner, who has the
 *     group on its stack, is still there.
 *   - The counts are three words. One that looks reads the plain ones before and after the shared one, until they agree.
 *   - A waiter that was woken looks again; tasks started meanwhile make it wait again.
 *   - The owner adds a task while another waits: the two are concurrent, either order is right.
 * test/model/group.pml checks this.
 *
 * States:   (zeroed) --go--> (busy) --last task ends--> (done) --go--> (busy) …
 *           busy or done --error, cancel, parent--> stopped: nothing starts, what has not started is dropped; until reset
 *
 * Locks: p_lock (limit, backlog, outcome) is taken before a context's or a run queue's; no callback is made under it. */
#ifndef CADRE_GROUP_GROUP_H
#define CADRE_GROUP_GROUP_H

#include "group/delayed.h"
#include "group/frame.h"
#include "sync/waitq.h"

#define CDR_ONE ((uint64_t)1 << 32)
#define CDR_SLOT ((uint64_t)1 << 8)
#define CDR_SLOTS_MASK ((uint64_t)0xffffff << 8)
#define CDR_SLOTS_MAX 0xfffffe

/* Flags in p_word. */
#define CDR_WAITED 0x01u   /* somebody is in the bucket */
#define CDR_WANTED 0x02u   /* tasks or starters wait for slots */
#define CDR_STOPPED 0x04u  /* nothing starts any more */
#define CDR_DROPPED 0x08u  /* tasks wait to be handed to drop */
#define CDR_OWNED 0x10u    /* the owner of a CADRE_CANCEL_ON_ERROR group may count in the plain fields */

#define CDR_NOT_LOCAL (CDR_WAITED | CDR_WANTED | CDR_DROPPED) /* others look on: nobody counts in the plain fields */

/* Flags in p_state. */
#define CDR_CANCEL_NOTED 0x1u /* the cancel that kept tasks from running is recorded */
#define CDR_INHERITED 0x2u    /* and is the group's error, until a task has one of its own */
#define CDR_QUIET 0x4u        /* cancelled with code 0 */

/* What groups need only with a limit, with delayed starts or with dropped tasks; from malloc, freed when the group is done. */
struct cdr_backlog {
    struct cdr_batches queued; /* tasks that wait for a slot, oldest first */
    size_t queued_first;       /* how many of the oldest batch are gone */
    size_t queued_count;
    struct cdr_batches dropped;
    size_t dropped_count;
    uint32_t blocked; /* tasks of the group that are blocked in cadre_go on the group */
    struct cdr_schedule schedule;
};

static inline struct cdr_lock *cdr_group_lock_of(struct cadre_group *g) { return (struct cdr_lock *)(void *)&g->p_lock; }
static inline struct cdr_backlog *cdr_backlog_of(const struct cadre_group *g) { return g->p_backlog; }

/* Tasks and holds that have not ended, given the word. For who changes the word next: if that succeeds, the word was right, and if
 * the plain counts have changed since, somebody will see the flag. */
static inline uint32_t cdr_group_count(const struct cadre_group *g, uint64_t word)
{
    uint32_t ended = cdr_load_acquire(&g->p_ended);

    return cdr_load_acquire(&g->p_begun) - ended + (uint32_t)(word >> 32);
}

/* Is the count zero? For who only looks. */
static inline bool cdr_group_is_done(const struct cadre_group *g)
{
    for (;;) {
        uint32_t ended = cdr_load_acquire(&g->p_ended), begun = cdr_load_acquire(&g->p_begun);
        uint64_t word = cdr_load_acquire(&g->p_word);

        if (begun - ended + (uint32_t)(word >> 32) != 0)
            return false;
        if (cdr_load_acquire(&g->p_ended) == ended && cdr_load(&g->p_begun) == begun)
            return true;
    }
}

/* After setting a flag that is in NOT_LOCAL: from here on the owner knows, or its counts are visible. */
static inline void cdr_group_look_on(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    if (!cdr_rt.no_membarrier && !(fiber != NULL && cdr_fiber_holds(fiber, g)))
        cdr_membarrier(); /* pairs with the compiler barriers in cdr_group_end and cadre_go */
}

static inline uint32_t cdr_slots(uint64_t word) { return (uint32_t)((word & CDR_SLOTS_MASK) >> 8); }

/* Does the code that runs on fiber count in the group's plain fields? So does a thread's helper for the thread, which does nothing
 * else meanwhile. */
static inline bool cdr_group_is_near(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    return cdr_likely(cdr_fiber_holds(fiber, g)) || (fiber->worker->helper == fiber && cdr_fiber_holds(&fiber->worker->native, g));
}
static inline bool cdr_group_is_local(const struct cadre_group *g, const struct cdr_fiber *fiber)
{
    return cdr_group_is_near(g, fiber) && !cdr_rt.no_membarrier;
}

/* Take a task out of the plain count, if the group is local and nobody looks on. */
static inline bool cdr_group_end_plainly(struct cadre_group *g)
{
    uint32_t ended = g->p_ended;

    if (cdr_unlikely((cdr_load(&g->p_word) & CDR_NOT_LOCAL) != 0))
        return false;
    cdr_store_release(&g->p_ended, ended + 1);
    cdr_compiler_barrier(); /* pairs with the membarrier of whoever set a flag */
    if (cdr_likely((cdr_load(&g->p_word) & CDR_NOT_LOCAL) == 0))
        return true;
    cdr_store_release(&g->p_ended, ended); /* somebody looks on: take it back, and end where everybody can see it */
    return false;
}

/* The group's context knows its parent from the first use on. */
static inline void cdr_group_bind(struct cadre_group *g)
{
    if (cdr_load(&g->p_ctx.parent) != g->parent)
        cdr_store(&g->p_ctx.parent, g->parent);
}

/* Will nothing start any more? */
static inline bool cdr_group_stopped(struct cadre_group *g)
{
    if (cdr_likely(cdr_load(&g->p_ctx.parent) == NULL))
        return (cdr_load(&g->p_word) & CDR_STOPPED) != 0 || cdr_load(&g->p_ctx.p_state) != 0;
    return (cdr_load(&g->p_word) & CDR_STOPPED) != 0 || cadre_ctx_error(&g->p_ctx) != 0;
}

/* Is the group limited, by option or by cadre_group_set_limit? */
static inline bool cdr_group_is_limited(const struct cadre_group *g) { return g->limit != 0 || cdr_load(&g->p_limit) != 0; }

/* The number of a task that was just accepted. The owner counts its own without an atomic operation, so two that start at the same
 * time, one of them the owner, can get the same number. */
static inline uint32_t cdr_group_next_index(struct cadre_group *g)
{
    return cdr_add_relaxed(&g->p_foreign, 1u) + cdr_load(&g->p_begun);
}

/* ---- rounds of a CADRE_CANCEL_ON_ERROR group (count.c) ----
 *
 * cadre_wait ends the group's context unless a task was started meanwhile; a start makes it live again. Whoever starts one counts it in
 * first and then looks whether the round is over or somebody holds the context's lock; who ends the round holds the lock and then looks at the
 * count. So no task sees its context ended by a wait. The owner's plain count is a plain store before that look; who ends a round of an OWNED
 * group from elsewhere runs a membarrier under the lock. */
void cdr_group_end_round(struct cadre_group *g, struct cdr_fiber *fiber);

/* Wake everybody in the group's bucket; uses the address only (wait.c). */
void cdr_group_wake(const struct cadre_group *g);

/* A task has been counted in: its context is live, unless something but a wait has ended it. */
static inline void cdr_group_keep_round(struct cadre_group *g)
{
    if ((g->flags & CADRE_CANCEL_ON_ERROR) != 0 && cdr_ctx_may_be_over(&g->p_ctx) && cdr_ctx_next_round(&g->p_ctx))
        cdr_group_wake(g); /* who waits has slept outside the context */
}

/* ---- counting (count.c) ---- */

void cdr_group_count_in(struct cadre_group *g);

/* A task or hold ends; with a slot or without. The group may be gone afterwards. */
void cdr_group_end(struct cadre_group *g, struct cdr_fiber *fiber, bool slot);

/* The same, for what was counted in the shared part. */
void cdr_group_end_shared(struct cadre_group *g, struct cdr_fiber *fiber, bool slot);

/* The count may have become zero by a plain store: wake those who wait, if so. The group must not be gone. */
void cdr_group_check(struct cadre_group *g);

/* ---- starting (go.c) ---- */

bool cdr_go_valid(const struct cadre_group *g, cadre_fn *fn);

/* May a task be started now? 0, or the error; then it has been refused. Binds the group. */
int cdr_go_check(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task);

/* Refuse a task, with an error that counts as the group's. Returns the code. */
int cdr_go_refuse(struct cadre_group *g, const struct cdr_task *task, int code);

/* The family and flags of a task of g that nobody in particular starts. */
uint32_t cdr_go_family(const struct cadre_group *g);

/* ---- limits (limit.c) ---- */

/* Take a slot, and a number, without the lock; false when there is none or others were first. */
bool cdr_group_take_slot(struct cadre_group *g, struct cdr_task *task);

/* Find room for a task: 0 it has a slot, 1 it is queued or was started by whoever made room, or a negative error. */
int cdr_group_admit(struct cadre_group *g, struct cdr_task *task, struct cdr_fiber *fiber, bool may_wait);

/* p_lock is held: a task that counts already goes into a slot, or into the queue, whatever its bound. 0 or -ENOMEM. */
int cdr_group_admit_due(struct cadre_group *g, struct cdr_worker *w, struct cdr_task *task);

/* p_lock is held: start what waits as far as there are slots, and clear WANTED when nothing is left waiting. `leaving` tasks that
 * still count have no slot any more, or never had one. */
void cdr_group_dispatch(struct cadre_group *g, struct cdr_worker *w, uint32_t leaving);

/* The group has stopped: turn the queue into dropped tasks, send starters away. */
void cdr_group_purge(struct cadre_group *g);

/* The backlog, made when it is needed; NULL without memory. p_lock is held. */
struct cdr_backlog *cdr_backlog_need(struct cadre_group *g);

/* ---- tasks that will not run (drop.c) ---- */

/* The task is counted and will not run: see that drop gets it, in its turn. */
void cdr_group_drop(struct cadre_group *g, struct cdr_fiber *fiber, struct cdr_task *task);

/* p_lock is held: keep the task for drop. False without memory. */
bool cdr_drop_keep(struct cadre_group *g, const struct cdr_task *task);

/* End n tasks while others are kept to be dropped: if those are all that is left then, they are dropped. False, and nothing was
 * ended, when none are kept. */
bool cdr_drop_end(struct cadre_group *g, uint32_t n);

/* If kept tasks are all that is left, drop them. The caller sees to it that the group stays. */
void cdr_drop_rest(struct cadre_group *g);

/* Count out tasks that never ran. The group may be gone afterwards. */
void cdr_drop_count_out(struct cadre_group *g, uint32_t n);

/* Hand the argument over, now. */
void cdr_drop_now(struct cadre_group *g, const struct cdr_task *task);

extern const char cdr_watch_linked; /* in watch.c, which debug builds must link */

/* ---- outcome (outcome.c) ---- */

/* A task returned `code`; frame says what it had to say. Called while the task still counts. */
void cdr_group_ended_with(struct cadre_group *g, const struct cdr_frame *frame, int code);

/* A hold was released with a code other than 0. */
void cdr_group_released_with(struct cadre_group *g, int code);

/* An error that no task returned, with what that does to a group with a policy. The group is counted in or otherwise kept. */
void cdr_group_error_add(struct cadre_group *g, int code, enum cadre_origin origin, uint32_t index);

/* p_lock is held: only write it down. */
void cdr_group_error_add_locked(struct cadre_group *g, int code, enum cadre_origin origin, uint32_t index, const char *message);

/* Something did not run because the group had ended: record that, once. Returns the code for cadre_go. */
int cdr_group_note_cancel(struct cadre_group *g);

#endif
