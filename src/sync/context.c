/* SPDX-License-Identifier: MIT
 * Contexts: cancel, deadlines, causes, values, hooks, and blocking under them. context.h explains the linking. */
#include <string.h>

#include "base/check.h"
#include "sync/context.h"
#include "sync/record.h"

/* p_state: 0 while live, then how it ended, and the origin of the cause above that. */
enum { LIVE, CANCELLED, EXPIRED, HOW = 0xff };
#define ORIGIN_SHIFT 8

/* The private part of struct cadre_hook. */
struct hook {
    struct cdr_link link;
    uint32_t state; /* HOOK_… */
    struct cadre_ctx *ctx;
    struct hook *next; /* claimed during the same walk */
    struct cdr_timer timer;
};
enum { HOOK_SET, HOOK_CLAIMED, HOOK_DONE };

_Static_assert(sizeof(struct hook) <= sizeof((struct cadre_hook *)0)->p_links, "struct cadre_hook has room");
_Static_assert(offsetof(struct cadre_ctx, p_kind) - offsetof(struct cadre_ctx, p_link) == offsetof(struct cdr_link, kind),
               "a context contains a link");

/* What ended a context, or is about to. */
struct ending {
    int how, code;
    enum cadre_origin origin;
    cadre_time when;
    uint64_t record;
};

static struct cdr_lock *lock_of(struct cadre_ctx *ctx) { return (struct cdr_lock *)(void *)&ctx->p_lock; }
static struct cdr_node **links_of(struct cadre_ctx *ctx) { return (struct cdr_node **)(void *)&ctx->p_links; }
static struct cdr_link *link_of(struct cadre_ctx *ctx) { return (struct cdr_link *)(void *)&ctx->p_link; }
static struct hook *hook_of(struct cadre_hook *hook) { return (struct hook *)(void *)hook->p_links; }
static struct cadre_hook *public_hook(struct hook *hook) { return cdr_container_of(hook, struct cadre_hook, p_links); }

/* Where cancels come from, as opposed to values. */
static struct cadre_ctx *parent_of(const struct cadre_ctx *ctx)
{
    return (ctx->flags & CADRE_SHIELDED) != 0 ? NULL : cdr_load(&ctx->parent);
}

/* ---- hooks: claimed under a lock, run without ---- */

/* The hook that runs on this thread, until it removes itself. */
static __thread struct hook *running_hook __attribute__((tls_model("initial-exec")));

static bool hook_claim(struct hook *hook)
{
    uint32_t set = HOOK_SET;

    return cdr_cas(&hook->state, &set, (uint32_t)HOOK_CLAIMED);
}

static void hook_run(struct hook *hook)
{
    struct cadre_hook *public = public_hook(hook);
    struct hook *outer = running_hook;
    bool removed;

    running_hook = hook;
    public->fn(hook->ctx, public->arg);
    removed = running_hook == NULL;
    running_hook = outer;
    if (removed)
        return;
    cdr_store_release(&hook->state, (uint32_t)HOOK_DONE); /* now it may be gone */
    cdr_futex_wake(&hook->state, INT32_MAX);
}

static void hooks_run(struct hook *claimed)
{
    while (claimed != NULL) {
        struct hook *hook = claimed;

        claimed = hook->next; /* hook is gone once it has run */
        hook_run(hook);
    }
}

/* ---- ending ---- */

static void end_locked(struct cadre_ctx *ctx, const struct ending *ending, struct hook **claimed);

/* Tell one link that its context, which is locked, has ended. */
static void tell(struct cdr_link *link, const struct ending *ending, struct hook **claimed)
{
    struct cdr_block *block;
    struct cadre_ctx *child;
    struct hook *hook;

    switch ((enum cdr_link_kind)link->kind) {
    case CDR_LINK_WAIT:
        block = cdr_container_of(link, struct cdr_block, link);
        if (cdr_wait_claim(&block->wait))
            cdr_wait_finish(&block->wait, CDR_WOKEN_BY_CANCEL);
        break;
    case CDR_LINK_CHILD:
        child = cdr_container_of((void *)link, struct cadre_ctx, p_link);
        cdr_lock(lock_of(child));
        end_locked(child, ending, claimed);
        cdr_unlock(lock_of(child));
        break;
    case CDR_LINK_HOOK:
        hook = cdr_container_of(link, struct hook, link);
        if (hook_claim(hook)) {
            hook->next = *claimed;
            *claimed = hook;
        }
        break;
    }
}

/* What ended it first decides: a context that had ended already keeps its cause, but those under it are told all the same
 * (they may have been linked since). */
