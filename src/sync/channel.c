/* SPDX-License-Identifier: MIT
 * Channels and select.
 *
 * All of a channel is under its lock. Elements lie in a ring of the caller's slots; a sender that finds no room and a receiver that
 * finds nothing wait in queues of their own, and the other side copies straight between their memory and its own before it wakes
 * them. So: receivers wait only while the ring is empty and no sender waits, senders only while it is full.
 *
 * A select locks all its channels, in the order of their addresses, looks for a case that can go, and only if there is none puts a
 * waiter into each. All its waiters share one wait, so that one claim decides; the others are taken out by the select when it
 * wakes, or dropped by whoever finds them unclaimable. Since nobody is in a queue while it looks, no call ever needs to claim
 * two waits at once. test/model/select.pml checks this. */
#include <string.h>

#include "sync/channel.h"

int cdr_chan_check(const struct cadre_chan *c, const void *element)
{
    return c == NULL || (element == NULL && c->size > 0) || (c->capacity > 0 && c->slots == NULL && c->size > 0) ? -EINVAL : 0;
}

static void copy(const struct cadre_chan *c, void *to, const void *from)
{
    if (c->size == sizeof(void *))
        memcpy(to, from, sizeof(void *));
    else if (c->size > 0)
        memcpy(to, from, c->size);
}

static void *slot(const struct cadre_chan *c, size_t at)
{
    return (char *)c->slots + (at < c->capacity ? at : at - c->capacity) * c->size;
}

static void put(struct cadre_chan *c, const void *element)
{
    copy(c, slot(c, c->p_head + c->p_count), element);
    c->p_count++;
}

static void take(struct cadre_chan *c, void *element)
{
    copy(c, element, slot(c, c->p_head));
    c->p_head = c->p_head + 1 < c->capacity ? c->p_head + 1 : 0;
    c->p_count--;
}

/* ---- one step, under the lock; *served is to be woken once it is unlocked ---- */

int cdr_chan_send_now(struct cadre_chan *c, const void *element, struct cdr_waiter **served)
{
    if (c->p_closed)
        return -EPIPE;
    *served = c->p_receivers != NULL ? cdr_waitq_take(&c->p_receivers) : NULL;
    if (*served != NULL)
        copy(c, (*served)->element, element);
    else if (c->p_count < c->capacity)
        put(c, element);
    else
        return -EAGAIN;
    return 0;
}

int cdr_chan_recv_now(struct cadre_chan *c, void *element, struct cdr_waiter **served)
{
    *served = NULL;
    if (c->p_count > 0) {
        take(c, element);
        *served = c->p_senders != NULL ? cdr_waitq_take(&c->p_senders) : NULL;
        if (*served != NULL)
            put(c, (*served)->element);
        return 0;
    }
    *served = c->p_senders != NULL ? cdr_waitq_take(&c->p_senders) : NULL;
    if (*served == NULL)
        return c->p_closed ? -EPIPE : -EAGAIN;
    copy(c, element, (*served)->element);
    return 0;
}

static int leave(struct cadre_chan *c, int result, struct cdr_waiter *served)
{
    cdr_unlock(cdr_chan_lock(c));
    if (result == 0 && served != NULL)
        cdr_waitq_wake(served, CDR_WOKEN);
    return result;
}

/* ---- send and receive ---- */

int cadre_send(struct cadre_ctx *ctx, struct cadre_chan *c, const void *element)
{
    struct cdr_waiter waiter = { .element = (void *)(uintptr_t)element }, *served = NULL;
    int result;

    if (cdr_chan_check(c, element) != 0)
        return -EINVAL;
    cdr_lock(cdr_chan_lock(c));
    result = cdr_chan_send_now(c, element, &served);
    if (result != -EAGAIN)
        return leave(c, result, served);
    return cdr_waitq_wait(&c->p_senders, cdr_chan_lock(c), &waiter, ctx, NULL, NULL);
}

int cadre_try_send(struct cadre_chan *c, const void *element)
{
    struct cdr_waiter *served = NULL;
    int result;

    if (cdr_chan_check(c, element) != 0)
        return -EINVAL;
    cdr_lock(cdr_chan_lock(c));
    result = cdr_chan_send_now(c, element, &served);
    return leave(c, result, served);
}

int cadre_recv(struct cadre_ctx *ctx, struct cadre_chan *c, void *element)
{
    struct cdr_waiter waiter = { .element = element }, *served = NULL;
    int result;

    if (cdr_chan_check(c, element) != 0)
        return -EINVAL;
    cdr_lock(cdr_chan_lock(c));
    result = cdr_chan_recv_now(c, element, &served);
    if (result != -EAGAIN)
        return leave(c, result, served);
    return cdr_waitq_wait(&c->p_receivers, cdr_chan_lock(c), &waiter, ctx, NULL, NULL);
}

int cadre_try_recv(struct cadre_chan *c, void *element)
{
    struct cdr_waiter *served = NULL;
    int result;

    if (cdr_chan_check(c, element) != 0)
        return -EINVAL;
    cdr_lock(cdr_chan_lock(c));
    result = cdr_chan_recv_now(c, element, &served);
    return leave(c, result, served);
}

void cadre_chan_close(struct cadre_chan *c)
{
    struct cdr_waiter *waiter;
    void *woken = NULL;

    if (c == NULL)
        return;
    cdr_lock(cdr_chan_lock(c));
    c->p_closed = 1;
    while ((waiter = cdr_waitq_take(&c->p_receivers)) != NULL || (waiter = cdr_waitq_take(&c->p_senders)) != NULL)
        cdr_waitq_put(&woken, waiter);
    cdr_unlock(cdr_chan_lock(c));
    cdr_waitq_wake_all(&woken, CDR_WOKEN_CLOSED);
}

void cadre_chan_finish(struct cadre_chan *c)
{
    if (c == NULL)
        return;
    cadre_chan_close(c);
    for (size_t i = 0; i < c->p_count && c->destroy != NULL; i++)
        c->destroy(slot(c, c->p_head + i));
    c->p_count = c->p_head = 0;
}

size_t cadre_chan_length(struct cadre_chan *c)
{
    size_t length;

    if (c == NULL)
        return 0;
    cdr_lock(cdr_chan_lock(c));
    length = c->p_count;
    cdr_unlock(cdr_chan_lock(c));
    return length;
}
