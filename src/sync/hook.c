/* SPDX-License-Identifier: MIT
 * Hooks: callbacks at the end of a context.
 *
 * A hook that is told becomes DUE, under locks, and is put into a list in the hands of the thread that told it; it runs when that
 * thread holds none any more. Whoever removes a hook finds it SET or DUE, and then it will never run; or RUNNING, and then waits, unless
 * it is running on this very thread, further down the stack: then the runner is told not to touch it any more.
 *
 *     ADDING --cadre_ctx_hook is through--> SET --told, or its deadline--> DUE --> RUNNING --> DONE
 *     ADDING --told, or its deadline--> MISSED --cadre_ctx_hook is through--> DUE
 *
 * From SET on the hook may run and be freed by anybody, so cadre_ctx_hook looks for an end before, and does not touch it afterwards.
 *
 * One lock for all hooks guards the states and the lists; ends with hooks are rare. It is taken after a context's or a timer
 * shard's. */
#include <string.h>

#include "base/check.h"
#include "sync/context.h"

/* The private part of struct cadre_hook. */
struct hook {
    struct cdr_link link;
    uint32_t state;
    struct cadre_ctx *ctx;
    struct cdr_node node; /* in the list it is due in */
    struct cdr_due *due;
    struct cdr_timer timer;
};
enum { ADDING, MISSED, SET, DUE, RUNNING, DONE };

_Static_assert(sizeof(struct hook) <= sizeof((struct cadre_hook *)0)->p_links, "struct cadre_hook has room");

/* What this thread runs, innermost first. */
struct runner {
    struct hook *hook; /* NULL: it has removed itself */
    struct runner *outer;
};
static __thread struct runner *runners __attribute__((tls_model("initial-exec")));

static struct cdr_lock lock;
static struct cdr_due expired; /* told by timers */
static uint32_t ran;           /* grows as a hook is done; who waits for one sleeps on it, as the hook may be gone by then */

static void forget(void)
{
    lock = (struct cdr_lock){ 0 };
    expired.hooks = NULL;
    runners = NULL;
}
static __attribute__((constructor)) void survive_fork(void) { cdr_at_fork(NULL, NULL, forget); }

static struct hook *hook_of(struct cadre_hook *hook) { return (struct hook *)(void *)hook->p_links; }

/* The lock is held. */
static void make_due(struct hook *hook, struct cdr_due *due)
{
    cdr_store(&hook->state, (uint32_t)DUE);
    hook->due = due;
    cdr_list_append(&due->hooks, &hook->node);
    if (due != &expired)
        due->any = true;
}

static bool tell(struct hook *hook, struct cdr_due *due)
{
    bool first;

    cdr_lock(&lock);
    first = cdr_load(&hook->state) == SET;
    if (first)
        make_due(hook, due);
    else if (cdr_load(&hook->state) == ADDING)
        cdr_store(&hook->state, (uint32_t)MISSED);
    cdr_unlock(&lock);
    return first;
}

void cdr_hook_tell(struct cdr_link *link, struct cdr_due *due) { tell(cdr_container_of(link, struct hook, link), due); }

/* Whatever a hook does is not done by the task that happens to be underneath. */
static void call(struct hook *hook)
{
    struct cadre_hook *public = cdr_container_of((void *)hook, struct cadre_hook, p_links);
    struct cdr_worker *w = cdr_self_or_null();
    struct cdr_frame *frame = w != NULL ? w->fiber->frame : NULL;

    if (w != NULL)
        w->fiber->frame = NULL;
    public->fn(hook->ctx, public->arg);
    if (w != NULL)
        w->fiber->frame = frame;
}

static struct hook *next_due(struct cdr_due *due)
{
    struct cdr_node *node;
    struct hook *hook = NULL;

    cdr_lock(&lock);
    node = cdr_list_take(&due->hooks);
    if (node != NULL) {
        hook = cdr_container_of(node, struct hook, node);
        cdr_store(&hook->state, (uint32_t)RUNNING);
    }
    cdr_unlock(&lock);
    return hook;
}

void cdr_hooks_run(struct cdr_due *due)
{
    struct runner runner = { NULL, runners };

    if (due != &expired && !due->any)
        return;
    runners = &runner;
    while ((runner.hook = next_due(due)) != NULL) {
        (void)cadre_ctx_error(runner.hook->ctx); /* a deadline that has passed is written down first */
        call(runner.hook);
        if (runner.hook == NULL)
            continue;
        cdr_store_release(&runner.hook->state, (uint32_t)DONE); /* now it may be gone */
        cdr_add(&ran, 1u);
        cdr_futex_wake(&ran, INT32_MAX);
    }
    runners = runner.outer;
}

static bool expire(struct cdr_timer *timer) { return tell(cdr_container_of(timer, struct hook, timer), &expired); }

static void run_expired(void) { cdr_hooks_run(&expired); }

int cadre_ctx_hook(struct cadre_ctx *ctx, struct cadre_hook *public)
{
    struct cdr_due due = { 0 };
    struct hook *hook = public != NULL ? hook_of(public) : NULL;
    struct cdr_worker *w;
    cadre_time deadline;
    bool ended;

    if (ctx == NULL || public == NULL || public->fn == NULL)
        return -EINVAL;
    w = cdr_self();
    if (w == NULL)
        return -ENOMEM;
    memset(hook, 0, sizeof *hook);
    hook->ctx = ctx;
    hook->link.kind = CDR_LINK_HOOK;
    cdr_ctx_attach(ctx, &hook->link, &due);
    deadline = cadre_ctx_deadline(ctx);
    if (deadline != CADRE_FOREVER) {
        cdr_store_release(&cdr_timers_after[CDR_AFTER_HOOKS], run_expired);
        hook->timer.fire = expire;
        if (cdr_timer_start(&hook->timer, cdr_timer_shard(w), deadline))
            cdr_timer_changed(w, deadline);
    }
    ended = cadre_ctx_error(ctx) != 0;
    cdr_lock(&lock);
    if (ended || cdr_load(&hook->state) == MISSED)
        make_due(hook, &due);
    else
        cdr_store(&hook->state, (uint32_t)SET);
    cdr_unlock(&lock);
    cdr_hooks_run(&due);
    return 0;
}

/* Is the hook running on this thread? Then its runner is told that it is gone. */
static bool runs_here(struct hook *hook)
{
    for (struct runner *runner = runners; runner != NULL; runner = runner->outer) {
        if (runner->hook != hook)
            continue;
        runner->hook = NULL;
        return true;
    }
    return false;
}

int cadre_ctx_unhook(struct cadre_ctx *ctx, struct cadre_hook *public)
{
    struct hook *hook = public != NULL ? hook_of(public) : NULL;
    uint32_t state, before;

    if (ctx == NULL || public == NULL || hook->ctx != ctx)
        return -EINVAL;
    cdr_timer_stop(&hook->timer);
    cdr_ctx_detach(ctx, &hook->link);
    cdr_lock(&lock);
    state = cdr_load(&hook->state);
    if (state == DUE)
        cdr_list_remove(&hook->due->hooks, &hook->node);
    if (state != RUNNING || runs_here(hook))
        cdr_store(&hook->state, (uint32_t)DONE);
    cdr_unlock(&lock);
    while (before = cdr_load_acquire(&ran), cdr_load_acquire(&hook->state) == RUNNING)
        cdr_futex_wait(&ran, before, INT64_MAX);
    return state == SET || state == DUE;
}