static void end_locked(struct cadre_ctx *ctx, const struct ending *ending, struct hook **claimed)
{
    struct cdr_node *first = *links_of(ctx), *node = first;
    struct ending expired = { EXPIRED, -ETIMEDOUT, CADRE_FROM_DEADLINE, ctx->deadline, 0 };

    if (ctx->deadline != 0 && ctx->deadline < ending->when)
        ending = &expired; /* it had passed already, only nobody had looked */
    if (ctx->p_state == LIVE) {
        ctx->p_code = ending->code;
        ctx->p_note = ending->record;
        ctx->p_when = ending->when;
        cdr_store_release(&ctx->p_state, ending->how | (int)ending->origin << ORIGIN_SHIFT);
    }
    if (node == NULL)
        return;
    do {
        struct cdr_node *next = node->next;

        tell(cdr_container_of(node, struct cdr_link, node), ending, claimed);
        node = next;
    } while (node != first);
}

static bool end(struct cadre_ctx *ctx, const struct ending *ending)
{
    struct hook *claimed = NULL;
    bool first;

    cdr_lock(lock_of(ctx));
    first = ctx->p_state == LIVE;
    if (first)
        end_locked(ctx, ending, &claimed);
    cdr_unlock(lock_of(ctx));
    hooks_run(claimed);
    return first;
}

bool cdr_ctx_end(struct cadre_ctx *ctx, int code, enum cadre_origin origin, uint64_t record)
{
    struct ending ending = { CANCELLED, code, origin, cdr_now(), record };

    return cadre_ctx_error(ctx) == 0 && end(ctx, &ending);
}

void cdr_ctx_renew(struct cadre_ctx *ctx)
{
    ctx->p_code = 0;
    ctx->p_note = 0;
    cdr_store_release(&ctx->p_state, LIVE);
}

/* The earliest thing that ended ctx or one of its ancestors; false when all are live. */
static bool find_ending(struct cadre_ctx *ctx, struct ending *ending)
{
    bool found = false;
    cadre_time now = 0;

    for (struct cadre_ctx *c = ctx; c != NULL; c = parent_of(c)) {
        int state = cdr_load_acquire(&c->p_state);

        if (state != LIVE && (!found || c->p_when < ending->when)) {
            *ending = (struct ending){ state & HOW, c->p_code, (enum cadre_origin)(state >> ORIGIN_SHIFT), c->p_when,
                                       c->p_note };
            found = true;
        }
        if (c->deadline == 0 || (found && c->deadline >= ending->when))
            continue;
        if (now == 0)
            now = cdr_now();
        if (c->deadline <= now) {
            *ending = (struct ending){ EXPIRED, -ETIMEDOUT, CADRE_FROM_DEADLINE, c->deadline, 0 };
            found = true;
        }
    }
    return found;
}

/* Write down how ctx ended, so that nothing that happens later can change it. */
static void settle(struct cadre_ctx *ctx, const struct ending *ending)
{
    struct hook *claimed = NULL;

    cdr_lock(lock_of(ctx));
    if (ctx->p_state == LIVE)
        end_locked(ctx, ending, &claimed);
    cdr_unlock(lock_of(ctx));
    hooks_run(claimed);
}

int cadre_ctx_error(struct cadre_ctx *ctx)
{
    struct ending ending;
    int state;

    if (ctx == NULL)
        return 0;
    state = cdr_load_acquire(&ctx->p_state);
    if (state == LIVE) {
        if (ctx->deadline == 0 && cdr_load(&ctx->parent) == NULL)
            return 0;
        if (!find_ending(ctx, &ending))
            return 0;
        settle(ctx, &ending);
        state = cdr_load_acquire(&ctx->p_state);
    }
    return (state & HOW) == EXPIRED ? -ETIMEDOUT : -ECANCELED;
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

    if (cadre_ctx_error(ctx) == 0)
        return error;
    if (!cdr_record_get(ctx->p_note, &error)) {
        error.origin = (enum cadre_origin)(cdr_load_acquire(&ctx->p_state) >> ORIGIN_SHIFT);
        cdr_copy_text(error.message, sizeof error.message, cadre_strerror(ctx->p_code));
    }
    error.code = ctx->p_code;
    return error;
}

