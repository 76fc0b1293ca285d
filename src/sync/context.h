/* SPDX-License-Identifier: MIT
 * Contexts from the inside: how blocked calls, hooks and child contexts are linked so that a cancel reaches them.
 *
 * A context that nobody is blocked under is linked to nothing. The first link under it (a blocked call, a hook, or a child that
 * has one) links it to its parent, and so on upwards; the last one to go unlinks it again.
 *
 *     link   in the list of the context it belongs to, under that context's lock
 *     child  its own link lies in its parent's list, under the parent's lock, as long as its own list is not empty
 *
 * Lock order: parent before child. Linking and unlinking hold one lock at a time. The end of a context holds its lock while it
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

/* A call that blocks under a context, on the caller's stack. */
struct cdr_block {
    struct cdr_wait wait;
    struct cdr_link link;
    struct cadre_ctx *ctx;
    int64_t deadline; /* the context's */
    void *claimed;    /* hooks that entering found to be due; they run when no lock is held any more */
};

/* Get ready to block: 0, or the context's error when it has ended. The caller may hold an object's lock, so no hook runs here: after
 * an error, once it holds none, the caller asks cadre_ctx_error. */
int cdr_block_enter(struct cdr_block *block, struct cdr_fiber *fiber, struct cadre_ctx *ctx);

/* With no lock held: block until finished, until the context ends, or until `deadline` (INT64_MAX: none of its own). */
enum cdr_reason cdr_block_park(struct cdr_block *block, int64_t deadline);

/* To be called once after cdr_block_enter returned 0. */
void cdr_block_leave(struct cdr_block *block);

/* What the end of the context amounts to, after CDR_WOKEN_BY_CANCEL or CDR_WOKEN_BY_TIMER. */
int cdr_block_error(const struct cdr_block *block);

/* End a context with this cause. error->code and origin are used, and the text when there is a record number. False when it had
 * ended before. */
bool cdr_ctx_end(struct cadre_ctx *ctx, int code, enum cadre_origin origin, uint64_t record);

/* Make an ended context live again. Nobody may be using it. */
void cdr_ctx_renew(struct cadre_ctx *ctx);

#endif
