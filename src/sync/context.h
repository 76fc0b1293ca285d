/* SPDX-License-Identifier: MIT
 * Contexts from the inside: how blocked calls, hooks and child contexts are linked so that a cancel reaches them.
 *
 * A context that nobody is blocked under is linked to nothing. The first link under it (a blocked call, a hook, or a child that
 * has one) links it to its parent, and so on upwards; the last one to go unlinks it again.
 *
 *     link   in the list of the context it belongs to, under that context's lock
 *     child  its own link lies in its parent's list, under the parent's lock, as long as its own list is not empty
 *
 * Lock order: parent before child, then what belongs to hooks. Linking and unlinking hold one lock at a time. The end of a context holds its lock while it
 * tells its links, which is what keeps them alive: whoever is told must take the lock to leave.
 *
 * Interleavings that matter:
 *   - A link is added while the parent ends: the adder looks at the parent's state under its lock, after adding, and tells the
 *     link itself when the walk may already have passed.
 *   - One leaves a child while another enters: whether the child's link stays is decided under the parent's lock by whether
 *     the child's list is empty; the one who found it empty on entering adds the link again when it is missing.
 *   - Told twice: claiming decides who it counts for.
 * test/model/cancel.pml checks these. */
#ifndef CADRE_SYNC_CONTEXT_H
#define CADRE_SYNC_CONTEXT_H

#include "base/list.h"
#include "sched/park.h"

enum cdr_link_kind { CDR_LINK_CHILD = 0, CDR_LINK_WAIT, CDR_LINK_HOOK };

/* In a struct cadre_ctx this is p_link and p_kind. */
struct cdr_link {
    struct cdr_node node;
    uint32_t kind;
};

static inline struct cdr_lock *cdr_ctx_lock(struct cadre_ctx *ctx) { return (struct cdr_lock *)(void *)&ctx->p_lock; }
static inline struct cdr_node **cdr_ctx_links(struct cadre_ctx *ctx) { return (struct cdr_node **)(void *)&ctx->p_links; }
static inline struct cdr_link *cdr_ctx_link(struct cadre_ctx *ctx) { return (struct cdr_link *)(void *)&ctx->p_link; }

/* Where cancels come from, as opposed to values. */
static inline struct cadre_ctx *cdr_ctx_above(const struct cadre_ctx *ctx)
{
    return (ctx->flags & CADRE_SHIELDED) != 0 ? NULL : cdr_load(&ctx->parent);
}

/* Hooks that are due, in some thread's hands. */
struct cdr_due {
    struct cdr_node *hooks; /* under the lock of hooks */
    bool any;               /* the thread's own: there have been some */
};

/* ---- ending (context.c) ---- */

/* p_state: 0 while live, then how it ended, whether only cadre_wait ended it, and the cause's origin. */
enum { CDR_LIVE, CDR_CANCELLED, CDR_EXPIRED, CDR_HOW = 0x7f, CDR_BY_WAIT = 0x80, CDR_ORIGIN_SHIFT = 8 };

/* What ended a context, or is about to. */
struct cdr_ending {
    int state, code;
    cadre_time when;
    uint64_t record;
};

static inline int cdr_ending_error(const struct cdr_ending *ending)
{
    return (ending->state & CDR_HOW) == CDR_EXPIRED ? -ETIMEDOUT : -ECANCELED;
}

/* How a context ended that is not live any more. */
struct cdr_ending cdr_ctx_ending(const struct cadre_ctx *ctx);

/* The earliest thing that ended ctx or one of its ancestors; false when all are live. Changes nothing. */
bool cdr_ctx_find_ending(struct cadre_ctx *ctx, struct cdr_ending *ending);

/* End a context with this cause; the text is the record's, or that of the code. False when it had ended before. */
bool cdr_ctx_end(struct cadre_ctx *ctx, int code, enum cadre_origin origin, uint64_t record);

/* ctx, which is locked, has ended: tell one of its links, and all that lies below it. Due hooks are added to *due. */
void cdr_ctx_tell(struct cadre_ctx *ctx, struct cdr_link *link, struct cdr_due *due);

/* Make an ended context live again. Nobody may be using it. */
void cdr_ctx_reset(struct cadre_ctx *ctx);

/* A group that is waited for ends its context, and its next task makes it live again: a round. The round ends only if done(arg) under
 * the context's lock, and the next one begins only if nothing else has ended the context; true when it was over and is live again. */
void cdr_ctx_end_round(struct cadre_ctx *ctx, bool (*done)(void *arg), void *arg);
bool cdr_ctx_next_round(struct cadre_ctx *ctx);
static inline bool cdr_ctx_ended_by_wait(const struct cadre_ctx *ctx) { return (cdr_load(&ctx->p_state) & CDR_BY_WAIT) != 0; }

/* May a round be over, or about to be? For who has counted in something that should keep it from that, by a sequentially consistent
 * operation. */
static inline bool cdr_ctx_may_be_over(struct cadre_ctx *ctx)
{
    return cdr_load_seq(&cdr_ctx_lock(ctx)->word) != 0 || cdr_load_acquire(&ctx->p_state) != 0;
}

/* ---- blocking (link.c) ---- */

/* A call that blocks under a context, on the caller's stack. */
struct cdr_block {
    struct cdr_wait wait;
    struct cdr_link link;
    struct cadre_ctx *ctx;
    int64_t deadline; /* the context's */
    struct cdr_due due; /* hooks that entering found to be due; they run when no lock is held any more */
};

/* Add link to ctx, and ctx to its parent when it had no links, and so on. */
void cdr_ctx_attach(struct cadre_ctx *ctx, struct cdr_link *link, struct cdr_due *due);
void cdr_ctx_detach(struct cadre_ctx *ctx, struct cdr_link *link);

/* Get ready to block: 0, or the context's error when it has ended. The caller may hold an object's lock, so no hook runs here: after
 * an error, once it holds none, the caller asks cadre_ctx_error. */
int cdr_block_enter(struct cdr_block *block, struct cdr_fiber *fiber, struct cadre_ctx *ctx);

/* With no lock held: block until finished, until the context ends, or until `deadline` (INT64_MAX: none of its own). */
enum cdr_reason cdr_block_park(struct cdr_block *block, int64_t deadline);

/* To be called once after cdr_block_enter returned 0. */
void cdr_block_leave(struct cdr_block *block);

/* What the end of the context amounts to, after CDR_WOKEN_BY_CANCEL or CDR_WOKEN_BY_TIMER. */
int cdr_block_error(const struct cdr_block *block, enum cdr_reason reason);

/* ---- hooks (hook.c) ---- */

/* A context that is locked has ended: its hook is due, unless it was before. */
void cdr_hook_tell(struct cdr_link *link, struct cdr_due *due);

/* Run them, with no lock held. */
void cdr_hooks_run(struct cdr_due *due);

#endif
