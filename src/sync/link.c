/* SPDX-License-Identifier: MIT
 * Linking contexts while somebody is blocked under them, and blocking. context.h explains the rules. */
#include "base/check.h"
#include "sync/context.h"

void cdr_ctx_attach(struct cadre_ctx *ctx, struct cdr_link *link, struct cdr_due *due)
{
    while (ctx != NULL) {
        bool was_empty;

        cdr_lock(cdr_ctx_lock(ctx));
        was_empty = *cdr_ctx_links(ctx) == NULL;
        if (!cdr_linked(&link->node))
            cdr_list_append(cdr_ctx_links(ctx), &link->node);
        if (ctx->p_state != CDR_LIVE)
            cdr_ctx_tell(ctx, link, due); /* the walk may have passed before the link was there */
        cdr_unlock(cdr_ctx_lock(ctx));
        if (!was_empty)
            return;
        link = cdr_ctx_link(ctx);
        ctx = cdr_ctx_above(ctx);
    }
}

void cdr_ctx_detach(struct cadre_ctx *ctx, struct cdr_link *link)
{
    struct cadre_ctx *child = NULL; /* whose link it is, if it is one's */

    while (ctx != NULL) {
        bool emptied = false;

        cdr_lock(cdr_ctx_lock(ctx));
        if (cdr_linked(&link->node) && (child == NULL || cdr_load(&child->p_links) == NULL)) {
            cdr_list_remove(cdr_ctx_links(ctx), &link->node);
            emptied = *cdr_ctx_links(ctx) == NULL;
        }
        cdr_unlock(cdr_ctx_lock(ctx));
        if (!emptied)
            return;
        child = ctx;
        link = cdr_ctx_link(ctx);
        ctx = cdr_ctx_above(ctx);
    }
}

int cdr_block_enter(struct cdr_block *block, struct cdr_fiber *fiber, struct cadre_ctx *ctx)
{
    struct cdr_ending ending;

    cdr_wait_init(&block->wait, fiber);
    block->ctx = ctx;
    block->deadline = INT64_MAX;
    block->due = (struct cdr_due){ 0 };
    if (ctx == NULL)
        return 0;
    if (cdr_ctx_find_ending(ctx, &ending))
        return cdr_ending_error(&ending);
    block->deadline = cadre_ctx_deadline(ctx);
    block->link = (struct cdr_link){ .kind = CDR_LINK_WAIT };
    cdr_ctx_attach(ctx, &block->link, &block->due);
    return 0;
}

enum cdr_reason cdr_block_park(struct cdr_block *block, int64_t deadline)
{
    if (cdr_unlikely(block->due.any))
        cdr_hooks_run(&block->due);
    return cdr_wait_park(&block->wait, deadline < block->deadline ? deadline : block->deadline);
}

void cdr_block_leave(struct cdr_block *block)
{
    if (block->ctx != NULL)
        cdr_ctx_detach(block->ctx, &block->link);
}

int cdr_block_error(const struct cdr_block *block, enum cdr_reason reason)
{
    int error = cadre_ctx_error(block->ctx);

    /* A group's context that ended may be live again, for its next round. */
    if (error == 0)
        error = reason == CDR_WOKEN_BY_TIMER ? -ETIMEDOUT : -ECANCELED;
    return error;
}