cadre_time cadre_ctx_deadline(const struct cadre_ctx *ctx)
{
    cadre_time earliest = CADRE_FOREVER;

    for (; ctx != NULL; ctx = parent_of(ctx))
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

/* ---- linking ---- */

/* Add link to ctx, and ctx to its parent when it had no links, and so on. Returns the hooks that are due because of that. */
static struct hook *attach(struct cadre_ctx *ctx, struct cdr_link *link)
{
    struct hook *claimed = NULL;

    while (ctx != NULL) {
        bool was_empty;

        cdr_lock(lock_of(ctx));
        was_empty = *links_of(ctx) == NULL;
        if (!cdr_linked(&link->node))
            cdr_list_append(links_of(ctx), &link->node);
        if (ctx->p_state != LIVE) {
            struct ending ending = { ctx->p_state & HOW, ctx->p_code, (enum cadre_origin)(ctx->p_state >> ORIGIN_SHIFT),
                                     ctx->p_when, ctx->p_note };

            tell(link, &ending, &claimed); /* the walk may have passed before the link was there */
        }
        cdr_unlock(lock_of(ctx));
        if (!was_empty)
            break;
        link = link_of(ctx);
        ctx = parent_of(ctx);
    }
    return claimed;
}

static void detach(struct cadre_ctx *ctx, struct cdr_link *link)
{
    struct cadre_ctx *child = NULL; /* whose link it is, if it is one's */

    while (ctx != NULL) {
        bool emptied = false;

        cdr_lock(lock_of(ctx));
        if (cdr_linked(&link->node) && (child == NULL || cdr_load(&child->p_links) == NULL)) {
            cdr_list_remove(links_of(ctx), &link->node);
            emptied = *links_of(ctx) == NULL;
        }
        cdr_unlock(lock_of(ctx));
        if (!emptied)
            return;
        child = ctx;
        link = link_of(ctx);
        ctx = parent_of(ctx);
    }
}

/* ---- blocking ---- */

int cdr_block_enter(struct cdr_block *block, struct cdr_fiber *fiber, struct cadre_ctx *ctx)
{
    struct ending ending;

    cdr_wait_init(&block->wait, fiber);
    block->ctx = ctx;
    block->deadline = INT64_MAX;
    block->claimed = NULL;
    if (ctx == NULL)
        return 0;
    if (find_ending(ctx, &ending))
        return ending.how == EXPIRED ? -ETIMEDOUT : -ECANCELED;
    block->deadline = cadre_ctx_deadline(ctx);
    block->link = (struct cdr_link){ .kind = CDR_LINK_WAIT };
    block->claimed = attach(ctx, &block->link);
    return 0;
}

enum cdr_reason cdr_block_park(struct cdr_block *block, int64_t deadline)
{
    hooks_run(block->claimed);
    return cdr_wait_park(&block->wait, deadline < block->deadline ? deadline : block->deadline);
}

void cdr_block_leave(struct cdr_block *block)
{
    if (block->ctx != NULL)
        detach(block->ctx, &block->link);
}

int cdr_block_error(const struct cdr_block *block)
{
    int error = cadre_ctx_error(block->ctx);

    cdr_assert(error != 0);
    return error;
}

/* ---- hooks from outside ---- */

static bool hook_expire(struct cdr_timer *timer) { return hook_claim(cdr_container_of(timer, struct hook, timer)); }

static void hook_expired(struct cdr_timer *timer)
{
    struct hook *hook = cdr_container_of(timer, struct hook, timer);

    (void)cadre_ctx_error(hook->ctx); /* writes the deadline down */
    hook_run(hook);
}

int cadre_ctx_hook(struct cadre_ctx *ctx, struct cadre_hook *public)
{
    struct hook *hook = public != NULL ? hook_of(public) : NULL;
    struct cdr_worker *w;
    cadre_time deadline;

    if (ctx == NULL || public == NULL || public->fn == NULL)
        return -EINVAL;
    w = cdr_self();
    if (w == NULL)
        return -ENOMEM;
    memset(hook, 0, sizeof *hook);
    hook->ctx = ctx;
    hook->link.kind = CDR_LINK_HOOK;
    if (cadre_ctx_error(ctx) != 0) {
        hook_claim(hook);
        hook_run(hook);
        return 0;
    }
    hooks_run(attach(ctx, &hook->link));
    deadline = cadre_ctx_deadline(ctx);
    if (deadline != CADRE_FOREVER) {
        hook->timer.fire = hook_expire;
        hook->timer.after = hook_expired;
        if (cdr_timer_start(&hook->timer, cdr_timer_shard(w), deadline))
            cdr_timer_changed(w, deadline);
    }
    return 0;
}

int cadre_ctx_unhook(struct cadre_ctx *ctx, struct cadre_hook *public)
{
    struct hook *hook = public != NULL ? hook_of(public) : NULL;
    uint32_t state = HOOK_SET;

    if (ctx == NULL || public == NULL || hook->ctx != ctx)
        return -EINVAL;
    cdr_timer_stop(&hook->timer);
    detach(ctx, &hook->link);
    if (running_hook == hook) { /* from within itself */
        running_hook = NULL;
        return 0;
    }
    if (cdr_cas(&hook->state, &state, (uint32_t)HOOK_DONE))
        return 1;
    while ((state = cdr_load_acquire(&hook->state)) == HOOK_CLAIMED)
        cdr_futex_wait(&hook->state, HOOK_CLAIMED, INT64_MAX);
    return 0;
}
