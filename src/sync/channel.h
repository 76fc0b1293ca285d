/* SPDX-License-Identifier: MIT
 * The steps of channels that select shares with send and receive. Both steps are done under the channel's lock. */
#ifndef CADRE_SYNC_CHANNEL_H
#define CADRE_SYNC_CHANNEL_H

#include "sync/waitq.h"

static inline struct cdr_lock *cdr_chan_lock(struct cadre_chan *c) { return (struct cdr_lock *)(void *)&c->p_lock; }

/* Are these valid arguments of a send or receive? 0 or -EINVAL. */
int cdr_chan_check(const struct cadre_chan *c, const void *element);

/* Send or receive if that is possible now: 0, -EPIPE, or -EAGAIN. On success *served, unless NULL, is to be woken with CDR_WOKEN
 * once the lock is released. */
int cdr_chan_send_now(struct cadre_chan *c, const void *element, struct cdr_waiter **served);
int cdr_chan_recv_now(struct cadre_chan *c, void *element, struct cdr_waiter **served);

#endif
