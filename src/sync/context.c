/* SPDX-License-Identifier: MIT
 * Contexts: how they end, and what can be asked of them. context.h explains how the end reaches those who are blocked. */
#include <string.h>

#include "base/check.h"
#include "sync/context.h"
#include "sync/record.h"

_Static_assert(offsetof(struct cadre_ctx, p_kind) - offsetof(struct cadre_ctx, p_link) == offsetof(struct cdr_link, kind),
               "a context contains a link");

static struct cdr_link *link_at(struct cdr_node *node) { return cdr_container_of(node, struct cdr_link, node); }
static struct cadre_ctx *child_at(struct cdr_link *link) { return cdr_container_of((void *)link, struct cadre_ctx, p_link); }

/* ---- ending ---- */

struct cdr_ending cdr_ctx_ending(const struct cadre_ctx *ctx)
{
    return (struct cdr_ending){ cdr_load_acquire(&ctx->p_state), ctx->p_code, ctx->p_when, ctx->p_note };
}

static struct cdr_ending expired_at(cadre_time deadline)
{
    return (struct cdr_ending){ CDR_EXPIRED | CADRE_FROM_DEADLINE << CDR_ORIGIN_SHIFT, -ETIMEDOUT, deadline, 0 };
}

/* The context is locked. What ended it first decides; its own deadline may have passed before, only nobody had looked. */
static void settle(struct cadre_ctx *ctx, struct cdr_ending ending)
{
    if (ctx->p_state != CDR_LIVE)
        return;
    if (ctx->deadline != 0 && ctx->deadline < ending.when)
        ending = expired_at(ctx->deadline);
    ctx->p_code = ending.code;
    ctx->p_note = ending.record;
    ctx->p_when = ending.when;
    cdr_store_release(&ctx->p_state, ending.state);
}

/* A link of ctx, which has ended and is locked. A child is locked and settled, and left to the caller to walk and unlock. */
static struct cadre_ctx *tell_one(struct cadre_ctx *ctx, struct cdr_link *link, struct cdr_due *due)
{
    struct cdr_block *block;
    struct cdr_ending ending;
    struct cadre_ctx *child;

    if (link->kind == CDR_LINK_CHILD) {
        child = child_at(link);
        cdr_lock(cdr_ctx_lock(child));
        ending = cdr_ctx_ending(ctx);
        ending.state &= ~CDR_BY_WAIT; /* the parent alone can be live again */
        settle(child, ending);
        return child;
    }
    if (link->kind == CDR_LINK_HOOK) {
        cdr_hook_tell(link, due);
        return NULL;
    }
    block = cdr_container_of(link, struct cdr_block, link);
    if (cdr_wait_claim(&block->wait))
        cdr_wait_finish(&block->wait, CDR_WOKEN_BY_CANCEL);
    return NULL;
}

/* Tell all links of top, which has ended and is locked, and of the children below. Depth first and without recursion, since
 * contexts nest as deep as people like: the way back leads over each child's own link. */
static void tell_all(struct cadre_ctx *top, struct cdr_due *due)
{
    struct cadre_ctx *at = top, *child;
    struct cdr_node *node = *cdr_ctx_links(top);

    while (node != NULL) {
        child = tell_one(at, link_at(node), due);
        if (child != NULL && *cdr_ctx_links(child) != NULL) {
            at = child;
            node = *cdr_ctx_links(child);
            continue;
        }
        if (child != NULL)
            cdr_unlock(cdr_ctx_lock(child));
        while ((node = node->next) == *cdr_ctx_links(at)) { /* all of at's are told: go up */
            if (at == top)
                return;
            child = at;
            at = cdr_ctx_above(child);
            node = &cdr_ctx_link(child)->node;
            cdr_unlock(cdr_ctx_lock(child));
        }
    }
}

void cdr_ctx_tell(struct cadre_ctx *ctx, struct cdr_link *link, struct cdr_due *due)
{
    struct cadre_ctx *child = tell_one(ctx, link, due);

    if (child == NULL)
        return;
    tell_all(child, due);
    cdr_unlock(cdr_ctx_lock(child));
}

static bool end(struct cadre_ctx *ctx, const struct cdr_ending *ending)
{
    struct cdr_due due = { 0 };
    bool first;

    cdr_lock(cdr_ctx_lock(ctx));
    first = ctx->p_state == CDR_LIVE;
    if (first) {
        settle(ctx, *ending);
        tell_all(ctx, &due);
    }
    cdr_unlock(cdr_ctx_lock(ctx));
    cdr_hooks_run(&due);
    return first;
}

