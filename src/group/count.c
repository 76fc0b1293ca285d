/* SPDX-License-Identifier: MIT
 * The group's count: in, out, and the end that everybody waits for. group.h explains why it is correct. */
#include "base/check.h"
#include "group/group.h"

void cdr_group_count_in(struct cadre_group *g) { cdr_add_seq(&g->p_word, CDR_ONE); }

/* ---- rounds ---- */

/* Under the context's lock, for the owner. */
static bool is_over(void *arg) { return cdr_group_is_done(arg); }

/* The same for everybody else. The owner stores its count and then looks at the lock, with only a compiler barrier between; the membarrier
 * is the other half. */
static bool is_over_to_others(void *arg)
{
    const struct cadre_group *g = arg;

    if (!cdr_group_is_done(g))
        return false;
    if ((cdr_load_acquire(&g->p_word) & CDR_OWNED) == 0 || cdr_rt.no_membarrier)
        return true;
    cdr_membarrier();
    return cdr_group_is_done(g);
}

void cdr_group_end_round(struct cadre_group *g, struct cdr_fiber *fiber)
{
    if ((g->flags & CADRE_CANCEL_ON_ERROR) != 0)
        cdr_ctx_end_round(&g->p_ctx, cdr_group_is_local(g, fiber) ? is_over : is_over_to_others, g);
}

/* ---- the count ---- */

/* Others wait for slots: give back ours, and start whom that lets start, while the task still counts. Those that are still waiting
 * then have seen it count; so a task without a slot, which only a limit set later takes into account, must leave under the lock.
 * True when it has left. The group is not gone before the lock is released: who waits for a slot still uses it. */
static bool hand_on(struct cadre_group *g, struct cdr_fiber *fiber, bool slot)
{
    bool left = false;

    cdr_lock(cdr_group_lock_of(g));
    if (slot)
        cdr_sub(&g->p_word, CDR_SLOT);
    cdr_group_dispatch(g, fiber->worker, 1);
    if (!slot && (cdr_load(&g->p_word) & (CDR_WANTED | CDR_DROPPED)) == CDR_WANTED) {
        left = true;
        cdr_sub(&g->p_word, CDR_ONE);
        cdr_group_check(g);
    }
    cdr_unlock(cdr_group_lock_of(g));
    return left;
}

void cdr_group_end_shared(struct cadre_group *g, struct cdr_fiber *fiber, bool slot)
{
    uint64_t word, next;

    word = cdr_load_acquire(&g->p_word); /* before the owner's counts are read */
    do {
        while (cdr_unlikely((word & (CDR_WANTED | CDR_DROPPED)) != 0)) {
            if ((word & CDR_DROPPED) != 0 && (!slot || (word & CDR_WANTED) == 0)) {
                if (slot)
                    cdr_sub(&g->p_word, CDR_SLOT);
                if (cdr_drop_end(g, 1))
                    return;
            } else if (hand_on(g, fiber, slot)) {
                return;
            }
            slot = false;
            word = cdr_load_acquire(&g->p_word);
        }
        next = word - CDR_ONE - (slot ? CDR_SLOT : 0);
        if ((word & CDR_WAITED) != 0 && cdr_group_count(g, next) == 0)
            next &= ~(uint64_t)CDR_WAITED;
    } while (!cdr_cas(&g->p_word, &word, next));
    if (cdr_unlikely(((word ^ next) & CDR_WAITED) != 0))
        cdr_group_wake(g); /* the group may be gone: only its address counts */
}

void cdr_group_end(struct cadre_group *g, struct cdr_fiber *fiber, bool slot)
{
    if (cdr_unlikely(slot || !cdr_group_is_local(g, fiber) || !cdr_group_end_plainly(g)))
        cdr_group_end_shared(g, fiber, slot);
}

void cdr_group_check(struct cadre_group *g)
{
    uint64_t word = cdr_load_acquire(&g->p_word);

    while ((word & CDR_WAITED) != 0 && cdr_group_count(g, word) == 0) {
        if (cdr_cas(&g->p_word, &word, word & ~(uint64_t)CDR_WAITED)) {
            cdr_group_wake(g);
            return;
        }
    }
}
