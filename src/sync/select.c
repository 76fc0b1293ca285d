/* SPDX-License-Identifier: MIT
 * cadre_select: one of several channel operations, or a deadline. channel.c explains the locking. */
#include "base/check.h"
#include "sync/channel.h"

/* The private part of struct cadre_case. */
struct chosen {
    struct cdr_waiter waiter;
    struct cadre_case *next; /* in the order of the channels' addresses */
};

_Static_assert(sizeof(struct chosen) <= sizeof((struct cadre_case *)0)->p_links, "struct cadre_case has room");

static struct chosen *chosen_of(struct cadre_case *at) { return (struct chosen *)(void *)at->p_links; }

static int check(struct cadre_case *cases, int n, int *until)
{
    *until = -1;
    if (cases == NULL || n < 1)
        return -EINVAL;
    for (int i = 0; i < n; i++) {
        if (cases[i].op == CADRE_UNTIL && *until < 0)
            *until = i;
        else if ((cases[i].op != CADRE_SEND && cases[i].op != CADRE_RECV)
                 || cdr_chan_check(cases[i].chan, cases[i].element) != 0)
            return -EINVAL;
    }
    return 0;
}

/* The cases with a channel, linked in the order of the channels' addresses. */
static struct cadre_case *sort(struct cadre_case *cases, int n)
{
    struct cadre_case *first = NULL, **at;

    for (int i = 0; i < n; i++) {
        if (cases[i].op == CADRE_UNTIL)
            continue;
        for (at = &first; *at != NULL && (uintptr_t)(*at)->chan < (uintptr_t)cases[i].chan; at = &chosen_of(*at)->next)
            ;
        chosen_of(&cases[i])->next = *at;
        *at = &cases[i];
    }
    return first;
}

static void lock_all(struct cadre_case *first)
{
    struct cadre_chan *last = NULL;

    for (; first != NULL; first = chosen_of(first)->next) {
        if (first->chan != last)
            cdr_lock(cdr_chan_lock(first->chan));
        last = first->chan;
    }
}

static void unlock_all(struct cadre_case *first)
{
    while (first != NULL) {
        struct cadre_case *next = chosen_of(first)->next;

        if (next == NULL || next->chan != first->chan)
            cdr_unlock(cdr_chan_lock(first->chan));
        first = next;
    }
}

static void **queue_of(const struct cadre_case *at)
{
    return at->op == CADRE_SEND ? &at->chan->p_senders : &at->chan->p_receivers;
}

/* The index of a case that could go and went, or -EAGAIN. Looks from a random place on. */
static int try_all(struct cadre_case *cases, int n, unsigned from, struct cdr_waiter **served)
{
    for (int i = 0; i < n; i++) {
        int index = (int)((from + (unsigned)i) % (unsigned)n);
        struct cadre_case *at = &cases[index];
        int code = -EAGAIN;

        if (at->op == CADRE_SEND)
            code = cdr_chan_send_now(at->chan, at->element, served);
        else if (at->op == CADRE_RECV)
            code = cdr_chan_recv_now(at->chan, at->element, served);
        if (code != -EAGAIN) {
            at->code = code;
            return index;
        }
    }
    return -EAGAIN;
}

static void enqueue_all(struct cadre_case *cases, int n, struct cdr_block *block)
{
    for (int i = 0; i < n; i++) {
        struct cdr_waiter *waiter = &chosen_of(&cases[i])->waiter;

        if (cases[i].op == CADRE_UNTIL)
            continue;
        waiter->node.next = waiter->node.prev = NULL;
        waiter->block = block;
        waiter->element = cases[i].element;
        waiter->index = i;
        cdr_waitq_put(queue_of(&cases[i]), waiter);
    }
}

static void dequeue_all(struct cadre_case *first)
{
    lock_all(first);
    for (struct cadre_case *at = first; at != NULL; at = chosen_of(at)->next)
        cdr_waitq_remove(queue_of(at), &chosen_of(at)->waiter);
    unlock_all(first);
}

/* All are in their queues: wait for one, or for the time of case `until`. */
static int wait_for_one(struct cadre_case *cases, struct cadre_case *first, int until, struct cdr_block *block)
{
    int64_t deadline = until >= 0 ? cases[until].deadline : INT64_MAX;
    enum cdr_reason reason = cdr_block_park(block, deadline);
    int result;

    dequeue_all(first);
    if (reason == CDR_WOKEN || reason == CDR_WOKEN_CLOSED) {
        result = (int)block->wait.value;
        cases[result].code = reason == CDR_WOKEN_CLOSED ? -EPIPE : 0;
    } else if (reason == CDR_WOKEN_BY_TIMER && until >= 0 && deadline <= block->deadline) {
        result = until;
        cases[until].code = 0;
    } else {
        result = cdr_block_error(block, reason);
    }
    cdr_block_leave(block);
    return result;
}

int cadre_select(struct cadre_ctx *ctx, struct cadre_case *cases, int n)
{
    struct cdr_waiter *served = NULL;
    struct cadre_case *first;
    struct cdr_worker *w = cdr_self();
    struct cdr_block block;
    int until, result = check(cases, n, &until);

    if (result != 0 || w == NULL)
        return result != 0 ? result : -ENOMEM;
    first = sort(cases, n);
    lock_all(first);
    result = try_all(cases, n, (unsigned)(cdr_random(w) >> 33), &served);
    if (result == -EAGAIN && until >= 0 && cases[until].deadline <= cdr_now()) {
        result = until;
        cases[until].code = 0;
    }
    if (result == -EAGAIN) {
        result = cdr_block_enter(&block, w->fiber, ctx);
        if (result == 0) {
            enqueue_all(cases, n, &block);
            unlock_all(first);
            return wait_for_one(cases, first, until, &block);
        }
    }
    unlock_all(first);
    if (result < 0)
        (void)cadre_ctx_error(ctx); /* settles it, and runs its hooks */
    if (served != NULL)
        cdr_waitq_wake(served, CDR_WOKEN);
    return result;
}