bool cdr_ctx_find_ending(struct cadre_ctx *ctx, struct cdr_ending *ending)
{
    bool found = false;
    cadre_time now = 0;

    if (cdr_load_acquire(&ctx->p_state) != CDR_LIVE) { /* settled */
        *ending = cdr_ctx_ending(ctx);
        return true;
    }
    for (struct cadre_ctx *c = ctx; c != NULL; c = cdr_ctx_above(c)) {
        if (cdr_load_acquire(&c->p_state) != CDR_LIVE && (!found || c->p_when < ending->when)) {
            *ending = cdr_ctx_ending(c);
            ending->state &= ~CDR_BY_WAIT;
            found = true;
        }
        if (c->deadline == 0 || (found && c->deadline >= ending->when))
            continue;
        if (now == 0)
            now = cdr_now();
        if (c->deadline <= now) {
            *ending = expired_at(c->deadline);
            found = true;
        }
    }
    return found;
}

bool cdr_ctx_end(struct cadre_ctx *ctx, int code, enum cadre_origin origin, uint64_t record)
{
    struct cdr_ending ending = { CDR_CANCELLED | (int)origin << CDR_ORIGIN_SHIFT, code, cdr_now(), record };

    return cadre_ctx_error(ctx) == 0 && end(ctx, &ending);
}

/* ---- rounds ---- */

void cdr_ctx_reset(struct cadre_ctx *ctx)
{
    cdr_lock(cdr_ctx_lock(ctx));
    ctx->p_code = 0;
    ctx->p_note = 0;
    cdr_store_release(&ctx->p_state, CDR_LIVE);
    cdr_unlock(cdr_ctx_lock(ctx));
}

void cdr_ctx_end_round(struct cadre_ctx *ctx, bool (*done)(void *arg), void *arg)
{
    struct cdr_ending ending = { CDR_CANCELLED | CDR_BY_WAIT | CADRE_FROM_CANCEL << CDR_ORIGIN_SHIFT, -ECANCELED, cdr_now(), 0 };
    struct cdr_due due = { 0 };

    if (cadre_ctx_error(ctx) != 0)
        return;
    cdr_lock(cdr_ctx_lock(ctx));
    cdr_fence_seq(); /* whoever counts in looks at the lock afterwards: one of us sees the other */
    if (ctx->p_state == CDR_LIVE && done(arg)) {
        settle(ctx, ending);
        tell_all(ctx, &due);
    }
    cdr_unlock(cdr_ctx_lock(ctx));
    cdr_hooks_run(&due);
}

bool cdr_ctx_next_round(struct cadre_ctx *ctx)
{
    bool renewed;

    cdr_lock(cdr_ctx_lock(ctx));
    renewed = (ctx->p_state & CDR_BY_WAIT) != 0;
    if (renewed) {
        ctx->p_code = 0;
        cdr_store_release(&ctx->p_state, CDR_LIVE);
    }
    cdr_unlock(cdr_ctx_lock(ctx));
    return renewed;
}

/* ---- asking ---- */

int cadre_ctx_error(struct cadre_ctx *ctx)
{
    struct cdr_ending ending;

    if (ctx == NULL)
        return 0;
    if (cdr_load_acquire(&ctx->p_state) == CDR_LIVE) {
        if (ctx->deadline == 0 && cdr_load(&ctx->parent) == NULL)
            return 0;
        if (!cdr_ctx_find_ending(ctx, &ending))
            return 0;
        end(ctx, &ending); /* write it down, so that nothing that happens later can change it */
    }
    ending = cdr_ctx_ending(ctx);
    return cdr_ending_error(&ending);
}

void cadre_ctx_cancel(struct cadre_ctx *ctx, int code, const char *why)
{
    struct cadre_error error = { .code = code != 0 ? code : -ECANCELED, .origin = CADRE_FROM_CANCEL };

    if (ctx == NULL)
        return;
    cdr_copy_text(error.message, sizeof error.message, why);
    cdr_ctx_end(ctx, error.code, error.origin, why != NULL ? cdr_record_put(&error) : 0);
}

struct cadre_error cadre_ctx_cause(struct cadre_ctx *ctx)
{
    struct cadre_error error = { 0 };
    struct cdr_ending ending;

    if (cadre_ctx_error(ctx) == 0)
        return error;
    ending = cdr_ctx_ending(ctx);
    if (!cdr_record_get(ending.record, &error)) {
        error.origin = (enum cadre_origin)(ending.state >> CDR_ORIGIN_SHIFT);
        cdr_copy_text(error.message, sizeof error.message, cdr_error_text(ending.code, error.origin));
    }
    error.code = ending.code;
    return error;
}

cadre_time cadre_ctx_deadline(const struct cadre_ctx *ctx)
{
    cadre_time earliest = CADRE_FOREVER;

    for (; ctx != NULL; ctx = cdr_ctx_above(ctx))
        if (ctx->deadline != 0 && ctx->deadline < earliest)
            earliest = ctx->deadline;
    return earliest;
}

void *cadre_ctx_value(const struct cadre_ctx *ctx, const void *key)
{
    for (; ctx != NULL && key != NULL; ctx = cdr_load(&ctx->parent))
        if (ctx->key == key)
            return ctx->value;
    return NULL;
}
