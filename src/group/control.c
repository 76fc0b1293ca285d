/* SPDX-License-Identifier: MIT
 * The group's handles: hold and release, the limit at run time, reset, the context. */
#include "base/check.h"
#include "group/group.h"

struct cadre_ctx *cadre_group_ctx(struct cadre_group *g)
{
    if (g == NULL)
        return NULL;
    cdr_group_bind(g);
    return &g->p_ctx;
}

int cadre_group_hold(struct cadre_group *g)
{
    if (g == NULL)
        return -EINVAL;
    cdr_add(&g->p_holds, 1u);
    cdr_group_count_in(g);
    cdr_group_keep_round(g);
    return 0;
}

void cadre_group_release(struct cadre_group *g, int code)
{
    struct cdr_worker *w = cdr_self();
    uint32_t holds = g != NULL ? cdr_load(&g->p_holds) : 0;

    cdr_require(w != NULL, "no memory to release a hold on a thread that was never seen before");
    do
        cdr_require(holds > 0, "release of a group that is not held");
    while (!cdr_cas(&g->p_holds, &holds, holds - 1));
    if (code != 0)
        cdr_group_released_with(g, code);
    cdr_group_end(g, w->fiber, false);
}

int cadre_group_set_limit(struct cadre_group *g, int limit)
{
    struct cdr_worker *w = cdr_self();

    if (g == NULL || limit > CDR_SLOTS_MAX)
        return -EINVAL;
    if (w == NULL)
        return -ENOMEM;
    cdr_lock(cdr_group_lock_of(g));
    cdr_store(&g->p_limit, limit < 0 ? -1 : limit + 1);
    if ((cdr_load(&g->p_word) & CDR_WANTED) != 0)
        cdr_group_dispatch(g, w, 0);
    cdr_unlock(cdr_group_lock_of(g));
    if ((cdr_load(&g->p_word) & CDR_DROPPED) != 0)
        cdr_drop_rest(g);
    cdr_group_wake(g); /* who waits for the group has more to look after from now on */
    return 0;
}

int cadre_group_reset(struct cadre_group *g)
{
    int result = 0;

    if (g == NULL)
        return -EINVAL;
    cdr_lock(cdr_group_lock_of(g));
    if (!cdr_group_is_done(g)) {
        result = -EBUSY;
    } else {
        cdr_ctx_reset(&g->p_ctx);
        cdr_and(&g->p_word, ~(uint64_t)CDR_STOPPED);
        g->p_errors = g->p_state = 0;
        g->p_limit = 0;
        g->p_origin = g->p_index = 0;
        g->p_note = 0;
        cdr_store(&g->p_code, 0);
        cdr_store(&g->p_foreign, 0u - g->p_begun); /* numbers start anew */
    }
    cdr_unlock(cdr_group_lock_of(g));
    return result;
}
